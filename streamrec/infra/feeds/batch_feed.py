"""The topic ``training-batches`` as the trainer reads it: assigned, sought, never committed.

Knows where the reader stands and whether that place still exists. The position is the trainer's,
kept in its checkpoint; the broker's commit means nothing here. Which examples are new:
``core.ledger.ledger``.

Losing the place is never silent:

- the log begins later (retention was faster than the trainer): reading goes on at its
  first batch, and the watermarks name the source offsets that are missing;
- the topic was deleted and made again (its id is another): reading goes on at its first batch.
  Places go on too (``core.state.source_log``), and the watermarks know which examples are new;
- the log ends earlier: an error.

The mini-batches of other tasks, which share the topic, are passed over by their key, undecoded.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import OffsetOutOfRangeError

from streamrec.core import tasks, topics
from streamrec.core.events import Source
from streamrec.core.examples import TrainingBatch
from streamrec.core.state.source_log import SourceLog, begun_anew
from streamrec.core.tasks import RANKING
from streamrec.core.topics import TRAINING_BATCHES
from streamrec.errors import Malformed, Refused, UserError
from streamrec.infra.wire.kafka import full_name, kafka_errors, make_consumer
from streamrec.infra.wire.kafka_offsets import logs
from streamrec.infra.wire.lazy_consumer import LazyConsumer
from streamrec.ports import Codec, DeliveredBatch, PartitionStore, carried
from streamrec.settings import KafkaSettings

log = logging.getLogger(__name__)


class KafkaBatchFeed:
    """``ports.BatchFeed`` over one Kafka partition. Connects at ``seek``; close it."""

    def __init__(
        self,
        settings: KafkaSettings,
        codec: Codec,
        client_id: str,
        task: str = RANKING,
        *,
        connect: Callable[..., KafkaConsumer] = make_consumer,
        origins: PartitionStore | None = None,
    ) -> None:
        """``origins``: where it is kept which log our places belong to; None: nowhere."""
        self._origins = origins
        self._source = Source(tasks.key(TRAINING_BATCHES, task), 0)
        self._kept = SourceLog()
        self._task = task
        self._shape = topics.of_task(TRAINING_BATCHES, task)
        self._connect = connect
        self._settings = settings
        self._codec = codec
        self._client_id = client_id
        self._partition = TopicPartition(full_name(settings, TRAINING_BATCHES), 0)
        self._consumer = LazyConsumer(self._connected)
        self._next: int | None = None  # where a consumer made anew goes on

    def seek(self, offset: int) -> int:
        """Start at ``offset``, or at the first batch still kept after it: where that is.

        Raises Unavailable, UserError when there is no such topic or it ends before ``offset``.
        """
        with self._asked(f"asking where {self._partition.topic} begins") as reader:
            first = int(reader.beginning_offsets([self._partition])[self._partition])
            end = int(reader.end_offsets([self._partition])[self._partition])
        self._kept = self._origin(offset, first)
        base = self._kept.base
        if offset - base > end:
            raise UserError(
                f"the trainer has learned {self._partition.topic} up to {offset - base}, "
                f"but it ends at {end}: it was made anew. Restore it, or start in another "
                "STREAMREC_STATE_DIR: learning goes on from the champion, with what it had not "
                "learned"
            )
        if first > offset - base:
            log.error(
                "%s begins at %d, the trainer stands at %d: the batches between are gone "
                "(retention); going on from %d",
                self._partition.topic, first, offset - base, first,
            )  # fmt: skip
        start = self._next = max(first, offset - base)
        reader.seek(self._partition, start)
        return start + base

    def _origin(self, offset: int, first: int) -> SourceLog:
        """The log that our places belong to from now on. Raises Unavailable."""
        if self._origins is None:
            return SourceLog()
        kept = self._origins.log_of(self._source)
        with self._asked(f"asking which topic {self._partition.topic} is"):
            found = logs(self._settings, [TRAINING_BATCHES])[TRAINING_BATCHES, 0]
        settled = replace(kept, topic_id=found.topic_id or kept.topic_id)
        if kept.topic_id and settled.topic_id != kept.topic_id:
            log.error(
                "%s was deleted and made again: going on with its first batch at %d; what the old "
                "one held and was not trained is lost", self._partition.topic, first,
            )  # fmt: skip
            settled = begun_anew(offset, found)
        if settled != kept:
            self._origins.keep_log(self._source, settled)
        return settled

    def poll(self, timeout_s: float, limit: int) -> list[DeliveredBatch]:
        """The next batches of our task, at most ``limit``; none if nothing came in time.

        Raises Unavailable, UserError when the topic was made anew meanwhile.
        """
        deadline_s = time.monotonic() + timeout_s
        while True:
            fetched = self._passed(max(0.0, deadline_s - time.monotonic()), limit)
            ours = [message for message in fetched if tasks.of_batch_key(message.key) == self._task]
            if ours or not fetched or time.monotonic() >= deadline_s:
                return [self._delivered(message) for message in ours]

    def _passed(self, timeout_s: float, limit: int) -> list[Any]:
        """The next messages, whoever's; the place is behind them then."""
        try:
            with self._asked(f"reading {self._partition.topic}") as reader:
                fetched = self._fetch(reader, timeout_s, limit)
        except _PlaceGone as gone:
            self.seek(gone.offset + self._kept.base)
            return []
        if fetched:
            self._next = fetched[-1].offset + 1
        return fetched

    def lag(self) -> int:
        """Messages in the topic that have not been passed, all tasks'. Raises Unavailable."""
        with self._asked(f"asking where {self._partition.topic} ends") as reader:
            end = int(reader.end_offsets([self._partition])[self._partition])
            return max(0, end - int(reader.position(self._partition)))

    def close(self) -> None:
        self._consumer.close()

    def _asked(self, doing: str) -> AbstractContextManager[KafkaConsumer]:
        return self._consumer.asked(kafka_errors(self._settings, doing))

    def _fetch(self, reader: KafkaConsumer, timeout_s: float, limit: int) -> list[Any]:
        try:
            fetched = reader.poll(timeout_ms=int(timeout_s * 1000), max_records=limit)
        except OffsetOutOfRangeError as error:
            raise _PlaceGone(int(error.args[0][self._partition])) from error
        return list(fetched.get(self._partition, []))

    def _delivered(self, message: Any) -> DeliveredBatch:
        data = message.value or b""
        return DeliveredBatch(
            message.offset + self._kept.base,
            message.key,
            data,
            self._decoded(data),
            carried(message.headers or ()),
            message.timestamp,
        )

    def _decoded(self, data: bytes) -> TrainingBatch | Refused:
        try:
            value = self._codec.decode(self._shape, data)
        except Refused as refused:
            return refused
        if isinstance(value, TrainingBatch):
            return value
        return Malformed(f"not a mini-batch but {type(value).__name__}")

    def _connected(self) -> KafkaConsumer:
        consumer = self._connect(
            self._settings,
            (TRAINING_BATCHES,),
            client_id=self._client_id,
            offset_reset="none",  # losing the place is our decision, not the driver's
        )
        if self._next is not None:
            consumer.seek(self._partition, self._next)
        return consumer


class _PlaceGone(Exception):
    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset
