"""Which examples of a mini-batch are new, and the ledger of what was trained.

Knows the order of a source partition's examples, (offset, index), and that batches cover every
event offset: one batch's ``from_offset`` is the ``to_offset`` of the one before, unless it was
sent again.

Delivery is at least once: a feature worker that dies between publishing and forgetting
publishes again, and its successor may cut the batches elsewhere. An example is new when it
stands at or after its partition's position, so any sending again, splitting and
duplication trains each example exactly once (tests/property/core/test_ledger.py).

A batch may end inside one event's examples: its ``to_offset`` is then that event's own
offset, not the one after.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import pairwise
from typing import Any, NamedTuple

from streamrec.core.examples import Example, TrainingBatch
from streamrec.core.ledger import quarantine
from streamrec.core.ledger.quarantine import Quarantine
from streamrec.errors import InvalidField

_CHECKSUM_BITS = 64
CHECKSUM_MODULUS = 1 << _CHECKSUM_BITS


class ExamplePosition(NamedTuple):
    """The next example of a partition that has not been seen."""

    offset: int
    nth: int  # the example's index among those its event closed


class OffsetSpan(NamedTuple):
    """Source offsets ``[start, end)``."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Watermark:
    """How far one source partition has been trained, and what is owed an account of.

    ``trained`` and ``checksum`` (the sum of the examples' hashes) count since the beginning:
    equal to those of the log, they prove that each example was trained exactly once.
    """

    position: ExamplePosition
    spans: tuple[OffsetSpan, ...] = ()  # trained since the parent generation; apart only at holes
    holes: tuple[OffsetSpan, ...] = ()  # offsets since the parent: lost, refused or quarantined
    trained: int = 0
    quarantined: int = 0  # examples never trained because somebody said so, ever
    seen_again: int = 0
    lost: int = 0  # offsets that fell into holes, ever
    checksum: int = 0


@dataclass(frozen=True, slots=True)
class Intake:
    """What one batch brings."""

    fresh: tuple[Example, ...]
    seen_again: int  # examples dropped because they were trained before
    hole: OffsetSpan | None  # offsets missing right before the batch
    quarantined: int = 0  # examples that must not be trained


@dataclass(frozen=True, slots=True)
class Ledger:
    """The watermarks of all source partitions."""

    partitions: Mapping[int, Watermark] = field(default_factory=dict)

    @property
    def trained(self) -> int:
        return sum(mark.trained for mark in self.partitions.values())

    @property
    def trained_through(self) -> dict[int, int]:
        """Next offset not (wholly) trained, by source partition."""
        return {p: mark.position.offset for p, mark in sorted(self.partitions.items())}

    def admit(
        self, batch: TrainingBatch, ranges: Sequence[Quarantine] = ()
    ) -> tuple[Ledger, Intake]:
        """The ledger after training ``batch``, and what of it is new and not quarantined.

        Raises InvalidField when the batch contradicts itself.
        """
        _check(batch)
        mark = self._mark(batch)
        unseen = tuple(e for e in batch.examples if _place(e) >= mark.position)
        fresh = quarantine.admitted(unseen, ranges)
        hole = _hole(mark, batch)
        position = max(mark.position, ExamplePosition(batch.to_offset, 0), *map(_after, unseen))
        begin = hole.end if hole else mark.position.offset
        spans, holes = mark.spans, _extend(mark.holes, hole) if hole else mark.holes
        for a, b, skipped in quarantine.parts(begin, position.offset, batch.partition, ranges):
            if skipped:
                holes = _extend(holes, OffsetSpan(a, b))
            else:
                spans = _extend(spans, OffsetSpan(a, b))
        after = replace(
            mark,
            position=position,
            spans=spans,
            holes=holes,
            trained=mark.trained + len(fresh),
            quarantined=mark.quarantined + len(unseen) - len(fresh),
            seen_again=mark.seen_again + len(batch.examples) - len(unseen),
            lost=mark.lost + (hole.end - hole.start if hole else 0),
            checksum=(mark.checksum + sum(map(checksum, fresh))) % CHECKSUM_MODULUS,
        )
        intake = Intake(fresh, len(batch.examples) - len(unseen), hole, len(unseen) - len(fresh))
        return self._with(batch.partition, after), intake

    def skip(self, batch: TrainingBatch) -> tuple[Ledger, OffsetSpan | None]:
        """The ledger when the batch's events are given up: they become a hole."""
        mark = self._mark(batch)
        if batch.to_offset <= mark.position.offset:
            return self, None
        hole = OffsetSpan(mark.position.offset, batch.to_offset)
        after = replace(
            mark,
            position=ExamplePosition(batch.to_offset, 0),
            holes=_extend(mark.holes, hole),
            lost=mark.lost + hole.end - hole.start,
        )
        return self._with(batch.partition, after), hole

    def since_parent(self) -> dict[int, OffsetSpan]:
        """``[from, to)`` by partition: the hull of what the next generation learned from."""
        return {p: _hull(mark) for p, mark in sorted(self.partitions.items())}

    def holes_since_parent(self) -> dict[int, tuple[OffsetSpan, ...]]:
        return {p: m.holes for p, m in sorted(self.partitions.items()) if m.holes}

    @property
    def lost(self) -> int:
        return sum(mark.lost for mark in self.partitions.values())

    def _mark(self, batch: TrainingBatch) -> Watermark:
        start = Watermark(ExamplePosition(batch.from_offset, 0))
        return self.partitions.get(batch.partition, start)

    def _with(self, partition: int, mark: Watermark) -> Ledger:
        return Ledger({**self.partitions, partition: mark})


def subtract(later: Ledger, taken: Ledger) -> Ledger:
    """``later`` without the account that a generation made at ``taken`` has taken over.

    Training went on while the generation was judged; what came since stays owed.
    """
    marks = {}
    for partition, mark in later.partitions.items():
        before = taken.partitions.get(partition)
        start = before.position.offset if before else 0
        marks[partition] = replace(
            mark, spans=_from(mark.spans, start), holes=_from(mark.holes, start)
        )
    return Ledger(marks)


def give_up(later: Ledger, before: Ledger) -> Ledger:
    """``later`` when what was learned since ``before`` is forgotten: one hole per partition."""
    marks = {}
    for partition, mark in later.partitions.items():
        start = ExamplePosition(_hull(mark).start, 0)
        kept = before.partitions.get(partition, Watermark(start))
        hole = OffsetSpan(kept.position.offset, mark.position.offset)
        holes = _extend(kept.holes, hole)
        lost = kept.lost + hole.end - hole.start
        marks[partition] = replace(kept, position=mark.position, holes=holes, lost=lost)
    return Ledger(marks)


def checksum(example: Example) -> int:
    """A hash of the example's identity; sums of it do not depend on order."""
    name = f"{example.partition}:{example.offset}:{example.index}".encode()
    return int.from_bytes(blake2b(name, digest_size=_CHECKSUM_BITS // 8).digest(), "big")


def to_record(ledger: Ledger) -> dict[str, Any]:
    """A JSON-able form."""
    return {
        str(partition): {
            "position": list(mark.position),
            "spans": [list(span) for span in mark.spans],
            "holes": [list(span) for span in mark.holes],
            "trained": mark.trained,
            "quarantined": mark.quarantined,
            "seen_again": mark.seen_again,
            "lost": mark.lost,
            "checksum": f"{mark.checksum:016x}",
        }
        for partition, mark in sorted(ledger.partitions.items())
    }


def from_record(record: Mapping[str, Any]) -> Ledger:
    """Back from ``to_record``."""
    return Ledger(
        {
            int(partition): Watermark(
                position=ExamplePosition(*fields["position"]),
                spans=tuple(OffsetSpan(*span) for span in fields["spans"]),
                holes=tuple(OffsetSpan(*span) for span in fields["holes"]),
                trained=fields["trained"],
                quarantined=fields["quarantined"],
                seen_again=fields["seen_again"],
                lost=fields["lost"],
                checksum=int(fields["checksum"], 16),
            )
            for partition, fields in record.items()
        }
    )


def _check(batch: TrainingBatch) -> None:
    """Raises InvalidField unless the examples lie in the batch's range, in order."""
    if batch.from_offset > batch.to_offset:
        raise InvalidField(f"batch runs backwards: [{batch.from_offset}, {batch.to_offset})")
    places = [_place(example) for example in batch.examples]
    if any(example.partition != batch.partition for example in batch.examples):
        raise InvalidField(f"batch of partition {batch.partition} holds another's example")
    if any(a >= b for a, b in pairwise(places)):
        raise InvalidField("examples of a batch are out of order")
    if places and not (batch.from_offset <= places[0].offset <= places[-1].offset):
        raise InvalidField(f"an example lies before the batch's offset {batch.from_offset}")
    if places and places[-1].offset > batch.to_offset:
        raise InvalidField(f"an example lies beyond the batch's offset {batch.to_offset}")


def _hole(mark: Watermark, batch: TrainingBatch) -> OffsetSpan | None:
    missing = OffsetSpan(mark.position.offset, batch.from_offset)
    return missing if missing.end > missing.start else None


def _hull(mark: Watermark) -> OffsetSpan:
    """From the first offset owed an account to where the partition stands."""
    starts = [span.start for span in (*mark.spans[:1], *mark.holes[:1])]
    return OffsetSpan(min([mark.position.offset, *starts]), mark.position.offset)


def _place(example: Example) -> ExamplePosition:
    return ExamplePosition(example.offset, example.index)


def _after(example: Example) -> ExamplePosition:
    return ExamplePosition(example.offset, example.index + 1)


def _extend(spans: Sequence[OffsetSpan], new: OffsetSpan) -> tuple[OffsetSpan, ...]:
    """Ascending spans with one more at the end, merged where they touch."""
    if new.end <= new.start:
        return tuple(spans)
    if spans and spans[-1].end >= new.start:
        return (*spans[:-1], OffsetSpan(spans[-1].start, max(spans[-1].end, new.end)))
    return (*spans, new)


def _from(spans: Iterable[OffsetSpan], start: int) -> tuple[OffsetSpan, ...]:
    return tuple(OffsetSpan(max(s.start, start), s.end) for s in spans if s.end > start)
