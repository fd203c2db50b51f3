"""Raw records as they come from a source topic, and what happens to bad ones.

Knows dead letters and how records are counted. Does not know what a good record means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import NamedTuple

from streamrec.core import topics
from streamrec.core.events import DeadLetter, Source
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.statistics import Statistics
from streamrec.errors import Refused, TooLarge
from streamrec.ports import Counted, Edges


class RawRecord(NamedTuple):
    """One record of a source partition. ``timestamp_ms`` is Kafka's.

    ``offset``: of state; in its log it stands at ``offset - base`` (``core.state.source_log``).
    ``stamped_by_broker``: it says when the broker took it (LogAppendTime), not what its producer
    says (CreateTime).
    """

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    base: int = 0
    stamped_by_broker: bool = False
    traceparent: str = ""


@dataclass(slots=True)
class IntakeCounts:
    """What a worker has done since it started. Another thread may read it."""

    events_applied: int = 0
    items_applied: int = 0
    dead_letters: int = 0
    duplicates: int = 0
    unknown_items: int = 0
    late_clicks: int = 0
    late_views: int = 0
    too_late: int = 0
    expired_users: int = 0
    expired_items: int = 0
    unusable_replies: int = 0
    examples: int = 0
    batches: int = 0
    conflicts: int = 0
    folded_again: int = 0  # events that the store had, and lost
    sent_on: int = 0  # events of users whose partition is another by now

    def gauges(self) -> dict[str, float]:
        return {spec.name: float(getattr(self, spec.name)) for spec in fields(self)}


@dataclass(frozen=True, slots=True)
class Memory:
    """What all partitions of a worker share."""

    catalogue: Catalogue
    statistics: Statistics
    counts: IntakeCounts = field(default_factory=IntakeCounts)


class Refusals:
    """Sends refused records to the dead-letter topic, whole, with the reason."""

    def __init__(self, edges: Edges) -> None:
        self._codec, self._publisher, self._clock = edges.codec, edges.publisher, edges.clock
        self._meter = edges.meter

    def publish(self, source: Source, refused: Sequence[tuple[RawRecord, Refused]]) -> None:
        """Return when Kafka has acknowledged a dead letter for each.

        A value too large to be published again is left out, and the reason says where to
        find it. Raises Unavailable.
        """
        for record, error in refused:
            self._publish(source, record, error)
            self._meter.count(Counted.DEAD_LETTERS, topic=source.topic, code=error.code)
        if refused:
            self._publisher.flush()

    def _publish(self, source: Source, record: RawRecord, error: Refused) -> None:
        try:
            self._send(record.key, self._letter(source, record, error, record.value))
        except TooLarge:
            self._send(record.key, self._letter(source, record, error, None))

    def _letter(
        self, source: Source, record: RawRecord, error: Refused, value: bytes | None
    ) -> bytes:
        reason = str(error)
        if value is None and record.value is not None:
            reason += (
                f"; the value of {len(record.value)} bytes is too large for a dead letter, "
                f"read it at {source} offset {record.offset - record.base}"
            )
        letter = DeadLetter(
            source.topic,
            source.partition,
            record.offset - record.base,
            record.key,
            value,
            error.code,
            reason,
            self._clock.now_ms(),
        )
        return self._codec.encode(topics.DEAD_LETTER, letter)

    def _send(self, key: bytes | None, letter: bytes) -> None:
        self._publisher.publish(topics.DEAD_LETTER, key, letter)
