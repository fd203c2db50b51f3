"""The topic ``recommendations`` as it grows, for many who each wait for one answer or one user's.

Knows positions, keys and who waits. All partitions are read, from a little before their ends, by
one consumer without a group; a message is decoded only for somebody who wants it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from streamrec.core.events import Recommendation
from streamrec.core.topics import RECOMMENDATIONS
from streamrec.errors import Refused, Unavailable
from streamrec.infra.wire.kafka import FRAME_BYTES, READ_COMMITTED, full_name
from streamrec.infra.wire.kafka_pace import pace_aiokafka
from streamrec.infra.wire.kafka_security import aiokafka_config
from streamrec.ports import Codec
from streamrec.settings import KafkaSettings

log = logging.getLogger(__name__)

RETRY_S = 1.0
POLL_MS = 500
BEFORE = 2_000
"""Messages before the end of each partition that are read at the start: the last lists of some."""
REMEMBERED = 20_000
"""Users whose last list is remembered, about 1 KB each."""
HELD_BACK = 16
"""Lists that somebody has not taken yet; of more, the oldest go: the last one says it all."""

Listener = asyncio.Queue[Recommendation | None]
"""None: nothing comes any more."""


class AnswerFeed:
    """``run`` it as a task. One event loop's.

    ``ready``: whatever is answered from now on is seen.
    """

    def __init__(self, settings: KafkaSettings, codec: Codec, client_id: str) -> None:
        self._settings, self._codec, self._client_id = settings, codec, client_id
        self._waiting: dict[str, asyncio.Future[Recommendation]] = {}
        self._listening: defaultdict[bytes, set[Listener]] = defaultdict(set)
        self._last: OrderedDict[bytes, bytes] = OrderedDict()
        self._wanted: defaultdict[bytes, int] = defaultdict(int)
        self.ready = False

    async def run(self) -> None:
        """Until cancelled; connects again and again while Kafka is away."""
        while True:
            try:
                await self._follow()
            except (KafkaError, OSError) as error:
                log.warning("waiting for Kafka: %r", error)
            self.ready = False
            await asyncio.sleep(RETRY_S)

    @contextmanager
    def waiting(self, request_id: str, user: str) -> Iterator[asyncio.Future[Recommendation]]:
        """The answer to a request of ``user``; enter before it is sent."""
        answer: asyncio.Future[Recommendation] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = answer
        try:
            with self._want(user):
                yield answer
        finally:
            del self._waiting[request_id]

    @contextmanager
    def listening(self, user: str) -> Iterator[Listener]:
        """Every list of ``user`` from now on; a slow reader misses the older ones."""
        listener: Listener = asyncio.Queue(HELD_BACK)
        key = user.encode()
        self._listening[key].add(listener)
        try:
            with self._want(user):
                yield listener
        finally:
            self._listening[key].discard(listener)
            if not self._listening[key]:
                del self._listening[key]

    @property
    def listeners(self) -> int:
        """How many listen."""
        return sum(map(len, self._listening.values()))

    def dismiss(self) -> None:
        """Tell all who listen that nothing comes any more."""
        for listeners in self._listening.values():
            for listener in listeners:
                _tell(listener, None)

    def last(self, user: str) -> Recommendation | None:
        """The last list of ``user`` that has been seen."""
        data = self._last.get(user.encode())
        return None if data is None else self._decoded(data)

    @contextmanager
    def _want(self, user: str) -> Iterator[None]:
        key = user.encode()
        self._wanted[key] += 1
        try:
            yield
        finally:
            self._wanted[key] -= 1
            if not self._wanted[key]:
                del self._wanted[key]

    async def _follow(self) -> None:
        consumer = self._consumer()
        try:
            await consumer.start()
            pace_aiokafka(consumer)
            await self._to_the_end(consumer)
            self.ready = True
            while True:
                found = await consumer.getmany(timeout_ms=POLL_MS)
                for records in found.values():
                    for record in records:
                        self._take(record.key or b"", record.value or b"")
        finally:
            with suppress(KafkaError):
                await consumer.stop()

    def _consumer(self) -> Any:
        settings = self._settings
        return AIOKafkaConsumer(
            full_name(settings, RECOMMENDATIONS),
            bootstrap_servers=settings.bootstrap.split(","),
            client_id=self._client_id,
            auto_offset_reset="earliest",  # of a partition that is new, or a log that is: all of it
            enable_auto_commit=False,
            isolation_level=READ_COMMITTED,
            max_partition_fetch_bytes=max(1 << 20, settings.max_message_bytes + FRAME_BYTES),
            **aiokafka_config(settings),
        )

    async def _to_the_end(self, consumer: Any) -> None:
        partitions = list(consumer.assignment())
        ends = await consumer.end_offsets(partitions)
        begins = await consumer.beginning_offsets(partitions)
        for partition, end in ends.items():
            consumer.seek(partition, max(begins[partition], end - BEFORE))

    def _take(self, user: bytes, data: bytes) -> None:
        self._last[user] = data
        self._last.move_to_end(user)
        if len(self._last) > REMEMBERED:
            self._last.popitem(last=False)
        if user not in self._wanted or (found := self._decoded(data)) is None:
            return
        answer = self._waiting.get(found.trigger_id)
        if answer is not None and not answer.done():
            answer.set_result(found)
        for listener in self._listening.get(user, ()):
            _tell(listener, found)

    def _decoded(self, data: bytes) -> Recommendation | None:
        try:
            found = self._codec.decode(RECOMMENDATIONS, data)
        except (Refused, Unavailable) as error:
            log.warning("a recommendation that cannot be read: %s", error)
            return None
        return found if isinstance(found, Recommendation) else None


def _tell(listener: Listener, found: Recommendation | None) -> None:
    if listener.full():
        listener.get_nowait()
    listener.put_nowait(found)
