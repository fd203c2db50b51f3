"""Topics followed from now on: every message decoded, with its Kafka coordinates.

For people and for the demo, who watch without being part of a consumer group. Knows
positions; does not know what the messages are for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

from kafka import KafkaConsumer

from streamrec.core import tasks
from streamrec.core.tasks import RANKING
from streamrec.core.topics import TRAINING_BATCHES, of_task
from streamrec.errors import Refused
from streamrec.infra.wire.kafka import LOG_APPEND_TIME, kafka_errors, make_consumer
from streamrec.ports import Codec, FollowedRecord
from streamrec.settings import KafkaSettings


class Follower:
    """Reads all partitions of some topics from their ends at the time it was made.

    Raises (making one, and ``poll``): Unavailable; UserError for a topic that is not there.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        codec: Codec,
        topics: Sequence[str],
        client_id: str,
        *,
        from_start: bool = False,
        wanted: Callable[[str, bytes], bool] = lambda _topic, _key: True,
        connect: Callable[..., KafkaConsumer] = make_consumer,
    ) -> None:
        """``wanted``: whether a message (topic, key) is decoded; the others have no value."""
        self._settings = settings
        self._codec = codec
        self._wanted = wanted
        self._prefix = len(settings.topic_prefix)
        self._consumer = connect(settings, topics, client_id=client_id)
        with kafka_errors(settings, "finding the ends of topics"):
            partitions = list(self._consumer.assignment())
            ends = {} if from_start else self._consumer.end_offsets(partitions)
            for partition in partitions:  # at once: seek_to_end() would look at the first poll
                self._consumer.seek(partition, ends.get(partition, 0))

    def poll(self, timeout_s: float, limit: int = 2_000) -> list[FollowedRecord]:
        """What came, waiting at most so long for something."""
        with kafka_errors(self._settings, "following topics"):
            fetched = self._consumer.poll(timeout_ms=int(timeout_s * 1000), max_records=limit)
        return [
            self._seen(partition.topic[self._prefix :], message)
            for partition, messages in fetched.items()
            for message in messages
        ]

    def places(self) -> dict[tuple[str, int], int]:
        """Where the next message of each partition is looked for, by (short name, partition).

        Beyond the last message lie the ends of transactions.
        """
        with kafka_errors(self._settings, "asking where we stand"):
            return {
                (tp.topic[self._prefix :], tp.partition): self._consumer.position(tp)
                for tp in self._consumer.assignment()
            }

    def _seen(self, topic: str, message: Any) -> FollowedRecord:
        task = tasks.of_batch_key(message.key) if topic == TRAINING_BATCHES else RANKING
        value = None
        if self._wanted(topic, message.key or b""):
            try:
                value = self._codec.decode(of_task(topic, task), message.value or b"")
            except Refused as error:
                value = error
        by_broker = message.timestamp_type == LOG_APPEND_TIME
        place = (message.partition, message.offset)
        return FollowedRecord(topic, *place, message.timestamp, value, task, by_broker)

    def close(self) -> None:
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
