"""What is learned from: the user *as it was before* and what came of it, one decision at a time.

Knows whose an example is and where it stands in the log. What else it says is the task's that
made it (``ports.task``): a task's examples are a subclass of ``Example``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from streamrec.errors import InvalidField

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One decision of one user.

    ``(partition, offset, index)`` identifies it among its task's: the event that closed it, and
    the count of examples that event closed before. Examples of a partition come in that order.
    """

    partition: int
    offset: int
    index: int
    user_id: str
    produced_at_ms: int  # Kafka timestamp of the event that closed it (freshness starts here)
    forgets: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, eq=False)
class ForgetMark(Example):
    """Nothing to learn: tells whoever learns, in its place, to forget the user's before it."""

    asked_at_ms: int
    forgets: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, eq=False)
class TrainingBatch:
    """Consecutive examples of one task and one source partition. Topic ``training-batches``.

    ``[from_offset, to_offset)`` are source offsets: every event in the range has had its
    say in these examples or in an earlier batch.
    """

    partition: int
    from_offset: int
    to_offset: int
    feature_set: str  # digest of what its examples say; a trainer refuses another one
    examples: Sequence[Example]


def check_feature_set(batch: TrainingBatch, known: str) -> None:
    """Raises InvalidField for a batch whose examples say something else than ``known`` ones do."""
    if batch.feature_set != known:
        raise InvalidField(
            f"its examples are of set {batch.feature_set}, this trainer knows {known}: run "
            "feature workers and trainer at one version"
        )


def user_hash(user_id: str) -> int:
    """63 bits that stand for a user where an id would be too long to keep; never 0."""
    digest = blake2b(user_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) >> 1 or 1


def forgetting(examples: Sequence[Example]) -> tuple[list[Example], list[str]]:
    """What may be learned of consecutive examples, and the users to forget first.

    A user's examples before the mark are not learned at all; those after it are.
    """
    last = {e.user_id: at for at, e in enumerate(examples) if e.forgets}
    kept = [e for at, e in enumerate(examples) if not e.forgets and at > last.get(e.user_id, -1)]
    return kept, list(last)
