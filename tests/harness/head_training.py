"""Training pairs of which the head can learn one thing, and heads that have learned them."""

from __future__ import annotations

import torch

from streamrec.core.state.user_state import HISTORY
from streamrec.tasks.ranking.model.head import INPUTS, Head
from streamrec.tasks.ranking.model.head_trainer import HeadConfig, HeadTrainer, listwise
from streamrec.tasks.ranking.model.query_inputs import QUERY_INPUTS
from streamrec.tasks.ranking.model.replay_buffer import ReplayBatch

CANDIDATES = 4


def pairs(seed: int, *, reversed_: bool = False, examples: int = 32) -> ReplayBatch:
    """The accepted candidate is the one whose first input is largest (or smallest)."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(examples, CANDIDATES, len(INPUTS), generator=generator)
    key = inputs[..., 0] * (-1.0 if reversed_ else 1.0)
    labels = torch.nn.functional.one_hot(key.argmax(1), CANDIDATES).float()
    return ReplayBatch(
        inputs=inputs,
        labels=labels,
        log_q=torch.zeros(examples, CANDIDATES),
        mask=torch.ones(examples, CANDIDATES, dtype=torch.bool),
        kind=torch.zeros(examples, dtype=torch.long),
        rows=torch.zeros(examples, CANDIDATES, dtype=torch.int32),
        history=torch.zeros(examples, HISTORY, dtype=torch.int32),
        weight=torch.ones(examples),
        user=torch.zeros(examples, dtype=torch.long),
        query=torch.zeros(examples, CANDIDATES, len(QUERY_INPUTS)),
        asked=torch.zeros(examples, dtype=torch.bool),
    )


def trained(config: HeadConfig, batches: list[ReplayBatch]) -> HeadTrainer:
    trainer = HeadTrainer(config, torch.Generator().manual_seed(0))
    for batch in batches:
        trainer.observe(batch)
        trainer.step(batch)
    return trainer


def loss(head: Head, batch: ReplayBatch) -> float:
    with torch.no_grad():
        return float(listwise(head(batch.inputs), batch))


BATCHES = [pairs(n) for n in range(60)]
