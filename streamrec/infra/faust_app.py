"""The feature worker's consumer: faust's group membership, our positions, our delivery.

Knows faust-streaming 0.15.3 from the inside, and is the only module that does. Does not
know what ingesting means (``stages.ingest``).

faust decides which partitions are ours. Everything else is overridden, because under
SIGKILL faust loses or repeats events (docs/adr/0020):

1. no tables and no commits: the truth about positions lives in the store;
2. after each assignment ``perform_seek`` marks all partitions as not taken over;
3. before fetching, the drain loop takes partitions over: memory and position from the
   store, a look at what the log still holds, a seek;
4. fetched records go to the sink in runs, one thread, one after the other. While a run is
   ingested nothing is fetched for it: that is the back-pressure;
5. whatever goes wrong with a partition (a lost race, a gap, a store or broker away) ends in
   2 for that partition, after a pause.

A rebalance never waits for the store: taking over is outside the group's callbacks.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

import faust
from aiokafka.errors import IllegalStateError, KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streamrec.core import topics
from streamrec.core.events import Source
from streamrec.errors import PositionConflict, SourceGap, Unavailable, UserError
from streamrec.infra.kafka import FRAME_BYTES, full_name, log_bounds
from streamrec.settings import KafkaSettings, SecurityProtocol
from streamrec.stages.raw import RawRecord

log = logging.getLogger(__name__)

T = TypeVar("T")

FAUST = "0.15.3"
TICK_S = 0.05
"""How long a fetch waits for records before the clock gets its turn."""
PAUSE_S = 1.0
"""Before a partition in doubt is taken over again."""
STALL_S = 15.0
"""A partition behind its log that gets nothing for so long is taken over again."""
CATALOGUE_PAUSE_S = 0.2
CATALOGUE_WAIT_S = 15.0
"""How long events wait for the items that were in the log when we started."""
FETCHED_RECORDS = 4000


class Sink(Protocol):
    """What the consumer drives: ``stages.ingest.Ingest``."""

    def take_over(self, source: Source) -> int: ...

    def start_at(self, source: Source, position: int) -> None: ...

    def release(self, source: Source) -> None: ...

    def ingest(self, source: Source, records: Sequence[RawRecord]) -> int: ...

    def tick(self) -> None: ...

    def settle(self) -> None: ...

    def items_position(self, partition: int) -> int: ...


class Feed:
    """Moves records from faust's consumer into the sink, partition by partition."""

    def __init__(self, kafka: KafkaSettings, sink: Sink, run_events: int) -> None:
        self.failure: SourceGap | None = None
        self.lag: dict[Source, int] = {}
        self._kafka = kafka
        self._sink = sink
        self._run_events = run_events
        self._sources = {full_name(kafka, topic): topic for topic in (topics.ITEMS, topics.EVENTS)}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ingest")
        self._open: dict[TP, int] = {}  # taken over -> next offset wanted
        self._closed: dict[TP, float] = {}  # assigned, not taken over -> not before
        self._heard: dict[TP, float] = {}  # when a partition last gave records
        self._catalogue_due: dict[int, int] | None = None
        self._catalogue_deadline = 0.0

    # -- what faust tells -------------------------------------------------------------

    def reassign(self, assigned: set[TP]) -> None:
        """These partitions are ours now; none is taken over."""
        gone = (self._open.keys() | self._closed.keys()) - assigned
        self._open.clear()
        self._closed = dict.fromkeys(sorted(assigned), 0.0)
        for tp in gone:
            self.lag.pop(self._source(tp), None)
            self._thread.submit(self._sink.release, self._source(tp))

    async def step(self, consumer: Consumer) -> None:
        """Take over what is due, fetch once, ingest it, give the clock its turn."""
        if consumer.flow_active:
            await self._take_over_due(consumer)
        generation = consumer.app.consumer_generation_id
        records, _ = await consumer._wait_next_records(TICK_S)
        if consumer.app.consumer_generation_id == generation and consumer.flow_active:
            for tp in sorted(records or (), key=self._items_first):
                await self._deliver(consumer, tp, records[tp])
        else:
            for tp in records or ():
                self._doubt(tp, 0)
        await self._tick(consumer)

    async def stop(self) -> None:
        """Wait for the run in progress and for Kafka's acknowledgements, then let go."""
        try:
            await self._call(self._sink.settle)
        except Unavailable as error:
            log.warning("stopping with messages in the outboxes: %s", error)
        self._thread.shutdown()

    # -- taking over ------------------------------------------------------------------

    async def _take_over_due(self, consumer: Consumer) -> None:
        now = _now()
        due = [tp for tp, not_before in self._closed.items() if not_before <= now]
        if not due:
            return
        try:
            # asked on a connection of its own: faust's waits behind a long poll
            bounds = await self._call(log_bounds, self._kafka, list(self._sources.values()))
            for tp in sorted(due, key=self._items_first):
                source = self._source(tp)
                if source.topic == topics.EVENTS and not self._catalogue_ready(bounds):
                    self._closed[tp] = _now() + CATALOGUE_PAUSE_S
                else:
                    await self._take_over(consumer, tp, source, bounds[source])
        except (Unavailable, UserError, KafkaError, IllegalStateError, TimeoutError) as error:
            pause_s = error.retry_after_s if isinstance(error, Unavailable) else PAUSE_S
            log.warning("waiting %g s: %s", pause_s, error)
            self._closed = {tp: _now() + pause_s for tp in self._closed}

    async def _take_over(
        self, consumer: Consumer, tp: TP, source: Source, bounds: tuple[int, int]
    ) -> None:
        first, end = bounds
        position = await self._call(self._sink.take_over, source)
        if position > end:
            raise SourceGap(str(source), position, first, end)
        if position < first:
            if source.topic == topics.EVENTS and position > 0:
                raise SourceGap(str(source), position, first)
            await self._call(self._sink.start_at, source, first)
            position = first
        await consumer.seek_wait({tp: position})
        if self._closed.pop(tp, None) is None:
            return  # assigned to somebody else meanwhile
        self._open[tp], self._heard[tp] = position, _now()
        log.info("%s continues at offset %d", source, position)

    def _catalogue_ready(self, bounds: Mapping[tuple[str, int], tuple[int, int]]) -> bool:
        """Whether the items that were there when we started have been read.

        An event of an unknown item is folded but cannot become an example, so on a log that
        was full before we came the catalogue goes first; but not for ever.
        """
        if self._catalogue_due is None:
            self._catalogue_due = {
                number: end for (topic, number), (_, end) in bounds.items() if topic == topics.ITEMS
            }
            self._catalogue_deadline = _now() + CATALOGUE_WAIT_S
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
        source, size = self._source(tp), self._run_events
        self._heard[tp] = _now()
        for start in range(0, len(records), size):
            run = [
                RawRecord(r.offset, r.timestamp, r.key, r.value)
                for r in records[start : start + size]
            ]
            if not consumer.flow_active or not await self._ingest(tp, source, run):
                self._doubt(tp, 0 if consumer.flow_active else PAUSE_S)
                return

    async def _ingest(self, tp: TP, source: Source, run: Sequence[RawRecord]) -> bool:
        try:
            wanted = await self._call(self._sink.ingest, source, run)
        except PositionConflict as error:
            log.warning("%s has another writer, reading its state again: %s", source, error)
        except Unavailable as error:
            log.warning("%s pauses: %s", source, error)
        except asyncio.CancelledError:  # a rebalance; the rest of what was fetched is dropped
            self._doubt(tp, 0)
            raise
        else:
            if tp in self._open:
                self._open[tp] = wanted
            if wanted == run[-1].offset + 1:
                return True
            log.warning("%s: offsets %d to %d are missing", source, wanted, run[0].offset)
        self._doubt(tp, PAUSE_S)
        return False

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
        for tp, wanted in list(self._open.items()):
            end = consumer.highwater(tp)
            if end is None:
                continue
            self.lag[self._source(tp)] = max(0, end - wanted)
            if end > wanted and _now() - self._heard[tp] > STALL_S:
                log.warning("%s got nothing for %g s, seeking again", self._source(tp), STALL_S)
                self._doubt(tp, 0)

    async def _call(self, function: Callable[..., T], *args: Any) -> T:
        """Run one of the sink's methods in its thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    def _source(self, tp: TP) -> Source:
        return Source(self._sources[tp.topic], tp.partition)

    def _items_first(self, tp: TP) -> tuple[bool, int]:
        return self._sources[tp.topic] != topics.ITEMS, tp.partition


class Consumer(driver.Consumer):  # type: ignore[misc]
    """faust's consumer with our positions and our delivery."""

    logger = logging.getLogger("faust.consumer")

    async def perform_seek(self) -> None:
        """faust calls this after each assignment: its own bookkeeping ends here."""
        for book in (
            self._read_offset,
            self._committed_offset,
            self._acked,
            self._acked_index,
            self._gap,
        ):
            book.clear()
        self.app.feed.reassign(self.assignment())

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                await self.app.feed.step(self)
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise
        except SourceGap as gap:
            self.app.feed.failure = gap
            self.app.on_fatal()


class Transport(driver.Transport):  # type: ignore[misc]
    """The aiokafka transport with our consumer."""

    Consumer = Consumer


class FeatureApp(faust.App):  # type: ignore[misc]
    """A faust app that only consumes; made by ``make_app``."""

    logger = logging.getLogger("faust.app")
    feed: Feed
    on_fatal: Callable[[], None]

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)


def make_app(
    kafka: KafkaSettings, worker_id: str, feed: Feed, data_dir: Path, group: str = "features"
) -> FeatureApp:
    """The app of one worker; ``run_app`` runs it.

    ``worker_id`` must differ between workers: it orders the members of the group.

    Raises UserError when another faust is installed than the one whose internals we override.
    """
    if faust.__version__ != FAUST:
        raise UserError(
            f"faust-streaming {faust.__version__} is installed, but the feature worker overrides "
            f"internals of {FAUST}: pip install faust-streaming=={FAUST}"
        )
    data_dir.mkdir(parents=True, exist_ok=True)
    app = FeatureApp(
        full_name(kafka, group),
        broker=[f"aiokafka://{address}" for address in kafka.bootstrap.split(",")],
        broker_credentials=_credentials(kafka),
        broker_client_id=worker_id,
        broker_session_timeout=kafka.session_timeout_s,
        broker_heartbeat_interval=kafka.session_timeout_s / 4,
        broker_request_timeout=max(30.0, kafka.session_timeout_s),
        broker_max_poll_records=FETCHED_RECORDS,
        consumer_max_fetch_size=max(1 << 20, kafka.max_message_bytes + FRAME_BYTES),
        consumer_auto_offset_reset="earliest",
        table_standby_replicas=0,  # 1, the default, picks faust's sticky assignor
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        autodiscover=False,
        datadir=str(data_dir),
        store="memory://",
    )
    app.feed = feed
    names = [full_name(kafka, topic) for topic in (topics.ITEMS, topics.EVENTS)]

    @app.agent(app.topic(*names, acks=False))  # type: ignore[untyped-decorator]
    async def subscription(stream: Any) -> None:
        """Never gets a record: it only makes faust subscribe."""
        async for _ in stream:
            pass

    return app


async def run_app(app: FeatureApp, stop: asyncio.Event) -> None:
    """Consume until ``stop`` is set, then leave the group cleanly.

    Raises SourceGap when a log no longer holds what the state needs.
    """
    app.on_fatal = stop.set
    working = asyncio.ensure_future(_work(app))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    await app.stop()
    await app.feed.stop()
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working
    if app.feed.failure is not None:
        raise app.feed.failure
    if app.crash_reason is not None:
        raise app.crash_reason


async def _work(app: FeatureApp) -> None:
    await app.start()
    await app.wait_until_stopped()


def _credentials(kafka: KafkaSettings) -> Any:
    encrypted = kafka.security_protocol in (SecurityProtocol.SSL, SecurityProtocol.SASL_SSL)
    context = None
    if encrypted:
        context = ssl.create_default_context(cafile=kafka.ssl_cafile or None)
        if kafka.ssl_certfile:
            context.load_cert_chain(kafka.ssl_certfile, kafka.ssl_keyfile or None)
    if kafka.sasl_mechanism:
        return faust.SASLCredentials(
            username=kafka.sasl_username,
            password=kafka.sasl_password,
            ssl_context=context,
            mechanism=kafka.sasl_mechanism,
        )
    return faust.SSLCredentials(context) if context else None


def _now() -> float:
    return asyncio.get_running_loop().time()
