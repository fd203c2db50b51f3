"""kafka-python clients, configured from our settings.

Knows how to connect, publish and consume. Does not know what the bytes mean
(``infra.wire.codec``), how topics are laid out (``infra.wire.kafka_topics``) or where their ends
are (``infra.wire.kafka_offsets``). The feature worker consumes by faust instead
(``infra.feeds.faust_app``).

Topics are short names ("events") everywhere but here; ``full_name`` puts the prefix on.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.codec import lz4_encode
from kafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    UnsupportedCodecError,
)
from kafka.partitioner.default import murmur2

from streamrec.errors import TooLarge, Unavailable, UserError
from streamrec.infra.wire.kafka_codecs import cannot_read, check_can_write
from streamrec.infra.wire.kafka_connect import connect
from streamrec.infra.wire.kafka_joins import finish_joins
from streamrec.infra.wire.kafka_pace import pace
from streamrec.infra.wire.kafka_rights import check_visible, is_refusal, refusal
from streamrec.infra.wire.kafka_security import security_config
from streamrec.ports.tracing import Header
from streamrec.settings import KafkaSettings

BOOTSTRAP_TIMEOUT_MS = 10_000
RECONNECT_MAX_MS = 1_000
"""Between attempts to reach a broker that is down, as in Java; kafka-python's own is 30 s."""

FLUSH_TIMEOUT_S = 30.0
COMPRESSION = "lz4"
"""Of what we write; what we read may be compressed in any way that Kafka has."""
FOREVER_MS = 2**31 - 1
READ_COMMITTED = "read_committed"
"""What a transaction has not committed, nobody reads (docs/adr/0093)."""
LOG_APPEND_TIME = 1
"""Kafka's number for records that the broker has stamped."""
FRAME_BYTES = 4096
"""Room beside the value for key, headers and batch: a limit on values is not one on records."""

BATCH_BYTES = 16_384
"""Up to so many, several messages travel as one: kafka-python's default."""

TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
UNDECODABLE = (struct.error, ValueError, IndexError, EOFError)
"""What kafka-python raises from any call when an answer is not what its protocol says."""


class Garbled(Unavailable):
    """The client that got such an answer must be thrown away and made anew."""


def full_name(settings: KafkaSettings, topic: str) -> str:
    return settings.topic_prefix + topic


def client_config(settings: KafkaSettings) -> dict[str, Any]:
    """What every kafka-python client is started with, SASL and TLS included. Raises UserError."""
    return {
        "bootstrap_servers": settings.bootstrap.split(","),
        "bootstrap_timeout_ms": BOOTSTRAP_TIMEOUT_MS,
        "reconnect_backoff_max_ms": RECONNECT_MAX_MS,
        **security_config(settings),
    }


@contextmanager
def kafka_errors(settings: KafkaSettings, doing: str) -> Iterator[None]:
    """Turns kafka-python's errors into Unavailable, with what was being done.

    A right that we lack becomes NotAllowed, a compression that nothing installed reads UserError.
    An answer that cannot be decoded becomes ``Garbled``: the client that got it is in doubt.
    """
    try:
        yield
    except UnsupportedCodecError as error:
        raise cannot_read(doing, error) from error
    except (KafkaError, OSError) as error:
        if isinstance(error, KafkaError) and is_refusal(error):
            raise refusal(settings.sasl_username, doing, error) from error
        raise Unavailable(f"Kafka at {settings.bootstrap}: {doing}: {error}") from error
    except UNDECODABLE as error:
        raise Garbled(
            f"Kafka at {settings.bootstrap}: {doing}: an answer that cannot be decoded: {error!r}"
        ) from error


@contextmanager
def connecting(settings: KafkaSettings, doing: str) -> Iterator[None]:
    """``kafka_errors`` around a client's first connection: says why there is none."""
    with kafka_errors(settings, doing):
        try:
            yield
        except KafkaTimeoutError as error:
            # half a second of imports that only a failure needs
            from streamrec.infra.wire.kafka_diagnosis import why_no_kafka  # noqa: PLC0415

            reason = why_no_kafka(settings)
            if reason is None:
                raise
            raise Unavailable(f"Kafka at {settings.bootstrap}: {doing}: {reason}") from error


def partition_for(user_id: str, partitions: int) -> int:
    """The partition Kafka's default partitioner gives to a key (murmur2, as in Java)."""
    found: int = (murmur2(user_id.encode()) & 0x7FFFFFFF) % partitions
    return found


def make_producer(settings: KafkaSettings, client_id: str, **overrides: Any) -> KafkaProducer:
    """Idempotent, acknowledged by all replicas, lz4. Raises Unavailable."""
    check_can_write(COMPRESSION)
    config = client_config(settings) | {
        "client_id": client_id,
        "acks": "all",
        "compression_type": COMPRESSION,
        "max_block_ms": BOOTSTRAP_TIMEOUT_MS,
        "max_request_size": settings.max_message_bytes + FRAME_BYTES,
        "allow_auto_create_topics": False,
    }
    with connecting(settings, "connecting a producer"):
        return KafkaProducer(**config | overrides)


class KafkaPublisher:
    """``ports.Publisher``: idempotent, acknowledged by all replicas, lz4.

    A message handed over is never given up for lack of time: it goes out when Kafka is back,
    in order. One that fails for good takes with it what waited to be sent after it, so that no
    message ever overtakes an earlier one of its partition that failed.

    Raises: TooLarge (``publish``) when our limit is passed, or the broker's as far as it is known;
    Unavailable (both) when Kafka does not acknowledge in time; ``flush`` may then be called again.
    A failure is told once, to whoever calls next; ``failures`` tells everybody that there was one.

    How much a topic takes, the broker says by refusing a message. Whoever sends that one again, as
    after every failure, is told TooLarge, and may split it or give it up.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        client_id: str,
        linger_ms: int = 5,
        *,
        connect: Callable[..., KafkaProducer] = make_producer,
    ) -> None:
        self.failures = 0  # written by the producer's thread, as the next
        self._settings = settings
        self._failed: list[Exception] = []
        self._limits: dict[str, int] = {}  # full topic name -> bytes, compressed, that are too many
        self._given_up: KafkaProducer | None = None  # what it leaves undone is counted already
        self._connect = partial(
            connect,
            settings,
            client_id,
            linger_ms=linger_ms,
            delivery_timeout_ms=FOREVER_MS,
            request_timeout_ms=10_000,
        )
        self._producer = self._connect()

    def publish(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[Header] = (),
        *,
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> None:
        """Hand over a message; it is on its way, not yet acknowledged."""
        name = full_name(self._settings, topic)
        if self._failed:  # not this one: its size is no reason to refuse it
            raise Unavailable(f"an earlier message was not acknowledged: {self._said()}")
        self._check_size(name, value or b"")
        with self._delivery(f"sending to {name}"):
            sent = self._producer.send(
                name,
                key=key,
                value=value,
                headers=list(headers),
                partition=partition,
                timestamp_ms=timestamp_ms,
            )
        sent.add_errback(partial(self._lost, name, value or b""))

    def flush(self, timeout_s: float = FLUSH_TIMEOUT_S) -> None:
        """Return when everything handed over is acknowledged."""
        with self._delivery("waiting for acknowledgements"):
            self._producer.flush(timeout=timeout_s)
            if self._failed:
                raise Unavailable(f"a message was not acknowledged: {self._said()}")

    def close(self) -> None:
        """Send what is left, as far as that goes quickly, and let go."""
        self._given_up = self._producer
        self._producer.close(timeout=5)

    def _said(self) -> str:
        """What failed, in words. As ``_told``, and raises NotAllowed where a right is missing."""
        error = self._told()
        if isinstance(error, KafkaError) and is_refusal(error):
            raise refusal(self._settings.sasl_username, "sending a message", error)
        if not isinstance(error, TOO_LARGE):
            return repr(error)
        names = ", ".join(sorted(self._limits))
        return f"it was larger than {names} takes; what is sent again is split, or refused"

    def _check_size(self, name: str, value: bytes) -> None:
        limit = self._limits.get(name)
        if limit is not None and len(value) >= BATCH_BYTES and _packed(value) >= limit:
            raise TooLarge(
                f"{len(value)} bytes; {name} takes fewer (its max.message.bytes, or the broker's)"
            )

    def _lost(self, name: str, value: bytes, error: Exception) -> None:
        """In the producer's thread. The first that fails is why, the others only go with it."""
        if not self._failed and isinstance(error, TOO_LARGE):
            self._limits[name] = max(BATCH_BYTES, _packed(value))
        self.failures += 1
        self._failed.append(error)
        if self._producer is not self._given_up:
            self._producer._accumulator.abort_undrained_batches(error)

    def _told(self) -> Exception:
        """What failed. That producer may take nothing more: another one goes on.

        Raises Unavailable when there is none to be had; it is told again then.
        """
        error = self._failed[0]
        producer = self._connect()
        self._given_up = self._producer
        with suppress(KafkaError):
            self._producer.close(timeout=0)
        self._producer = producer
        self._failed.clear()
        return error

    @contextmanager
    def _delivery(self, doing: str) -> Iterator[None]:
        with kafka_errors(self._settings, doing):
            try:
                yield
            except TOO_LARGE as error:
                raise TooLarge(f"{doing}: {error}") from error


def _packed(value: bytes) -> int:
    """Bytes of a message as a broker measures it, but for key and headers."""
    return len(lz4_encode(value))


def make_consumer(
    settings: KafkaSettings,
    topics: Sequence[str] = (),
    *,
    group: str | None = None,
    client_id: str | None = None,
    offset_reset: str = "earliest",
    **overrides: Any,
) -> KafkaConsumer:
    """A consumer subscribed to short-named ``topics``; without ``group`` it is for ``assign``.

    The group's name gets the topic prefix, so that two installations share a broker.
    Raises Unavailable.
    """
    config = client_config(settings) | {
        "group_id": None if group is None else full_name(settings, group),
        "auto_offset_reset": offset_reset,
        "enable_auto_commit": False,
        "isolation_level": READ_COMMITTED,
        "max_partition_fetch_bytes": max(1 << 20, settings.max_message_bytes + FRAME_BYTES),
        "allow_auto_create_topics": False,
    }
    if client_id is not None:
        config["client_id"] = client_id
    with connecting(settings, "connecting a consumer"):
        consumer = pace(connect(KafkaConsumer, **config | overrides))
    with kafka_errors(settings, "subscribing"):
        if group is not None and topics:
            finish_joins(consumer)
            consumer.subscribe([full_name(settings, topic) for topic in topics])
        elif topics:
            consumer.assign(assignment(consumer, settings, topics))
    return consumer


def assignment(
    consumer: KafkaConsumer, settings: KafkaSettings, topics: Sequence[str]
) -> list[TopicPartition]:
    """Every partition of the topics. Raises UserError for a topic that is not there."""
    found = []
    for topic in topics:
        name = full_name(settings, topic)
        partitions = consumer.partitions_for_topic(name)
        if not partitions:
            with admin_client(settings) as admin:
                check_visible(admin, settings.sasl_username, [name])
            raise UserError(f"there is no topic {name}; `streamrec topics create` makes it")
        found += [TopicPartition(name, partition) for partition in sorted(partitions)]
    return found


@contextmanager
def admin_client(settings: KafkaSettings) -> Iterator[KafkaAdminClient]:
    """An admin client for the length of a block. Raises Unavailable."""
    with connecting(settings, "administering topics"):
        admin = connect(KafkaAdminClient, **client_config(settings), client_id="streamrec-admin")
    with kafka_errors(settings, "administering topics"):
        try:
            yield admin
        finally:
            admin.close()
