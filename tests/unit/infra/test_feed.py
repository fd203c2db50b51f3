"""What the feed does with partitions, over a consumer and a sink made of lists."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from types import SimpleNamespace

import pytest

from streamrec.core.events import Source
from streamrec.core.state.source_log import Log, SourceLog
from streamrec.errors import PositionConflict, Repartitioned, Unavailable
from streamrec.infra.feeds.feed import TP, Feed, Waits
from streamrec.settings import KafkaSettings

EVENTS, ITEMS = TP("x.events", 0), TP("x.items", 0)


class FakeConsumer:
    """A log of offsets per partition, and where we read it."""

    def __init__(self, **ends: int) -> None:
        self.ends = {TP(f"x.{topic}", 0): end for topic, end in ends.items()}
        self.known = self.ends  # what the broker says
        self.at: dict[TP, int] = dict.fromkeys(self.ends, 0)
        self.flowing = True
        self.topic_id = ""
        self.counts = True
        self.seeks: list[tuple[TP, int]] = []

    async def fetch(self, timeout_s):
        await asyncio.sleep(0)
        found = {}
        for tp, at in self.at.items():
            if at < self.ends[tp]:
                found[tp] = [
                    SimpleNamespace(
                        offset=n, timestamp=0, timestamp_type=0, key=b"", value=b"", headers=()
                    )
                    for n in range(at, self.ends[tp])
                ]
                self.at[tp] = self.ends[tp]
        if not found:
            await asyncio.sleep(0.005)
        return found, self.counts

    async def seek_wait(self, partitions):
        for tp, offset in partitions.items():
            self.at[tp] = offset
            self.seeks.append((tp, offset))

    def highwater(self, tp):
        return self.known[tp]

    def place(self, tp):
        return self.at[tp]

    async def tell(self, places):
        self.told = dict(places)


class FakeSink:
    def __init__(self, **positions: int) -> None:
        self.positions = defaultdict(int, {Source(t, 0): p for t, p in positions.items()})
        self.applied: list[tuple[str, int]] = []
        self.trouble: list[Exception] = []
        self.settled = False
        self.logs: dict[Source, SourceLog] = defaultdict(SourceLog)
        self.lost: set[Source] = set()  # whose memory has come into doubt

    def take_over(self, source):
        self.lost.discard(source)
        return self.positions[source]

    def log_of(self, source):
        return self.logs[source]

    def keep_log(self, source, log):
        self.logs[source] = log

    def holds(self, source):
        return source not in self.lost

    def pass_over(self, source, position):
        self.positions[source] = max(position, self.positions[source])

    def release(self, source):
        pass

    def ingest(self, source, records):
        if self.trouble:
            raise self.trouble.pop()
        for record in records:
            if record.offset >= self.positions[source]:
                self.applied.append((source.topic, record.offset))
                self.positions[source] = record.offset + 1
        return self.positions[source]

    def tick(self):
        pass

    def settle(self):
        self.settled = True

    def items_position(self, partition):
        return self.positions[Source("items", partition)]


def drive(sink, consumer, steps=12, firsts=None, meanwhile=None, **waits):
    firsts = firsts or {}

    def bounds(names):
        return {
            (tp.topic[2:], tp.partition): Log(firsts.get(tp, 0), end, consumer.topic_id)
            for tp, end in consumer.ends.items()
        }

    async def run():
        soon = Waits(**{"pause_s": 0.01, "catalogue_pause_s": 0.01, **waits})
        feed = Feed(KafkaSettings(topic_prefix="x."), sink, 3, bounds, soon)
        feed.reassign(set(consumer.ends))
        try:
            for step in range(steps):
                await feed.step(consumer)
                await asyncio.sleep(0.005)
                if meanwhile:
                    meanwhile(step, feed)
            await feed.settle()
        finally:
            feed.close()
        return feed

    return asyncio.run(run())


def events(count: int, start: int = 0) -> list[tuple[str, int]]:
    return [("events", n) for n in range(start, count)]


def test_it_continues_where_the_store_stands_whatever_was_fetched_before():
    sink, consumer = FakeSink(events=4), FakeConsumer(items=0, events=10)
    feed = drive(sink, consumer)
    assert sink.applied == events(10, start=4)
    assert (EVENTS, 4) in consumer.seeks
    assert feed.lag[Source("events", 0)] == 0
    assert sink.settled


def test_the_catalogue_that_was_there_goes_first():
    sink, consumer = FakeSink(), FakeConsumer(items=5, events=5)
    drive(sink, consumer)
    assert sink.applied == [("items", n) for n in range(5)] + events(5)


def test_events_do_not_wait_for_the_catalogue_for_ever(caplog):
    sink, consumer = FakeSink(), FakeConsumer(items=5, events=5)
    consumer.at[ITEMS] = 5

    async def lost(partitions):
        await FakeConsumer.seek_wait(consumer, {t: p for t, p in partitions.items() if t != ITEMS})

    consumer.seek_wait = lost
    drive(sink, consumer, catalogue_wait_s=0.0)
    assert sink.applied == events(5)
    assert "events start before the catalogue is whole" in caplog.text


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        (PositionConflict("events-0", 0, 5), "another writer"),
        (Unavailable("Redis: gone", 0.01), "Redis: gone"),
    ],
)
def test_a_partition_in_doubt_is_taken_over_again(trouble, message, caplog):
    sink, consumer = FakeSink(), FakeConsumer(items=0, events=7)
    sink.trouble = [trouble]
    drive(sink, consumer)
    assert sink.applied == events(7)
    assert [seek for seek in consumer.seeks if seek[0] == EVENTS] == [(EVENTS, 0)] * 2
    assert message in caplog.text


def test_a_partition_whose_memory_was_dropped_is_taken_over_again_though_nothing_comes():
    sink, consumer = FakeSink(), FakeConsumer(events=4)

    def drop(step, feed):
        if step == 6:
            sink.lost.add(Source("events", 0))

    drive(sink, consumer, meanwhile=drop)
    assert consumer.seeks == [(EVENTS, 0), (EVENTS, 4)]
    assert not sink.lost


def test_missing_offsets_are_read_again():
    sink, consumer = FakeSink(), FakeConsumer(items=0, events=7)

    def skip_ahead(step, feed):
        if step == 4:
            consumer.ends[EVENTS] = 12
            consumer.at[EVENTS] = 10  # as if 7 to 9 had been fetched and lost

    drive(sink, consumer, meanwhile=skip_ahead)
    assert sink.applied == events(12)


def test_a_record_that_cannot_be_taken_now_is_never_passed():
    sink, consumer = FakeSink(), FakeConsumer(items=0, events=7)
    ingest = sink.ingest

    def up_to_the_fifth(source, records):
        if records[0].offset == 5:
            raise Repartitioned("more partitions", 0.001)
        return ingest(source, [record for record in records if record.offset < 5])

    sink.ingest = up_to_the_fifth
    drive(sink, consumer, steps=20, pass_s=0.0)
    assert sink.positions[Source("events", 0)] == 5
    sink.ingest = ingest
    drive(sink, consumer)
    assert sink.applied == events(7)


def test_what_a_rebalance_interrupted_is_read_again():
    sink, consumer = FakeSink(), FakeConsumer(items=0, events=7)
    consumer.counts = False

    def calm_down(step, feed):
        consumer.counts = step > 3

    drive(sink, consumer, meanwhile=calm_down)
    assert sink.applied == events(7)


def test_a_partition_that_stands_still_is_sought_again():
    sink, consumer = FakeSink(), FakeConsumer(items=0, events=0)

    def lose(step, feed):
        if step == 3:
            consumer.ends[EVENTS] = consumer.at[EVENTS] = 5

    drive(sink, consumer, meanwhile=lose, stall_s=0.01)
    assert sink.applied == events(5)


def test_the_first_event_after_a_silence_is_no_stall(caplog):
    sink, consumer = FakeSink(), FakeConsumer(items=0, events=1)
    end = consumer.known = consumer.ends.copy()

    def after_a_silence(step, feed):
        if step == 20:  # 0.1 s later the end is known a step before the event is there
            end[EVENTS] = 2
        elif step == 21:
            consumer.ends[EVENTS] = 2

    drive(sink, consumer, steps=24, meanwhile=after_a_silence, stall_s=0.05)
    assert sink.applied == events(2)
    assert "seeking again" not in caplog.text


def test_a_partition_is_not_silent_while_another_is_ingested(caplog):
    sink, consumer = FakeSink(), FakeConsumer(items=1, events=1)
    end = consumer.known = consumer.ends.copy()
    ingest = sink.ingest

    def slowly(source, records):
        time.sleep(0.03)
        return ingest(source, records)

    sink.ingest = slowly

    def more_items(step, feed):
        end[EVENTS] = 2  # there is one, but the busy consumer has not been given it
        consumer.ends[ITEMS] += 1

    drive(sink, consumer, steps=6, meanwhile=more_items, stall_s=0.05)
    assert "seeking again" not in caplog.text


def test_a_store_that_is_away_at_the_start_is_waited_for(caplog):
    sink, consumer = FakeSink(), FakeConsumer(items=0, events=3)
    answers = [Unavailable("Redis: asleep", 0.01)]

    def take_over(source):
        if answers:
            raise answers.pop()
        return sink.positions[source]

    sink.take_over = take_over
    drive(sink, consumer)
    assert sink.applied == events(3)
    assert "waiting 0.01 s: Redis: asleep" in caplog.text


def test_a_new_state_begins_where_an_old_log_begins():
    sink, consumer = FakeSink(), FakeConsumer(items=0, events=9)
    drive(sink, consumer, firsts={EVENTS: 6})
    assert sink.applied == events(9, start=6)


@pytest.mark.parametrize(("position", "first"), [(4, 6), (12, 0)])
def test_a_log_that_does_not_fit_is_not_skipped_over(position, first):
    sink, consumer = FakeSink(events=position), FakeConsumer(items=3, events=9)
    feed = drive(sink, consumer, firsts={EVENTS: first}, park_s=0.0)
    assert feed.parked.keys() == {Source("events", 0)}
    assert sink.applied == [("items", n) for n in range(3)], "the others go on"


def test_a_topic_made_again_is_known_by_its_id_and_a_catalogue_is_read_again():
    sink, consumer = FakeSink(events=4, items=2), FakeConsumer(items=6, events=9)
    sink.logs.update({Source(topic, 0): SourceLog("before") for topic in ("events", "items")})
    consumer.topic_id = "after"
    feed = drive(sink, consumer, park_s=0.0)
    assert feed.parked.keys() == {Source("events", 0)}
    assert sink.applied == [("items", n + 2) for n in range(6)]
    sink.logs[Source("events", 0)] = SourceLog("after", base=4)
    feed = drive(sink, consumer)
    assert feed.parked == {}
    assert sink.applied[6:] == events(13, start=4)


def test_a_topic_made_again_while_we_read_it_is_noticed():
    sink, consumer = FakeSink(), FakeConsumer(items=0, events=5)
    consumer.topic_id = "before"

    def remake(step, feed):
        if step == 6:
            consumer.topic_id, consumer.ends[EVENTS] = "after", 8

    feed = drive(sink, consumer, meanwhile=remake, look_s=0.0, park_s=0.0)
    assert "made again" in feed.parked[Source("events", 0)]


def test_compaction_may_take_items_away():
    sink, consumer = FakeSink(items=2), FakeConsumer(items=9, events=0)
    drive(sink, consumer, firsts={ITEMS: 5})
    assert sink.applied == [("items", n) for n in range(5, 9)]


def test_a_partition_that_moved_on_while_the_broker_was_asked_is_forgotten():
    """Found by a drill: it came back as ours, failed, and kept those behind it from starting."""
    consumer, sink = FakeConsumer(items=3, events=3), FakeSink()

    async def run():
        def bounds(names):
            asyncio.run_coroutine_threadsafe(move_on(), loop).result()
            return {(tp.topic[2:], tp.partition): Log(0, 3) for tp in consumer.ends}

        async def move_on():
            feed.reassign({ITEMS})

        loop = asyncio.get_running_loop()
        feed = Feed(KafkaSettings(topic_prefix="x."), sink, 3, bounds)
        feed.reassign({EVENTS, ITEMS})
        for _ in range(4):
            await feed.step(consumer)
            await asyncio.sleep(0.02)
        await feed.settle()
        feed.close()

    asyncio.run(run())
    assert {tp for tp, _ in consumer.seeks} == {ITEMS}
