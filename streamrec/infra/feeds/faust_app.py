"""The feature worker's consumer: faust's group membership, our positions, our delivery.

Knows faust-streaming 0.15.3 from the inside, and is the only module that does. Does not
know what becomes of the records (``infra.feeds.feed``).

faust decides which partitions are ours. Everything else is overridden, because under
SIGKILL faust loses or repeats events (docs/adr/0020):

1. no tables; the truth about positions lives in the store. What the group is told (``tell``) is
   for other people's tools, which call the rest lag: nobody here reads it (docs/adr/0140);
2. after each assignment ``perform_seek`` tells the feed, and does nothing else;
3. the drain loop is the feed's: taking over, fetching and ingesting.

A rebalance never waits for the store: taking over is outside the group's callbacks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import faust
from aiokafka import OffsetAndMetadata, TopicPartition
from aiokafka.errors import (
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    UnsupportedCodecError,
)
from faust.transport.drivers import aiokafka as driver

from streamrec.core import topics
from streamrec.errors import UserError
from streamrec.infra.feeds.feed import TP, Feed
from streamrec.infra.wire.kafka import FRAME_BYTES, READ_COMMITTED, full_name
from streamrec.infra.wire.kafka_codecs import cannot_read
from streamrec.infra.wire.kafka_pace import pace_aiokafka
from streamrec.infra.wire.kafka_security import TOKENS, aiokafka_config
from streamrec.settings import KafkaSettings

FAUST = "0.15.3"
FETCHED_RECORDS = 4000
TELL_S = 5.0
"""How often the group is told how far we are."""

log = logging.getLogger(__name__)


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc] # faust is untyped
    """Reads what is committed, and never moves by itself: where it has no place, it says so.

    So whatever lies between two records that it gives holds nothing to read: the end of a
    transaction, what one has taken back, what compaction has removed.
    """

    _telling: asyncio.Task[None] | None = None

    def _create_worker_consumer(self, transport: Any) -> Any:
        made = super()._create_worker_consumer(transport)
        made._isolation_level = READ_COMMITTED
        made._auto_offset_reset = "none"
        return made

    def highwater(self, tp: TP) -> int | None:
        """Where what can be read ends: an open transaction holds back what follows it."""
        stable = self._ensure_consumer().last_stable_offset(tp)
        end: Any = super().highwater(tp) if stable in (None, -1) else stable
        return None if end is None else int(end)

    def place(self, tp: TP) -> int | None:
        """Where the next fetch begins; None while it is unknown or the partition is not ours."""
        subscription = self._ensure_consumer()._subscription.subscription
        assignment = subscription and subscription.assignment
        if not assignment or tp not in assignment.tps:
            return None
        state = assignment.state_value(tp)
        return int(state.position) if state.has_valid_position else None

    async def begin_telling(self, places: Mapping[TP, int]) -> None:
        """Commit in the background: nothing that the thread is asked may wait for it."""
        if self._telling is None or self._telling.done():
            self._telling = asyncio.ensure_future(self._tell(places))

    async def _tell(self, places: Mapping[TP, int]) -> None:
        consumer = self._ensure_consumer()
        ours = consumer.assignment()
        offsets = {
            TopicPartition(*tp): OffsetAndMetadata(place, "")
            for tp, place in places.items()
            if tp in ours
        }
        try:
            await asyncio.wait_for(consumer.commit(offsets), TELL_S)
        except (KafkaError, TimeoutError) as error:  # a rebalance; told again in a moment
            log.debug("the group was not told where we are: %r", error)


class Consumer(driver.Consumer):  # type: ignore[misc] # faust is untyped, here and below
    """faust's consumer with our positions and our delivery."""

    logger = logging.getLogger("faust.consumer")
    _told_s = 0.0

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def flowing(self) -> bool:
        """False while a rebalance is going on."""
        return bool(self.flow_active)

    async def fetch(self, timeout_s: float) -> tuple[Mapping[TP, Sequence[Any]], bool]:
        """What has come, and whether no rebalance came between. Raises UserError."""
        generation = self.app.consumer_generation_id
        records: Mapping[TP, Sequence[Any]] | None = None
        try:
            records, _ = await self._wait_next_records(timeout_s)
        except NoOffsetForPartitionError:  # ours, and not taken over yet: it stops the others
            self.pause_partitions({tp for tp in self.assignment() if self.place(tp) is None})
        except OffsetOutOfRangeError as error:
            lost = error.args[0]
            self.pause_partitions(self.assignment() & {TP(*tp) for tp in lost})
            self.app.feed.lose_places(lost)
        except UnsupportedCodecError as error:
            raise cannot_read("reading items and events", error) from error
        return records or {}, self.flowing and self.app.consumer_generation_id == generation

    async def tell(self, places: Mapping[TP, int]) -> None:
        """Now and then, tell the group that all before these offsets is in the state."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._told_s >= TELL_S:
            self._told_s = now_s
            await self._thread.cast_thread(self._thread.begin_telling, dict(places))

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Whoever is sought is read."""
        await super().seek_wait(partitions)
        self.resume_partitions(partitions)

    def highwater(self, tp: TP) -> int | None:
        """The end of a partition's log; None while it is unknown or the partition is not ours.

        The driver asserts that it is ours. While a group rebalances, it may have lost it before
        faust, and so the feed, is told.
        """
        try:
            end: int | None = super().highwater(tp)
        except AssertionError:
            return None
        return end

    def place(self, tp: TP) -> int | None:
        """Where the next fetch of a partition begins; None while that is unknown."""
        found: int | None = self._thread.place(tp)
        return found

    async def perform_seek(self) -> None:
        """faust calls this after each assignment: its own bookkeeping ends here."""
        pace_aiokafka(self._thread._ensure_consumer())
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
        except UserError as fatal:
            self.app.feed.failure = fatal
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
    kafka: KafkaSettings,
    worker_id: str,
    feed: Feed,
    data_dir: Path,
    group: str = "features",
    *,
    installed: str = faust.__version__,
) -> FeatureApp:
    """The app of one worker; ``run_app`` runs it.

    ``worker_id`` must differ between workers: it orders the members of the group.

    Raises UserError when another faust is installed than the one whose internals we override.
    """
    if installed != FAUST:
        raise UserError(
            f"faust-streaming {installed} is installed, but the feature worker overrides "
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
    """Consume until ``stop`` is set, finish what is in hand, then leave the group.

    In this order, so that the next owner finds nothing to publish again.

    Raises UserError when messages cannot be read with what is installed.
    """
    app.on_fatal = stop.set
    working = asyncio.ensure_future(_work(app))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    await app.feed.settle()
    await app.stop()
    app.feed.close()
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
    config = aiokafka_config(kafka)
    context = config.get("ssl_context")
    if TOKENS in config:
        return faust.auth.OAuthCredentials(oauth_cb=config[TOKENS], ssl_context=context)
    if "sasl_mechanism" in config:
        return faust.SASLCredentials(
            username=kafka.sasl_username,
            password=kafka.sasl_password,
            ssl_context=context,
            mechanism=kafka.sasl_mechanism,
        )
    return faust.SSLCredentials(context) if context else None
