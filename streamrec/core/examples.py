"""Labelled training examples: the user *as it was before* and what came of it.

Knows the shape of an example and of a mini-batch. Does not know how features are
computed (``core.features``) or learned from (``model``).

Shapes: C candidates, F live-statistics features (``core.features.FEATURES``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


class ExampleKind(StrEnum):
    """Where the candidates came from."""

    IMPRESSION = "impression"  # all were shown to the user; the labels are real
    NEXT_CLICK = "next_click"  # the first was accepted; the others were sampled
    VIEW = "view"  # one item shown alone


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
