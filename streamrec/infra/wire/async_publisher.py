"""Messages to Kafka from an event loop: each acknowledged at its place, or refused in time.

Knows aiokafka's producer. It is not idempotent: what is sent twice is told apart by its own id
(an event's, a request's) or says the same (an item), and a message that Kafka does not take in time
is given up and said to be, rather than sent when nobody waits any more (docs/adr/0124).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)

from streamrec.errors import NotAllowed, Refused, TooLarge, Unavailable
from streamrec.infra.wire.kafka import COMPRESSION, FRAME_BYTES, full_name
from streamrec.infra.wire.kafka_rights import not_allowed
from streamrec.infra.wire.kafka_security import aiokafka_config
from streamrec.ports.tracing import Header
from streamrec.settings import KafkaSettings

log = logging.getLogger(__name__)

GIVE_UP_S = 10.0
LOOK_S = 1.0
ANSWERS_WITHIN_S = 3.0
NOT_GRANTED = (TopicAuthorizationFailedError, ClusterAuthorizationFailedError)
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)


class TopicMessage(NamedTuple):
    topic: str  # short name
    key: bytes
    value: bytes
    headers: Sequence[Header] = ()


class Place(NamedTuple):
    """Where Kafka keeps a message."""

    partition: int
    offset: int


class AsyncPublisher:
    """``run`` it as a task: it connects, and looks whether Kafka is there.

    ``away``: why nothing can be sent now; empty: it can.
    """

    def __init__(self, settings: KafkaSettings, client_id: str) -> None:
        self._settings, self._client_id = settings, client_id
        self._producer: Any = None
        self.away = f"Kafka at {settings.bootstrap} has not been reached yet"

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await self._look()
                await asyncio.sleep(LOOK_S)
        finally:
            if self._producer is not None:
                await self._producer.stop()

    def check_there(self) -> None:
        """Raises Unavailable while Kafka is known to be away: nothing need be tried."""
        if self.away:
            raise Unavailable(self.away)

    async def send(
        self, messages: Sequence[TopicMessage], within_s: float
    ) -> list[Place | Refused]:
        """Where each of them is; Refused: it is larger than its topic takes.

        Raises Unavailable when one is not acknowledged in time, which says nothing of the others;
        NotAllowed.
        """
        self.check_there()
        with self._errors():
            async with asyncio.timeout(within_s):
                sent = [await self._handed_over(message) for message in messages]
                return [await self._place(one) for one in sent]

    async def _handed_over(self, message: TopicMessage) -> Any:
        name = full_name(self._settings, message.topic)
        try:
            headers = list(message.headers)
            return await self._producer.send(name, message.value, message.key, headers=headers)
        except TOO_LARGE as error:
            return error

    async def _place(self, sent: Any) -> Place | Refused:
        try:
            if isinstance(sent, Exception):
                raise sent
            found = await asyncio.shield(sent)
        except TOO_LARGE as error:
            return TooLarge(f"larger than its topic takes: {error}")
        return Place(found.partition, found.offset)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        where = f"Kafka at {self._settings.bootstrap}"
        try:
            yield
        except TimeoutError:
            raise Unavailable(f"{where} has not acknowledged it in time") from None
        except NOT_GRANTED as error:
            raise not_allowed(self._settings.sasl_username, f"sending: {error}") from error
        except KafkaError as error:
            raise Unavailable(f"{where}: sending: {error}") from error

    async def _look(self) -> None:
        try:
            if self._producer is None:
                self._producer = await self._connected()
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                await self._producer.client.fetch_all_metadata()
        except (KafkaError, OSError, TimeoutError, NotAllowed) as error:
            if not self.away:
                log.warning("Kafka does not answer: %r", error)
            self.away = f"Kafka at {self._settings.bootstrap} does not answer: {error!r}"
            return
        if self.away:
            log.info("Kafka answers")
        self.away = ""

    async def _connected(self) -> Any:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.bootstrap.split(","),
            client_id=self._client_id,
            acks="all",
            compression_type=COMPRESSION,
            linger_ms=0,
            request_timeout_ms=int(GIVE_UP_S * 1000),
            max_request_size=self._settings.max_message_bytes + FRAME_BYTES,
            **aiokafka_config(self._settings),
        )
        try:
            await producer.start()
        except BaseException:
            with suppress(KafkaError):
                await producer.stop()
            raise
        return producer
