"""Examples that must never be learned: ranges of source offsets, of everybody or of one user.

Knows which examples a range covers and how people write one. Does not know why it is
quarantined, nor how the learner gets rid of what it has learned (``loop.training.save_points``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from streamrec.errors import UserError

if TYPE_CHECKING:  # the command line knows registries without loading numpy
    from streamrec.core.examples import Example

MOST_RANGES = 64
"""A control record carries them all; it must stay small."""

_WRITTEN = re.compile(r"(\d+):(\d+)-(\d+)")


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The examples closed by the events ``[start, end)`` of one partition of ``events``."""

    partition: int
    start: int
    end: int
    user_id: str | None = None  # None: everybody's

    def covers(self, example: Example) -> bool:
        return (
            example.partition == self.partition
            and self.start <= example.offset < self.end
            and self.user_id in (None, example.user_id)
        )

    def __str__(self) -> str:
        of_user = f" of {self.user_id}" if self.user_id else ""
        return f"{self.partition}:{self.start}-{self.end}{of_user}"


def written(text: str, user_id: str | None = None) -> Quarantine:
    """``PARTITION:FROM-TO``, TO not included. Raises UserError."""
    found = _WRITTEN.fullmatch(text.strip())
    if found is None:
        raise UserError(f"{text!r} is not PARTITION:FROM-TO, as in 0:1200-1350")
    partition, start, end = map(int, found.groups())
    if start >= end:
        raise UserError(f"{text!r} holds nothing: TO is the first offset after the range")
    return Quarantine(partition, start, end, user_id)


def admitted(examples: Iterable[Example], ranges: Sequence[Quarantine]) -> tuple[Example, ...]:
    """The examples that no range covers, and every mark to forget somebody."""
    return tuple(e for e in examples if e.forgets or not any(at.covers(e) for at in ranges))


def parts(
    start: int, end: int, partition: int, ranges: Iterable[Quarantine]
) -> list[tuple[int, int, bool]]:
    """``[start, end)`` cut where quarantine begins or ends: (start, end, quarantined) each.

    Only ranges of everybody count: the offsets of one user's are learned from for others.
    """
    whole = [at for at in ranges if at.partition == partition and at.user_id is None]
    inside = {edge for at in whole for edge in (at.start, at.end) if start < edge < end}
    edges = sorted({start, end} | inside)
    return [(a, b, any(at.start <= a < at.end for at in whole)) for a, b in pairwise(edges)]


def covered_to(at: Quarantine, ranges: Iterable[Quarantine]) -> int:
    """Up to where ``at`` is covered by other ranges, without a gap: ``at.start`` if not at all."""
    reached = at.start
    for other in sorted(ranges, key=lambda q: q.start):
        same = other.partition == at.partition and other.user_id in (None, at.user_id)
        if same and other.start <= reached:
            reached = max(reached, other.end)
    return reached


def joined(before: Iterable[Quarantine], new: Iterable[Quarantine]) -> tuple[Quarantine, ...]:
    """Both, those that overlap or touch as one, in order. Raises UserError beyond MOST_RANGES."""
    merged: list[Quarantine] = []
    for at in sorted({*before, *new}, key=lambda q: (q.user_id or "", q.partition, q.start, q.end)):
        last = merged[-1] if merged else None
        if (
            last is not None
            and (last.user_id, last.partition) == (at.user_id, at.partition)
            and at.start <= last.end
        ):
            merged[-1] = Quarantine(at.partition, last.start, max(last.end, at.end), at.user_id)
        else:
            merged.append(at)
    if len(merged) > MOST_RANGES:
        raise UserError(
            f"{len(merged)} quarantined ranges are more than the {MOST_RANGES} a control record "
            "can carry: quarantine wider ones"
        )
    return tuple(merged)
