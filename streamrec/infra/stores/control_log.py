"""The control log on Kafka: one partition, one key for each task, compacted.

Read from the start; appended to against the revision that was read. The records of another
task's slot are passed over: neither a step nor a race. Which steps are possible is said by
``core.release.transitions``.

Order of an append, by a writer that has connected (``prepare``) before it read:

1. Publish the record and wait for the acknowledgement, which names its offset.
2. Read the log up to that offset, by the rule every reader uses.
3. Accepted: done. Ignored: somebody was first. Publish the current state again until the
   log ends in an accepted record, so that compaction (which keeps the last record of a
   key) can never keep the ignored one; then raise RegistryConflict.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError, UnsupportedCodecError

from streamrec.core import tasks, topics
from streamrec.core.release import registry
from streamrec.core.release.registry import Action, ControlRecord, RegistryState
from streamrec.core.tasks import RANKING
from streamrec.errors import Refused, RegistryConflict, Unavailable, UserError
from streamrec.infra.wire.kafka import READ_COMMITTED, TOO_LARGE, UNDECODABLE
from streamrec.infra.wire.kafka_codecs import cannot_read
from streamrec.infra.wire.kafka_connect import connect
from streamrec.infra.wire.kafka_pace import pace
from streamrec.infra.wire.kafka_rights import is_refusal, refusal
from streamrec.infra.wire.lazy_consumer import LazyConsumer
from streamrec.ports import Codec

log = logging.getLogger(__name__)

IDENTITY = b"@installation"
"""The key of the one record that is no step of a release: no task can have this name."""

PAUSE_S = 0.05
"""Between questions to a broker that answers at once: records come minutes apart."""


def _consumer(**config: Any) -> KafkaConsumer:
    return connect(KafkaConsumer, **config)


class KafkaControlLog:
    """``ports.ControlLog`` over one Kafka topic. Connects at first use; close it.

    ``config`` is what every kafka-python client here is made from (bootstrap, security).
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        codec: Codec,
        prefix: str = "",
        timeout_s: float = 10.0,
        observe: Callable[[ControlRecord], object] = lambda _: None,
        *,
        task: str = RANKING,
        connect: Callable[..., KafkaConsumer] = _consumer,
    ) -> None:
        """``observe`` is told every accepted record of the task, in order."""
        self._connect = connect
        self._config = dict(config)
        self._codec = codec
        self._partition = TopicPartition(prefix + topics.ADAPTERS, 0)
        self._timeout_s = timeout_s
        self._observe = observe
        self._slot = tasks.slot(task)
        self._slots: set[bytes] = set()  # seen so far
        self._consumer = LazyConsumer(self._connected)
        self._producer: KafkaProducer | None = None
        self._record: ControlRecord | None = None
        self._ends_ignored = False
        self._identity: bytes | None = None

    def latest(self) -> ControlRecord | None:
        """The newest accepted record, having read to the end of the log as it is now."""
        with self._reachable():
            self._read_to(self._end())
        return self._record

    def poll(self, timeout_s: float) -> ControlRecord | None:
        """Wait at most so long for news: the newest record accepted since the last read."""
        before = self._record
        with self._reachable():
            self._take(timeout_s)
        return self._record if self._record is not before else None

    def prepare(self) -> None:
        """Be ready to append: who reads first and connects then has read what is long past."""
        with self._reachable():
            self._writer().partitions_for(self._partition.topic)

    def append(self, record: ControlRecord) -> None:
        """Write ``record``, whose revision is one above the newest read, and see it accepted."""
        with self._reachable():
            if self._publish(record):
                return
            while self._ends_ignored:
                self._publish(_repair(self._state, record))
        raise RegistryConflict(record.state.revision - 1, self._state.revision)

    def records(self) -> list[ControlRecord]:
        """Every accepted record that compaction has left, oldest first."""
        with self._reachable():
            end = self._end()
            self._consumer.get().seek(self._partition, 0)
            self._record = None
            return [record for _, record in self._read_to(end)]

    def tasks(self) -> list[str]:
        """Those that the log has records of, by name."""
        with self._reachable():
            self._read_to(self._end())
        return sorted(map(tasks.of_slot, self._slots))

    def identity(self) -> bytes | None:
        """Whose installation this is (``core.identity``); None: nobody has said."""
        with self._reachable():
            self._read_to(self._end())
        return self._identity

    def identify(self, identity: bytes) -> bytes:
        """Say whose it is, if nobody has; what is said then. The first one counts."""
        if (found := self.identity()) is not None:
            return found
        with self._reachable():
            sent = self._writer().send(self._partition.topic, identity, IDENTITY, partition=0)
            sent.get(self._timeout_s)
        return self.identity() or identity

    def close(self) -> None:
        self._consumer.close()
        if self._producer is not None:
            self._producer.close()
            self._producer = None

    def __enter__(self) -> KafkaControlLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def _state(self) -> RegistryState:
        return self._record.state if self._record else RegistryState()

    def _publish(self, record: ControlRecord) -> bool:
        """Send it and read up to the end; whether it was accepted."""
        data = self._codec.encode(topics.ADAPTERS, record)
        sent = self._writer().send(self._partition.topic, data, self._slot, partition=0)
        offset = sent.get(self._timeout_s).offset
        taken = self._read_to(max(offset + 1, self._end()))
        return any(at == offset for at, _ in taken)

    def _writer(self) -> KafkaProducer:
        if self._producer is None:
            self._producer = KafkaProducer(
                **self._config, acks="all", max_block_ms=int(self._timeout_s * 1000)
            )
        return self._producer

    def _read_to(self, end: int) -> list[tuple[int, ControlRecord]]:
        """Read until ``end`` is reached; what was accepted on the way."""
        deadline = time.monotonic() + self._timeout_s
        taken: list[tuple[int, ControlRecord]] = []
        reader = self._consumer.get()
        while reader.position(self._partition, timeout_ms=self._timeout_ms) < end:
            if time.monotonic() > deadline:
                raise Unavailable(f"{self._partition.topic} was not read in {self._timeout_s:g} s")
            taken += self._take(0.1)
        return taken

    def _take(self, timeout_s: float) -> list[tuple[int, ControlRecord]]:
        """One poll, by the rule of ``core.release.registry``."""
        fetched = self._consumer.get().poll(timeout_ms=int(timeout_s * 1000))
        taken = []
        for message in fetched.get(self._partition, []):
            key = message.key or b""
            if key == IDENTITY:
                self._identity = self._identity or message.value
                continue
            self._slots |= {key} if key else set()
            if key != self._slot:
                continue
            record = self._decoded(message)
            accepted = record is not None and registry.accepts(self._state, record)
            self._ends_ignored = not accepted
            if record is not None and accepted:
                self._record = record
                self._observe(record)
                taken.append((message.offset, record))
        return taken

    def _decoded(self, message: Any) -> ControlRecord | None:
        try:
            value = self._codec.decode(topics.ADAPTERS, message.value or b"")
        except Refused as error:
            log.warning("control record at offset %d is ignored: %s", message.offset, error)
            return None
        return value if isinstance(value, ControlRecord) else None

    def _end(self) -> int:
        reader = self._consumer.get()
        ends = reader.end_offsets([self._partition], timeout_ms=self._timeout_ms)
        return int(ends[self._partition])

    def _connected(self) -> KafkaConsumer:
        """At the start of the log: a new one reads the whole of it again."""
        how = {
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "isolation_level": READ_COMMITTED,
        }
        consumer = pace(self._connect(**self._config | how), PAUSE_S)
        consumer.assign([self._partition])
        consumer.seek(self._partition, 0)
        return consumer

    @property
    def _timeout_ms(self) -> int:
        return int(self._timeout_s * 1000)

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        try:
            yield
        except UnsupportedCodecError as error:
            raise cannot_read(f"reading {self._partition.topic}", error) from error
        except TOO_LARGE as error:
            raise UserError(
                f"a control record is larger than {self._partition.topic} takes: raise its "
                "max.message.bytes"
            ) from error
        except KafkaError as error:
            if is_refusal(error):
                user = str(self._config.get("sasl_plain_username") or "")
                raise refusal(user, "using the control log", error) from error
            raise Unavailable(
                f"the control log {self._partition.topic} did not answer: {error!r}; is Kafka "
                "there, and has `streamrec topics create` been run?"
            ) from error
        except UNDECODABLE as error:
            self._consumer.drop()
            raise Unavailable(
                f"the control log {self._partition.topic} gave an answer that cannot be decoded: "
                f"{error!r}; it is read anew from its start"
            ) from error


def _repair(state: RegistryState, lost: ControlRecord) -> ControlRecord:
    return replace(
        lost,
        action=Action.REPAIR,
        reason=f"{lost.action} of {lost.generation or 'the champion'} came too late",
        generation=state.champion,
        digest="",
        state=registry.repair(state),
    )
