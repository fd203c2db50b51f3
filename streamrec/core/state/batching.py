"""When a mini-batch is cut, and which source offsets it covers.

Time is handed in.

A batch is cut when it is full (by count or by bytes) or its first example is old enough.
Batches of a partition tile its offsets: one's ``from_offset`` is the ``to_offset`` of the
one before. The first after a takeover starts at 0, because nobody remembers where the last
one ended: covering too much is harmless, a hole would be an alarm.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from streamrec.core.examples import Example, TrainingBatch


@dataclass(frozen=True, slots=True)
class BatchRules:
    """A batch holds at most so many examples and bytes; its first waits at most so long."""

    examples: int
    bytes: int
    age_ms: int


class _Waiting(NamedTuple):
    example: Example
    size_bytes: int
    since_ms: int


class Batcher:
    """Examples of one source partition that are not yet in a batch."""

    def __init__(self, partition: int, feature_set: str, rules: BatchRules) -> None:
        self._partition = partition
        self._feature_set = feature_set
        self._rules = rules
        self._waiting: deque[_Waiting] = deque()
        self._covered_through = 0
        self._holes: deque[tuple[int, int]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def oldest(self) -> int | None:
        """The source offset of the example that has waited longest."""
        return self._waiting[0].example.offset if self._waiting else None

    def leave_out(self, holes: Iterable[tuple[int, int]]) -> None:
        """Source offsets ``[start, end)``, ascending, that no batch may cover: they are lost."""
        self._holes.extend(holes)

    def add(self, example: Example, size_bytes: int, now_ms: int) -> None:
        """``size_bytes``: what it adds to a message. Examples come in order."""
        self._waiting.append(_Waiting(example, size_bytes, now_ms))

    def cut(self, now_ms: int, position: int, *, everything: bool = False) -> list[TrainingBatch]:
        """Batches that are full or old enough; with ``everything``, all that wait.

        ``position`` is the next source offset: all events before it have had their say.
        """
        batches = []
        while self._waiting:
            batches += self._up_to_holes(self._waiting[0].example.offset)
            count, full = self._fitting()
            old = now_ms - self._waiting[0].since_ms >= self._rules.age_ms
            if not (full or old or everything):
                break
            taken = tuple(self._waiting.popleft().example for _ in range(count))
            through = self._waiting[0].example.offset if self._waiting else position
            if self._holes:
                through = min(through, max(self._holes[0][0], taken[-1].offset))
            batches.append(self._batch(through, taken))
        return batches

    def _up_to_holes(self, offset: int) -> list[TrainingBatch]:
        """A batch of nothing up to each hole before ``offset``; the next begins behind it."""
        batches = []
        while self._holes and self._holes[0][1] <= offset:
            start, end = self._holes.popleft()
            if start > self._covered_through:
                batches.append(self._batch(start, ()))
            self._covered_through = max(self._covered_through, end)
        return batches

    def _batch(self, through: int, examples: tuple[Example, ...]) -> TrainingBatch:
        begin, self._covered_through = self._covered_through, through
        return TrainingBatch(self._partition, begin, through, self._feature_set, examples)

    def _fitting(self) -> tuple[int, bool]:
        """How many examples the next batch takes (at least one), and whether that fills it."""
        count = size = 0
        hole_end = self._holes[0][1] if self._holes else None
        for waiting in self._waiting:
            if hole_end is not None and waiting.example.offset >= hole_end:
                return count, True
            size += waiting.size_bytes
            if count and (count == self._rules.examples or size > self._rules.bytes):
                return count, True
            count += 1
        return count, count >= self._rules.examples


def halves(batch: TrainingBatch) -> tuple[TrainingBatch, TrainingBatch]:
    """The same examples in two batches, as if they had been cut so."""
    middle = len(batch.examples) // 2
    first, second = batch.examples[:middle], batch.examples[middle:]
    at = second[0].offset
    return replace(batch, to_offset=at, examples=first), replace(
        batch, from_offset=at, examples=second
    )
