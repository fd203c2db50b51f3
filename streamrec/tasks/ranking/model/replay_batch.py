"""From examples to what is remembered of them: the head's inputs, on one index's vectors.

Knows which candidates are kept, and how a memory moves to other vectors, other catalogue rows,
or from an older checkpoint. Does not know slots, or when anything is learned.

Shapes: N catalogue rows, D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from streamrec.core.examples import Example, ExampleKind, FloatArray, user_hash
from streamrec.core.state.catalogue import Catalogue
from streamrec.tasks.ranking.features import FEATURES
from streamrec.tasks.ranking.model.ranker import head_inputs
from streamrec.tasks.ranking.model.replay_buffer import ReplayBatch
from streamrec.tasks.ranking.model.similarity import candidate_similarities
from streamrec.tasks.ranking.model.tensors import example_tensors


def replay_batch(
    examples: Sequence[Example],
    weights: FloatArray,
    vectors_ND: Tensor,
    catalogue: Catalogue,
    width: int,
) -> ReplayBatch:
    """Those that weigh something, each with at most ``width`` candidates."""
    counted = [e for e, weight in zip(examples, weights, strict=True) if weight > 0]
    narrow = [narrowed(example, width) for example in counted]
    batch = example_tensors(narrow, catalogue, width)
    return ReplayBatch(
        inputs=head_inputs(vectors_ND, batch).half(),
        labels=batch.labels_BC,
        log_q=batch.log_q_BC,
        mask=batch.mask_BC,
        kind=batch.kind_B,
        rows=batch.rows_BC.int(),
        history=batch.history_BH.int(),
        weight=torch.from_numpy(weights[weights > 0]),
        user=torch.tensor([user_hash(example.user_id) for example in counted]),
    )


def narrowed(example: Example, width: int) -> Example:
    """At most ``width`` candidates: accepted ones, then a sample of the others.

    The sample is the example's own: it does not depend on what else is learned.
    """
    if len(example.candidates) <= width:
        return example
    accepted = np.flatnonzero(example.labels_C > 0)[: width // 2]
    others = np.flatnonzero(example.labels_C <= 0)
    rng = np.random.default_rng([example.partition, example.offset, example.index])
    sampled = rng.choice(others, min(width - len(accepted), len(others)), replace=False)
    chosen = np.sort(np.concatenate([accepted, sampled]))
    log_q = example.log_q_C[chosen]
    if example.kind is ExampleKind.NEXT_CLICK:
        kept = np.float32(np.log(len(sampled) / len(others)))
        log_q = np.where(example.labels_C[chosen] > 0, log_q, log_q + kept)
    return replace(
        example,
        candidates=tuple(example.candidates[c] for c in chosen),
        labels_C=example.labels_C[chosen],
        stats_CF=example.stats_CF[chosen],
        log_q_C=log_q,
    )


def move_to(vectors_ND: Tensor, memory: ReplayBatch) -> None:
    """Compute the similarities of a memory anew, in place."""
    for start in range(0, len(memory), 256):
        part = slice(start, start + 256)
        sims = candidate_similarities(
            vectors_ND, memory.history[part].long(), memory.rows[part].long()
        )
        memory.inputs[part, :, len(FEATURES) :] = sims.half()


def restored(state: dict[str, Tensor], row_of_row: np.ndarray) -> dict[str, Tensor]:
    """A memory's tensors as saved, their catalogue rows renumbered; -1 stays.

    Examples of a checkpoint that is older than quotas weigh 1 and are nobody's.
    """
    renumber = torch.cat([torch.from_numpy(row_of_row).int(), torch.tensor([-1]).int()])
    whole = {k: renumber[v.long()] if k in ("rows", "history") else v for k, v in state.items()}
    if "kind" in state:
        whole.setdefault("weight", torch.ones(len(state["kind"])))
        whole.setdefault("user", torch.zeros(len(state["kind"]), dtype=torch.long))
    return whole
