"""Labelled training examples: the user *as it was before* and what came of it.

Knows the shape of an example and of a mini-batch. Does not know how features are
computed (``tasks.ranking.features``) or learned from (``model``).

Shapes: C candidates, F live-statistics features (``tasks.ranking.features.FEATURES``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


class ExampleKind(StrEnum):
    """Where the candidates came from."""

    IMPRESSION = "impression"  # all were shown to the user; the labels are real
    NEXT_CLICK = "next_click"  # the first was accepted; the others were sampled
    VIEW = "view"  # one item shown alone
    FORGET = "forget"  # not to be learned: a mark that the user's earlier ones are to go


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One decision of one user, with the features logged when the items were shown.

    ``(partition, offset, index)`` identifies it: the event that closed it, and the count
    of examples that event closed before. Examples of a partition come in that order.
    """

    partition: int
    offset: int
    index: int
    kind: ExampleKind
    user_id: str
    shown_at_ms: int
    produced_at_ms: int  # Kafka timestamp of the event that closed it (freshness starts here)
    history: tuple[str, ...]  # accepted item ids before the event, newest last
    candidates: tuple[str, ...]  # (C,)
    labels_C: FloatArray  # 1 accepted, 0 not
    stats_CF: FloatArray  # live statistics before the event
    log_q_C: FloatArray  # log P(it is in this list); 0 where that is certain


@dataclass(frozen=True, slots=True, eq=False)
class TrainingBatch:
    """Consecutive examples of one source partition. Topic ``training-batches``.

    ``[from_offset, to_offset)`` are source offsets: every event in the range has had its
    say in these examples or in an earlier batch.
    """

    partition: int
    from_offset: int
    to_offset: int
    feature_set: str  # digest of the feature names; a trainer refuses another one
    examples: Sequence[Example]


def forget_mark(
    partition: int, offset: int, user_id: str, times_ms: tuple[int, int], features: int
) -> Example:
    """Tells whoever learns, in its place among the examples, to forget the user's before it.

    ``times_ms``: when it was asked for, and Kafka's timestamp of that. It has one candidate
    without an id and ``features`` zeros, so that it travels as examples do.
    """
    nothing_C = np.zeros(1, np.float32)
    return Example(
        partition=partition,
        offset=offset,
        index=0,
        kind=ExampleKind.FORGET,
        user_id=user_id,
        shown_at_ms=times_ms[0],
        produced_at_ms=times_ms[1],
        history=(),
        candidates=("",),
        labels_C=nothing_C,
        stats_CF=np.zeros((1, features), np.float32),
        log_q_C=nothing_C,
    )


def user_hash(user_id: str) -> int:
    """63 bits that stand for a user where an id would be too long to keep; never 0."""
    digest = blake2b(user_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) >> 1 or 1


def forgetting(examples: Sequence[Example]) -> tuple[list[Example], list[str]]:
    """What may be learned of consecutive examples, and the users to forget first.

    A user's examples before the mark are not learned at all; those after it are.
    """
    last = {e.user_id: at for at, e in enumerate(examples) if e.kind is ExampleKind.FORGET}
    kept = [
        e
        for at, e in enumerate(examples)
        if e.kind is not ExampleKind.FORGET and at > last.get(e.user_id, -1)
    ]
    return kept, list(last)
