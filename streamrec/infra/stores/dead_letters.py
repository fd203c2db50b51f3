"""The dead-letter topic read back, and its messages sent to where they came from."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from kafka import TopicPartition
from kafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from streamrec.core import topics
from streamrec.core.dead_letters import DeadLetterPosition, DeadLetterRecord, Origin
from streamrec.core.events import DeadLetter
from streamrec.errors import Refused, TooLarge, Unavailable
from streamrec.infra.wire.kafka import (
    full_name,
    kafka_errors,
    make_consumer,
    make_producer,
)
from streamrec.ports import Codec
from streamrec.settings import KafkaSettings

log = logging.getLogger(__name__)

SILENCE_S = 10.0
"""A topic that gives nothing for so long, before its end, is not answering."""
ACKNOWLEDGE_S = 30.0


class KafkaDeadLetterLog:
    """The dead-letter topic as far as it goes now. A context manager.

    Raises UserError without the topic; Unavailable (every method).
    """

    def __init__(self, settings: KafkaSettings, codec: Codec, client_id: str) -> None:
        self._settings = settings
        self._codec = codec
        self._consumer = make_consumer(settings, (topics.DEAD_LETTER,), client_id=client_id)
        self._partitions: list[TopicPartition] = sorted(self._consumer.assignment())

    def read(self, since_ms: int = 0) -> Iterator[DeadLetterRecord]:
        """Dead letters from ``since_ms`` on, oldest first within a partition, to its end now."""
        with kafka_errors(self._settings, "asking where the dead letters are"):
            ends = self._consumer.end_offsets(self._partitions)
            starts = self._starts(since_ms, ends)
        for partition in self._partitions:
            yield from self._between(partition, starts[partition], ends[partition])

    def at(self, position: DeadLetterPosition) -> DeadLetterRecord | None:
        """The dead letter at exactly this place; None when there is none (any more)."""
        partition = self._partition(position)
        if partition is None:
            return None
        with kafka_errors(self._settings, "looking for a dead letter"):
            first = self._consumer.beginning_offsets([partition])[partition]
            end = self._consumer.end_offsets([partition])[partition]
        if not first <= position.offset < end:
            return None
        found = next(self._between(partition, position.offset, end), None)
        return found if found and found.position == position else None

    def close(self) -> None:
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _partition(self, position: DeadLetterPosition) -> TopicPartition | None:
        return next((tp for tp in self._partitions if tp.partition == position.partition), None)

    def _starts(
        self, since_ms: int, ends: Mapping[TopicPartition, int]
    ) -> Mapping[TopicPartition, int]:
        if not since_ms:
            found: Mapping[TopicPartition, int] = self._consumer.beginning_offsets(self._partitions)
            return found
        later = self._consumer.offsets_for_times(dict.fromkeys(self._partitions, since_ms))
        return {
            tp: ends[tp] if (place := later.get(tp)) is None else place.offset
            for tp in self._partitions
        }

    def _between(
        self, partition: TopicPartition, start: int, end: int
    ) -> Iterator[DeadLetterRecord]:
        """Read [start, end). What is no dead letter is told to the log and passed over."""
        if start >= end:
            return
        self._consumer.assign([partition])
        self._consumer.seek(partition, start)
        heard_s = time.monotonic()
        while True:
            with kafka_errors(self._settings, "reading dead letters"):
                fetched = self._consumer.poll(timeout_ms=200)
                at = self._consumer.position(partition, timeout_ms=1_000)
            for message in fetched.get(partition, []):
                heard_s = time.monotonic()
                if message.offset < end and (letter := self._letter(message)):
                    yield letter
            if at is not None and at >= end:
                return
            if time.monotonic() - heard_s > SILENCE_S:
                raise Unavailable(f"{partition.topic} was not read to its end in {SILENCE_S:g} s")

    def _letter(self, message: Any) -> DeadLetterRecord | None:
        place = DeadLetterPosition(message.partition, message.offset)
        try:
            value = self._codec.decode(topics.DEAD_LETTER, message.value or b"")
        except Refused as error:
            log.warning("%s in %s is no dead letter: %s", place, message.topic, error)
            return None
        return DeadLetterRecord(place, value) if isinstance(value, DeadLetter) else None


class AcknowledgedProducer:
    """Sends one message at a time, acknowledged by all replicas. Close it."""

    def __init__(self, settings: KafkaSettings, client_id: str) -> None:
        self._settings = settings
        self._producer = make_producer(settings, client_id)

    def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Mapping[str, str]
    ) -> Origin:
        """A ``ports.dead_letters.Send``."""
        name = full_name(self._settings, topic)
        packed = [(header, text.encode()) for header, text in headers.items()]
        with kafka_errors(self._settings, f"sending to {name}"):
            try:
                sent = self._producer.send(name, key=key, value=value, headers=packed)
                taken = sent.get(ACKNOWLEDGE_S)
            except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
                raise TooLarge(f"sending to {name}: {error}") from error
        return Origin(topic, taken.partition, taken.offset)

    def close(self) -> None:
        self._producer.close(timeout=5)
