"""What frozen weights say of replies: how likely they are to plan and to write what was written.

Knows a generation's parts and their files. Does not know how they are learned (``learner``).

Files: the adapter as PEFT lays it out; in ``head.safetensors`` the bandit's sums, and the adapter
that learning started from, to which divergence is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from streamrec.core.replies.plan_bandit import PlanBandit
from streamrec.models.causal import CausalModel, Reply
from streamrec.models.generation import write_weights
from streamrec.models.state_dicts import named, under
from streamrec.ports.generating import Grammar
from streamrec.tasks.replies.examples import ReplyExample

CHUNK = 8


@dataclass(frozen=True, slots=True)
class SaidOfReply:
    """``log_probability``: of the reply, in nats; ``kl``: from the start, over the reply, in nats;
    ``chance``: of its plan. Of a template's reply the first two are 0."""

    log_probability: float
    kl: float
    chance: float


class RepliesScorer:
    """``ports.Scorer``: frozen weights."""

    def __init__(self, model: CausalModel, start: CausalModel, bandit: PlanBandit) -> None:
        self.model, self.start, self.bandit = model, start, bandit

    def score(self, examples: Sequence[ReplyExample]) -> list[SaidOfReply]:
        """Of each example."""
        found = {}
        written = [at for at, one in enumerate(examples) if one.token_ids]
        written.sort(key=lambda at: len(examples[at].prompt_ids))
        for begin in range(0, len(written), CHUNK):
            places = written[begin : begin + CHUNK]
            with torch.no_grad():
                rows = [scored_reply(examples[at]) for at in places]
                scored = self.model.score(rows, self.start)
            sums = (scored.log_probabilities_BT.sum(dim=1), scored.kl_BT.sum(dim=1))
            for at, said, kl in zip(places, *(sum_B.tolist() for sum_B in sums), strict=True):
                found[at] = said, kl
        return [
            SaidOfReply(*found.get(at, (0.0, 0.0)), self._chance(example))
            for at, example in enumerate(examples)
        ]

    def _chance(self, example: ReplyExample) -> float:
        """By draws that depend on where the example stands alone."""
        place = (example.partition, example.offset, example.index)
        return float(self.bandit.chances(example.context_C, place)[example.plan])


def scored_reply(example: ReplyExample) -> Reply:
    """As the language model wants it."""
    grammar = Grammar(example.slots, example.max_tokens, example.least, example.most)
    return Reply(example.prompt_ids, example.token_ids, grammar, example.temperature)


def write_replies(scorer: RepliesScorer, directory: Path) -> None:
    """The weight files of a generation; sealing completes it."""
    head = named("start", scorer.start.adapter_state()) | bandit_tensors(scorer.bandit)
    write_weights(directory, scorer.model, head, torch.zeros(scorer.model.dim))


def bandit_tensors(bandit: PlanBandit) -> dict[str, Tensor]:
    """Its state as tensors, named ``bandit.*``."""
    return named("bandit", {name: torch.from_numpy(x) for name, x in bandit.state().items()})


def bandit_of(tensors: Mapping[str, Tensor]) -> PlanBandit:
    """What ``bandit_tensors`` made. Raises KeyError, ValueError for something else."""
    return PlanBandit.from_state({k: v.numpy() for k, v in under("bandit", tensors).items()})
