"""Whatever the transport does with batches, every example is trained exactly once."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamrec.core.examples import TrainingBatch
from streamrec.core.ledger import ledger as watermarks
from streamrec.core.ledger.ledger import ExamplePosition, Ledger, OffsetSpan
from streamrec.tasks.ranking.examples import ExampleKind, RankingExample


def example(partition: int, offset: int, index: int) -> RankingExample:
    zeros = np.zeros(2, np.float32)
    return RankingExample(
        partition, offset, index, "u", 0, ExampleKind.NEXT_CLICK, 0, (), ("a", "b"),
        np.array([1, 0], np.float32), np.zeros((2, 1), np.float32), zeros,
    )  # fmt: skip


# how many examples each event of a partition closes: most none or one, some several
closed_counts = st.lists(st.integers(0, 3), min_size=1, max_size=30)


def cut(partition: int, log: list[RankingExample], end: int, cuts: set[int]) -> list[TrainingBatch]:
    """Batches of a partition's examples, cut after the given counts of examples."""
    batches, start, begin = [], 0, 0
    for stop in [*sorted(c for c in cuts if 0 < c < len(log)), len(log)]:
        part = log[start:stop]
        if stop == len(log):
            to = end
        elif log[stop].offset == log[stop - 1].offset:  # inside one event
            to = log[stop].offset
        else:
            to = log[stop - 1].offset + 1
        batches.append(TrainingBatch(partition, begin, to, "f", part))
        start, begin = stop, to
    return batches


def sent_whole(lane: list[TrainingBatch], batches: list[TrainingBatch]) -> int:
    """How many of the batches bring nothing new any more: a sender starts at most after them."""
    places = {(e.offset, e.index) for batch in lane for e in batch.examples}
    reached = max((batch.to_offset for batch in lane), default=0)
    for number, batch in enumerate(batches):
        known = all((e.offset, e.index) in places for e in batch.examples)
        if not known or batch.to_offset > reached:
            return number
    return len(batches)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[TrainingBatch], dict[int, list[RankingExample]]]:
    """Batches as an at-least-once transport brings them: sent again, cut otherwise, interleaved."""
    logs: dict[int, list[RankingExample]] = {}
    lanes: list[list[TrainingBatch]] = []
    for partition in range(draw(st.integers(1, 3))):
        counts = draw(closed_counts)
        log = [example(partition, o, i) for o, n in enumerate(counts) for i in range(n)]
        logs[partition] = log
        some = st.sets(st.integers(1, max(1, len(log))), max_size=8)
        lane: list[TrainingBatch] = []
        for _ in range(draw(st.integers(1, 4))):  # each incarnation sends from some point on
            batches = cut(partition, log, len(counts), draw(some))
            begin = draw(st.integers(0, sent_whole(lane, batches)))
            stop = draw(st.integers(begin, len(batches)))
            lane += batches[begin:stop]
        lane += cut(partition, log, len(counts), draw(some))  # the last one gets through
        lanes.append(lane)
    order = [p for p, lane in enumerate(lanes) for _ in lane]
    random.Random(draw(st.integers(0, 999))).shuffle(order)
    rest = [iter(lane) for lane in lanes]
    return [next(rest[p]) for p in order], logs


@given(deliveries())
def test_every_example_is_trained_exactly_once_and_in_order(
    case: tuple[list[TrainingBatch], dict[int, list[RankingExample]]],
) -> None:
    batches, logs = case
    ledger, trained = Ledger(), []
    for batch in batches:
        ledger, intake = ledger.admit(batch)
        assert intake.hole is None
        trained += intake.fresh
    for partition, log in logs.items():
        got = [(e.offset, e.index) for e in trained if e.partition == partition]
        assert got == [(e.offset, e.index) for e in log]
        mark = ledger.partitions[partition]
        assert mark.trained == len(log)
        assert mark.checksum == sum(map(watermarks.checksum, log)) % 2**64
        assert mark.spans in ((), (OffsetSpan(0, mark.position.offset),))
        assert mark.holes == ()
    assert ledger.trained == len(trained)


@given(deliveries(), st.integers(0, 100))
def test_a_crash_between_two_batches_changes_nothing(
    case: tuple[list[TrainingBatch], dict[int, list[RankingExample]]], stop: int
) -> None:
    """A checkpoint is the record of the ledger; from it the rest of the log leads to the same."""
    batches, _ = case
    straight, resumed = Ledger(), Ledger()
    for number, batch in enumerate(batches):
        if number == stop:
            resumed = watermarks.from_record(watermarks.to_record(resumed))
        straight, _ = straight.admit(batch)
        resumed, _ = resumed.admit(batch)
    assert resumed == straight


@given(closed_counts, st.sets(st.integers(1, 60), max_size=8), st.integers(0, 8))
def test_a_lost_batch_is_found_and_named(counts: list[int], cuts: set[int], lost: int) -> None:
    log = [example(0, o, i) for o, n in enumerate(counts) for i in range(n)]
    batches = cut(0, log, len(counts), cuts)
    gone = batches[lost] if 0 < lost < len(batches) else None
    ledger, holes = Ledger(), []
    for batch in batches:
        if batch is not gone:
            ledger, intake = ledger.admit(batch)
            holes += [intake.hole] if intake.hole else []
    covered = gone is None or gone is batches[-1] or gone.from_offset == gone.to_offset
    assert holes == (
        [] if covered or gone is None else [OffsetSpan(gone.from_offset, gone.to_offset)]
    )
    mark = ledger.partitions[0]
    assert mark.lost == sum(hole.end - hole.start for hole in holes)
    assert mark.holes == tuple(holes)


@given(deliveries(), st.integers(0, 100))
def test_a_generation_and_the_rest_add_up(
    case: tuple[list[TrainingBatch], dict[int, list[RankingExample]]], taken_at: int
) -> None:
    """What a candidate takes over and what came while it was judged: no offset twice or never."""
    batches, _ = case
    ledger, taken = Ledger(), Ledger()
    for number, batch in enumerate(batches):
        ledger, _ = ledger.admit(batch)
        if number == taken_at:
            taken = ledger
    rest = watermarks.subtract(ledger, taken)
    for partition, mark in ledger.partitions.items():
        before = taken.partitions.get(partition)
        old = list(before.spans) if before else []
        new = list(rest.partitions[partition].spans)
        joined = [o for span in old + new for o in range(*span)]
        assert joined == [o for span in mark.spans for o in range(*span)]
        assert rest.partitions[partition].position == mark.position


def test_positions_order_by_offset_then_index() -> None:
    assert ExamplePosition(3, 9) < ExamplePosition(4, 0) < ExamplePosition(4, 1)
