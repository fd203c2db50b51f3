"""What asks for answers (``user-updates`` and ``requests``) as one serving worker's share of it.

Knows the consumer group, what was handed out, and that a commit covers exactly that.

Offsets are committed only after the answers are acknowledged, so a worker that dies is
followed by one that answers again. Losing a partition to another worker in between means
the same: its triggers are answered twice, never not at all. So does an answer of the broker
that cannot be decoded: the consumer is made anew and begins where the group has committed.

Reads ahead of what is asked for, up to ``AHEAD`` messages of a topic: requests are handed out
first, and an update that a later one of the same user stands for is passed over, if that one is
here too. It is committed with the next ones; whoever follows finds the later one.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import CommitFailedError, IllegalStateError, RebalanceInProgressError
from kafka.structs import OffsetAndMetadata

from streamrec.core import tasks
from streamrec.core.events import Recommendation, Request, UserUpdate
from streamrec.core.tasks import RANKING
from streamrec.core.topics import USER_UPDATES
from streamrec.errors import Malformed, Refused, Unavailable
from streamrec.infra.wire.kafka import kafka_errors, make_consumer
from streamrec.infra.wire.lazy_consumer import LazyConsumer
from streamrec.ports import TRIGGERS, Codec, Delivered, carried
from streamrec.settings import KafkaSettings

log = logging.getLogger(__name__)

GROUP = "serving"
MEASURE_S = 1.0
AHEAD = 1_024
SESSION_TIMEOUT_MS = 6_000
"""How long a worker that was killed holds its partitions: the least that brokers allow."""


class KafkaTriggerFeed:
    """``ports.TriggerFeed`` over a consumer group. Connects at first use; close it."""

    def __init__(
        self,
        settings: KafkaSettings,
        codec: Codec,
        client_id: str,
        task: str = RANKING,
        *,
        topics: Sequence[str] = TRIGGERS,
        connect: Callable[..., KafkaConsumer] = make_consumer,
    ) -> None:
        """``task``: whose serving workers share ``topics`` out; every task gets all of them."""
        self._topics = topics
        self._group = tasks.key(GROUP, task)
        self._connect = connect
        self._settings = settings
        self._codec = codec
        self._client_id = client_id
        self._consumer = LazyConsumer(self._joined)
        self._ends: dict[TopicPartition, int] = {}  # of what can be read, when last asked
        self._measured_s = 0.0
        self._passed: dict[TopicPartition, int] = {}  # places committed although nothing came
        self._held: list[Any] = []  # came in while we stayed, or are stuck
        self._stuck: set[TopicPartition] = set()  # their next message waits for its schema
        self._next: dict[TopicPartition, int] = {}  # behind the last message handed out
        self.superseded = 0

    def poll(self, timeout_s: float, limit: int) -> list[Delivered]:
        """The next messages, at most ``limit``; none if nothing came in time.

        Of a partition whose next message waits for its schema, none; the others go on.
        """
        with self._asked("reading triggers") as consumer:
            assigned = consumer.assignment()
            self._held = [m for m in self._held if _partition(m) in assigned]  # else: another's now
            waiting = any(_partition(message) not in self._stuck for message in self._held)
            stopped = self._stuck | self._full(assigned)
            consumer.resume(*(consumer.paused() - stopped))
            consumer.pause(*(assigned & stopped))
            fetched = self._fetch(consumer, 0.0 if waiting else timeout_s, AHEAD)
        self._held = _once(self._held, fetched)
        arrived, self._held = sorted(self._held, key=self._is_update), []
        known, self._stuck = self._stuck, set()
        handed: list[Delivered] = []
        latest = {_owner(message): message.offset for message in arrived}
        for message in arrived:
            place = _partition(message)
            if len(handed) == limit or place in self._stuck:
                self._held.append(message)
                continue
            try:
                delivered = self._delivered(message)
                self._next[place] = message.offset + 1
            except Unavailable as error:
                if place not in known:
                    log.warning("%s-%d waits: %s", *place, error)
                self._stuck.add(place)
                self._held.append(message)
                continue
            if latest[_owner(message)] != message.offset and isinstance(
                delivered.value, UserUpdate
            ):
                self.superseded += 1
            else:
                handed.append(delivered)
        return handed

    def _is_update(self, message: Any) -> bool:
        return self._short(message.topic) == USER_UPDATES

    def _full(self, assigned: Collection[TopicPartition]) -> set[TopicPartition]:
        """Partitions of topics of which enough is held."""
        held = Counter(message.topic for message in self._held)
        return {place for place in assigned if held[place.topic] >= AHEAD}

    def stay(self, timeout_s: float) -> None:
        """Wait, staying a member of the group, without taking messages.

        A rebalance may bring partitions that are not paused yet: what comes is held.
        """
        with self._asked("waiting") as consumer:
            consumer.pause(*consumer.assignment())
            self._held += self._fetch(consumer, timeout_s, None)

    def commit(self) -> None:
        """Everything handed out so far is answered."""
        with self._asked("committing offsets") as consumer:
            held = {TopicPartition(message.topic, message.partition) for message in self._held}
            offsets = {
                partition: OffsetAndMetadata(self._reached(consumer, partition, held), "", -1)
                for partition in self._next.keys() & consumer.assignment()
            }
            try:
                if offsets:
                    consumer.commit(offsets)
            except (CommitFailedError, RebalanceInProgressError, IllegalStateError) as error:
                log.info("partitions moved on before the commit (%s): answered again", error)
        self._next.clear()

    def _reached(
        self, consumer: KafkaConsumer, partition: TopicPartition, held: Collection[TopicPartition]
    ) -> int:
        """Behind what was handed out, and behind ends of transactions that nobody is handed."""
        handed = self._next[partition]
        if partition in held:
            return handed
        return max(handed, int(consumer.position(partition)))

    def lag(self) -> Mapping[str, int]:
        """Messages of our partitions that have not been handed out; of a second ago, at most."""
        with self._asked("measuring lag") as consumer:
            found = {p: consumer.position(p, timeout_ms=1_000) for p in consumer.assignment()}
            places = {p: place for p, place in found.items() if place is not None}
            measure = time.monotonic() - self._measured_s >= MEASURE_S
            if places and (measure or self._ends.keys() != places.keys()):
                self._ends = consumer.end_offsets(list(places))
                self._measured_s = time.monotonic()
        if measure:
            self._pass_over(places)
        behind = Counter(dict.fromkeys(self._topics, 0))
        behind.update(self._short(message.topic) for message in self._held)
        for p, place in places.items():
            behind[self._short(p.topic)] += max(0, int(self._ends[p]) - place)
        return behind

    def _short(self, topic: str) -> str:
        return topic.removeprefix(self._settings.topic_prefix)

    def _pass_over(self, places: Mapping[TopicPartition, int]) -> None:
        """Commit beyond what a transaction took back: where nothing is read, nothing is handed."""
        if not self._next and not self._held and places != self._passed:
            self._next, self._passed = dict(places), dict(places)
            self.commit()

    def close(self) -> None:
        """Leave the group; its partitions go to the others at once.

        In the middle of a rebalance a broker may not hear us: then it finds out by itself.
        """
        self._consumer.close()

    def _asked(self, doing: str) -> AbstractContextManager[KafkaConsumer]:
        return self._consumer.asked(kafka_errors(self._settings, doing))

    def _fetch(self, consumer: KafkaConsumer, timeout_s: float, limit: int | None) -> list[Any]:
        fetched = consumer.poll(timeout_ms=int(timeout_s * 1000), max_records=limit)
        return [message for messages in fetched.values() for message in messages]

    def _delivered(self, message: Any) -> Delivered:
        topic = self._short(message.topic)
        data = message.value or b""
        return Delivered(
            topic=topic,
            partition=message.partition,
            offset=message.offset,
            timestamp_ms=message.timestamp,
            key=message.key,
            data=data,
            value=self._decoded(topic, data),
            traceparent=carried(message.headers or ()),
        )

    def _decoded(self, topic: str, data: bytes) -> UserUpdate | Request | Recommendation | Refused:
        try:
            value = self._codec.decode(topic, data)
        except Refused as refused:
            return refused
        if isinstance(value, UserUpdate | Request | Recommendation):
            return value
        return Malformed(f"not a trigger but {type(value).__name__}")

    def _joined(self) -> KafkaConsumer:
        """A new member of the group: what was handed out and not committed comes again."""
        self._held, self._stuck, self._next = [], set(), {}
        return self._connect(
            self._settings,
            self._topics,
            group=self._group,
            client_id=self._client_id,
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=SESSION_TIMEOUT_MS // 4,
            fetch_max_wait_ms=100,
        )


def _owner(message: Any) -> tuple[TopicPartition, bytes | int]:
    """Whose it is; without a key, its own."""
    return _partition(message), message.offset if message.key is None else message.key


def _once(held: Sequence[Any], fetched: Sequence[Any]) -> list[Any]:
    """Without what was held and comes again: after a rebalance it begins where we committed."""
    first: dict[TopicPartition, int] = {}
    for message in fetched:
        first.setdefault(_partition(message), message.offset)
    kept = [m for m in held if m.offset < first.get(_partition(m), m.offset + 1)]
    return [*kept, *fetched]


def _partition(message: Any) -> TopicPartition:
    return TopicPartition(message.topic, message.partition)
