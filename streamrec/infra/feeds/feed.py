"""Moves fetched records into the ingest stage, partition by partition.

Knows which partitions are taken over, which are in doubt, and when to try again. Does not
know faust (``infra.feeds.faust_app``), nor what ingesting means (``loop.ingesting.ingest``).

The consumer gives what can be read, in order, and never moves by itself: what lies between two
records (the ends of transactions, what was taken back, what compaction has removed) holds
nothing, and is passed. A place that the log no longer has is told (``lose_places``).

What cannot go on (``core.state.source_log``) is *parked*: it is looked at again every few seconds,
and the others go on.

A partition is *closed* (assigned, not taken over, not before some moment) or *open* (its
memory is loaded and the consumer was sought to its position). Whatever goes wrong with it
(a lost race, a gap, a store or broker unavailable, a rebalance) closes it; it is then taken over
again. All calls of the sink happen in one thread, one after the other; while a run is
ingested nothing is fetched: that is the back-pressure.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from aiokafka.errors import KafkaError

from streamrec.core import topics
from streamrec.core.events import Source
from streamrec.core.state.source_log import Continuation, Log, SourceLog, begun_anew, parting
from streamrec.errors import PositionConflict, Unavailable, UserError
from streamrec.infra.wire.kafka import LOG_APPEND_TIME, full_name
from streamrec.loop.ingesting.raw import RawRecord
from streamrec.ports.tracing import carried
from streamrec.settings import KafkaSettings

if TYPE_CHECKING:
    from streamrec.infra.feeds.faust_app import Consumer
    from streamrec.loop.ingesting.ingest import Ingest

log = logging.getLogger(__name__)

T = TypeVar("T")

TICK_S = 0.05
"""How long a fetch waits for records before the clock gets its turn."""


@dataclass(frozen=True)
class Waits:
    pause_s: float = 1.0
    """Before a partition in doubt is taken over again."""
    stall_s: float = 15.0
    """A partition behind its log that gave nothing in so long a time spent fetching is taken
    over again."""
    pass_s: float = 1.0
    """How often a position is moved over what nobody reads."""
    park_s: float = 5.0
    """Before a partition that cannot go on is looked at again."""
    say_s: float = 60.0
    look_s: float = 10.0
    """How often the broker is asked whether the logs are still the same."""
    catalogue_pause_s: float = 0.2
    catalogue_wait_s: float = 15.0
    """How long events wait for the items that were in the log when we started."""


class TP(NamedTuple):
    """A partition by the topic's full name; equal to faust's and aiokafka's own."""

    topic: str
    partition: int


NEW = "it was added to events, and the state of users is laid out for fewer partitions"

Bounds = Mapping[tuple[str, int], Log]
"""By (short topic name, partition)."""


class Feed:
    """See the module. ``bounds`` asks the broker what the logs of some topics hold."""

    def __init__(
        self,
        kafka: KafkaSettings,
        sink: Ingest,
        run_events: int,
        bounds: Callable[[Sequence[str]], Bounds],
        waits: Waits = Waits(),
        *,
        events_partitions: int | None = None,
    ) -> None:
        """``events_partitions``: those that state is laid out for; None: all there are."""
        self._waits = waits
        self.failure: UserError | None = None
        self._laid_out = events_partitions
        self.parked: dict[Source, str] = {}  # cannot go on -> why
        self._places: dict[TP, SourceLog] = {}  # as taken over
        self._said_s = self._looked_s = 0.0
        self.lag: dict[Source, int] = {}
        self._ask_bounds = bounds
        self._sink = sink
        self._run_events = run_events
        self._sources = {full_name(kafka, topic): topic for topic in (topics.ITEMS, topics.EVENTS)}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ingest")
        self._open: dict[TP, int] = {}  # taken over -> next offset wanted
        self._closed: dict[TP, float] = {}  # assigned, not taken over -> not before
        self._passed_s = 0.0  # when positions were last moved without a record
        self._listened_s = 0.0  # spent fetching: while a run is ingested nobody can be heard
        self._heard: dict[TP, float] = {}  # _listened_s when it last gave records, or had none
        self._stopping = False
        self._catalogue_due: dict[int, int] | None = None
        self._catalogue_deadline = 0.0

    # -- what the consumer tells ------------------------------------------------------

    def reassign(self, assigned: set[TP]) -> None:
        """These partitions are ours now; none is taken over."""
        gone = (self._open.keys() | self._closed.keys()) - assigned
        self._open.clear()
        self._closed = dict.fromkeys(sorted(assigned), 0.0)
        for tp in gone:
            self.lag.pop(self._source(tp), None)
            self.parked.pop(self._source(tp), None)
            self._thread.submit(self._sink.release, self._source(tp))

    async def step(self, consumer: Consumer) -> None:
        """Take over what is due, fetch once, ingest it, give the clock its turn."""
        if self._stopping:
            await asyncio.sleep(TICK_S)
            return
        if consumer.flowing:
            await self._take_over_due(consumer)
        self._check_places(consumer)
        began_s = _now()
        records, counts = await consumer.fetch(TICK_S)
        self._listened_s += _now() - began_s
        for tp in sorted(records, key=self._items_first):
            if counts:
                await self._deliver(consumer, tp, records[tp])
            else:
                self._doubt(tp, 0)
        for tp in self._open:
            self._open[tp] = max(self._open[tp], consumer.place(tp) or 0)
        await self._tick(consumer)

    def lose_places(self, places: Iterable[TP]) -> None:
        """The log holds nothing where we stand in these partitions: it is looked at again."""
        for tp in places:
            log.warning("%s: the log does not hold the place we stand at", self._source(tp))
            self._doubt(tp, 0)

    async def come_round(self) -> None:
        """Return when the ingest thread has done what it was asked before."""
        if not self._stopping:
            await self._call(lambda: None)

    async def settle(self) -> None:
        """Take nothing more, finish the run in hand, wait for Kafka's acknowledgements."""
        self._stopping = True
        try:
            await self._call(self._sink.settle)
        except Unavailable as error:
            log.warning("stopping with messages in the outboxes: %s", error)

    def close(self) -> None:
        """Let go of the ingest thread."""
        self._thread.shutdown()

    # -- taking over ------------------------------------------------------------------

    async def _take_over_due(self, consumer: Consumer) -> None:
        now = _now()
        due = [tp for tp, not_before in self._closed.items() if not_before <= now]
        if not due:
            return
        try:
            # asked on a connection of its own: faust's waits behind a long poll
            bounds = await self._call(self._ask_bounds, list(self._sources.values()))
            for tp in sorted(due, key=self._items_first):
                source = self._source(tp)
                if tp not in self._closed:
                    continue  # assigned to somebody else while the broker was asked
                if source.topic == topics.EVENTS and not await self._catalogue_ready(bounds):
                    self._closed[tp] = _now() + self._waits.catalogue_pause_s
                else:
                    await self._take_over(consumer, tp, source, bounds[source])
        except (Unavailable, UserError, KafkaError, TimeoutError) as error:
            pause_s = error.retry_after_s if isinstance(error, Unavailable) else self._waits.pause_s
            log.warning("waiting %g s: %s", pause_s, error)
            self._closed = {tp: _now() + pause_s for tp in self._closed}

    async def _take_over(self, consumer: Consumer, tp: TP, source: Source, found: Log) -> None:
        if self._is_new(source):
            self._park(tp, source, 0, NEW, "state migrate")
            return
        position = await self._call(self._sink.take_over, source)
        kept = await self._call(self._sink.log_of, source)
        on = parting(position, kept, found)
        if on is not None and source.topic == topics.EVENTS:
            self._park(tp, source, position, on.why, "state continue")
            return
        self.parked.pop(source, None)
        kept = await self._settled_log(source, position, kept, found, on)
        place = position - kept.base
        if place < found.first:  # never read before; or compaction has taken it away
            place = found.first
            await self._call(self._sink.pass_over, source, place + kept.base)
        await consumer.seek_wait({tp: place})
        if self._closed.pop(tp, None) is None:
            return  # assigned to somebody else meanwhile
        self._open[tp], self._heard[tp] = place, self._listened_s
        self._places[tp] = kept
        log.info("%s continues at offset %d", source, place)

    async def _settled_log(
        self, source: Source, position: int, kept: SourceLog, found: Log, on: Continuation | None
    ) -> SourceLog:
        """The log it goes on with. A catalogue is read again where its log is another."""
        settled = replace(kept, topic_id=found.topic_id or kept.topic_id)
        if on is not None and on.log != kept:
            log.warning("%s: %s; it is read from its start", source, on.why)
            settled = begun_anew(position, found)
        if settled != kept:
            await self._call(self._sink.keep_log, source, settled)
        return settled

    def _is_new(self, source: Source) -> bool:
        """Whether state is laid out for fewer partitions than this one makes."""
        if source.topic != topics.EVENTS or self._laid_out is None:
            return False
        return source.partition >= self._laid_out

    def _park(self, tp: TP, source: Source, position: int, why: str, command: str) -> None:
        new = self.parked.get(source) != why
        self.parked[source] = why
        if new or _now() - self._said_s > self._waits.say_s:
            self._said_s = _now()
            log.error(
                "%s waits at offset %d: %s. `streamrec %s` says what to do; the others go on",
                source, position, why, command,
            )  # fmt: skip
        self._closed[tp] = _now() + self._waits.park_s

    async def _look_again(self) -> None:
        """Whether the logs are still those we took over."""
        if _now() - self._looked_s < self._waits.look_s:
            return
        self._looked_s = _now()
        try:
            bounds = await self._call(self._ask_bounds, list(self._sources.values()))
        except (Unavailable, UserError) as error:
            log.debug("looking at the logs again: %s", error)
            return
        for tp in list(self._open):
            found, kept = bounds.get(self._source(tp)), self._places[tp]
            if found and found.topic_id != kept.topic_id and found.topic_id:
                self._doubt(tp, 0)

    async def _catalogue_ends(self, bounds: Bounds) -> dict[int, int]:
        ends = {}
        for (topic, number), found in bounds.items():
            if topic == topics.ITEMS:
                kept = await self._call(self._sink.log_of, Source(topic, number))
                same = kept.topic_id in ("", found.topic_id)
                ends[number] = found.end + (kept.base if same else 0)
        return ends

    async def _catalogue_ready(self, bounds: Bounds) -> bool:
        """Whether the items that were there when we started have been read.

        An event of an unknown item is folded but cannot become an example, so on a log that
        was full before we came the catalogue goes first; but not for ever.
        """
        if self._catalogue_due is None:
            self._catalogue_due = await self._catalogue_ends(bounds)
            self._catalogue_deadline = _now() + self._waits.catalogue_wait_s
        behind = {
            number: end
            for number, end in self._catalogue_due.items()
            if self._sink.items_position(number) < end
        }
        if behind and _now() > self._catalogue_deadline:
            log.warning("events start before the catalogue is whole; behind: %s", behind)
            behind = {}
        self._catalogue_due = behind
        return not behind

    # -- delivering -------------------------------------------------------------------

    async def _deliver(self, consumer: Consumer, tp: TP, records: Sequence[Any]) -> None:
        if tp not in self._open:
            return  # fetched before the seek
        source, size, base = self._source(tp), self._run_events, self._places[tp].base
        self._heard[tp] = self._listened_s
        for start in range(0, len(records), size):
            run = [_raw(r, base) for r in records[start : start + size]]
            if self._stopping or not consumer.flowing:
                self._doubt(tp, 0)  # the rest of what was fetched is read again
                return
            if not await self._ingest(tp, source, run):
                return

    async def _ingest(self, tp: TP, source: Source, run: Sequence[RawRecord]) -> bool:
        pause_s = self._waits.pause_s
        try:
            wanted = await self._call(self._sink.ingest, source, run)
        except PositionConflict as error:
            log.warning("its state is read, and folded from there, again: %s", error)
        except Unavailable as error:
            pause_s = max(pause_s, error.retry_after_s)
            log.warning("%s pauses: %s", source, error)
        except asyncio.CancelledError:  # a rebalance; the rest of what was fetched is dropped
            self._doubt(tp, 0)
            raise
        else:
            if tp in self._open:
                self._open[tp] = wanted - self._places[tp].base
            if wanted == run[-1].offset + 1:
                return True
            pause_s = 0.0  # it stopped before a record that it cannot take now
        self._doubt(tp, pause_s)
        return False

    def _check_places(self, consumer: Consumer) -> None:
        """What was fetched and did not reach us (a fetch that was cancelled) is fetched again."""
        for tp, wanted in list(self._open.items()):
            place = consumer.place(tp)
            if place is not None and place != wanted:
                log.warning("%s is read at %d, not at %d", self._source(tp), place, wanted)
                self._doubt(tp, 0)

    async def _pass_over(self) -> None:
        """Where nothing but what nobody reads has come, the position moves without a record."""
        if _now() - self._passed_s < self._waits.pass_s:
            return
        self._passed_s = _now()
        for tp, wanted in list(self._open.items()):
            try:
                base = self._places[tp].base
                await self._call(self._sink.pass_over, self._source(tp), wanted + base)
            except (PositionConflict, Unavailable) as error:
                log.warning("%s pauses: %s", self._source(tp), error)
                self._doubt(tp, self._waits.pause_s)

    def _doubt(self, tp: TP, pause_s: float) -> None:
        """Take the partition over again, no sooner than in ``pause_s``."""
        if self._open.pop(tp, None) is not None:
            self._closed[tp] = _now() + pause_s

    async def _tick(self, consumer: Consumer) -> None:
        try:
            await self._call(self._sink.tick)
        except Unavailable as error:
            log.warning("everything pauses: %s", error)
            for tp in list(self._open):
                self._doubt(tp, error.retry_after_s)
        await self._pass_over()
        await consumer.tell(self._open)
        await self._look_again()
        for tp, wanted in list(self._open.items()):
            if not self._sink.holds(self._source(tp)):
                self._doubt(tp, 0)
                continue
            end = consumer.highwater(tp)
            if end is None:
                continue
            self.lag[self._source(tp)] = max(0, end - wanted)
            if end <= wanted:
                self._heard[tp] = self._listened_s  # silence counts from when there was something
            elif self._listened_s - self._heard[tp] > (stall_s := self._waits.stall_s):
                log.warning("%s got nothing for %g s, seeking again", self._source(tp), stall_s)
                self._doubt(tp, 0)

    async def _call(self, function: Callable[..., T], *args: Any) -> T:
        """Run one of the sink's methods in its thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    def _source(self, tp: TP) -> Source:
        return Source(self._sources[tp.topic], tp.partition)

    def _items_first(self, tp: TP) -> tuple[bool, int]:
        return self._sources[tp.topic] != topics.ITEMS, tp.partition


def _raw(record: Any, base: int) -> RawRecord:
    by_broker, trace = record.timestamp_type == LOG_APPEND_TIME, carried(record.headers)
    place, at_ms = record.offset + base, record.timestamp
    return RawRecord(place, at_ms, record.key, record.value, base, by_broker, trace)


def _now() -> float:
    return asyncio.get_running_loop().time()
