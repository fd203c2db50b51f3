"""The feature worker's use case: raw records of source partitions in, state and messages out.

Knows the order in which things must happen, and who owns which partition's memory.
Does not know Kafka's consumer (``infra.feeds.faust_app``), Redis, or what the fold computes.

What is in memory is valid exactly as long as the store stands at the same position. After
any failure the partition's memory is thrown away and taken over again from the store:
that one path repairs a lost race, a lost answer and a lost connection alike.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from streamrec.core import topics
from streamrec.core.events import Source
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.source_log import SourceLog
from streamrec.core.state.statistics import Statistics
from streamrec.core.variants.wording_rules import WordingRules
from streamrec.errors import PositionConflict, Unavailable
from streamrec.loop.ingesting.ingest_events import EventsPartition, EventsRules
from streamrec.loop.ingesting.ingest_items import ItemsPartition
from streamrec.loop.ingesting.raw import IntakeCounts, Memory, RawRecord
from streamrec.ports import ExampleSource, Writes
from streamrec.ports.edges import Edges

log = logging.getLogger(__name__)

CLOCKS = "clock/"
"""Gauges of partitions' clocks begin so; then the partition, "/" and what it is."""
SETTLE_MS = 200
"""How long published messages may stay in an outbox after they were handed to Kafka."""


@dataclass(frozen=True, slots=True)
class IngestRules:
    """``partitions`` of the topics "items" and "events"; the rest are settings."""

    partitions: Mapping[str, int]
    events: EventsRules
    refresh_ms: int = 1000
    wordings: WordingRules = WordingRules()


Partition = ItemsPartition | EventsPartition


class Ingest:
    """All partitions a worker owns. One thread calls it.

    Every method raises Unavailable when the store or Kafka does not answer, ``tick`` also when
    the store went back; ``ingest`` also PositionConflict. The partitions concerned are then no
    longer valid: ``take_over`` them again. After a message that Kafka did not take those are all
    partitions (they have left ``partitions``), because whose it was, nobody says: what it said is
    still in an outbox.
    """

    def __init__(self, edges: Edges, rules: IngestRules, sources: Sequence[ExampleSource]) -> None:
        """``sources``: who makes the examples of each task."""
        self.partitions: dict[Source, Partition] = {}
        self._edges = edges
        self._store, self._publisher, self._clock = edges.store, edges.publisher, edges.clock
        self._rules = rules
        self._sources = tuple(sources)
        self._catalogue = Catalogue(reclaims=True)
        self._statistics = Statistics(self._catalogue, rules.partitions[topics.EVENTS])
        self._memory = Memory(self._catalogue, self._statistics)
        self._since = self._beginning()  # of others' rows: read up to here
        self._reached: dict[Source, int] = {}  # by what we had when we let go of it
        self._refreshed_ms = 0
        self._settled_ms = 0
        self._failures = self._publisher.failures

    @property
    def counts(self) -> IntakeCounts:
        return self._memory.counts

    @property
    def watermark_ms(self) -> int:
        """The latest event time of the statistics."""
        return self._statistics.watermark_ms

    def clocks(self) -> dict[str, float]:
        """What time it is in each partition of ours, and what was not believed there."""
        owned = [p for p in list(self.partitions.values()) if isinstance(p, EventsPartition)]
        return {
            f"{CLOCKS}{p.source.partition}/{name}": value
            for p in owned
            for name, value in p.clock_gauges().items()
        }

    def take_over(self, source: Source) -> int:
        """Load a partition from the store; returns the offset to continue from.

        1. wait until Kafka has acknowledged what an earlier life handed over;
        2. refresh what others wrote, so that the catalogue is there before events are;
        3. read position and rows;
        4. publish what the outboxes still hold, and trim them.
        """
        self.release(source)
        with self._all_in_doubt_if_unsent():
            self._publisher.flush()
            self._refresh()
            partition = self._new_partition(source)
            partition.take_over()
        self.partitions[source] = partition
        self._tell_loss(source, partition.position)
        return partition.position

    def _tell_loss(self, source: Source, position: int) -> None:
        """The store may have lost what it had already told us."""
        lost = self._reached.get(source, 0) - position
        if lost > 0:
            self.counts.folded_again += lost
            log.warning("the store has lost %d records of %s: applied again", lost, source)

    def pass_over(self, source: Source, position: int) -> None:
        """Nothing can be read before ``position``: move there, unless we stand there already."""
        partition = self.partitions.get(source)
        if partition is None or position <= partition.position:
            return
        try:
            self._store.commit(source, partition.position, position, Writes())
        except BaseException:
            self.release(source)
            raise
        partition.position = position

    def log_of(self, source: Source) -> SourceLog:
        """Which log of the broker a partition's state belongs to."""
        return self._store.log_of(source)

    def keep_log(self, source: Source, log: SourceLog) -> None:
        """From now on it is this one."""
        self._store.keep_log(source, log)

    def release(self, source: Source) -> None:
        """Forget a partition: somebody else has it now, or its memory is in doubt."""
        partition = self.partitions.pop(source, None)
        if partition is not None:
            self._reached[source] = partition.position
            self._since[source] = 0 if source.topic == topics.EVENTS else partition.position

    def ingest(self, source: Source, records: Sequence[RawRecord]) -> int:
        """Apply records in their order; returns the next offset wanted.

        Nothing can be read at the offsets between them.
        """
        partition = self.partitions.get(source)
        if partition is None:
            raise Unavailable(f"{source} is in doubt: a message was not acknowledged")
        try:
            with self._all_in_doubt_if_unsent(), self._edges.meter.timed("ingest"):
                partition.ingest(records)
        except BaseException as error:
            self.counts.conflicts += isinstance(error, PositionConflict)
            self.release(source)
            raise
        return partition.position

    def tick(self) -> None:
        """What is due by the clock: old batches, acknowledgements, others' statistics."""
        now_ms = self._clock.now_ms()
        with self._all_in_doubt_if_unsent():
            for partition in self.partitions.values():
                partition.tick(now_ms)
        if now_ms - self._settled_ms >= SETTLE_MS:
            self.settle()
            self._settled_ms = now_ms
        if now_ms - self._refreshed_ms >= self._rules.refresh_ms:
            self._refresh()
            self._check_store()

    def settle(self) -> None:
        """Wait for acknowledgements, then trim the outboxes of what was acknowledged."""
        with self._all_in_doubt_if_unsent():
            self._publisher.flush()
        for partition in self.partitions.values():
            partition.trim()

    def holds(self, source: Source) -> bool:
        """Whether a partition's memory is valid."""
        return source in self.partitions

    def items_position(self, partition: int) -> int:
        """How far the catalogue in memory has followed a partition of the items topic."""
        source = Source(topics.ITEMS, partition)
        owned = self.partitions.get(source)
        return owned.position if owned else self._since[source]

    @contextmanager
    def _all_in_doubt_if_unsent(self) -> Iterator[None]:
        """Nothing is trimmed, or published after it, before the message is sent again."""
        try:
            yield
        finally:
            if self._publisher.failures > self._failures:
                self._failures = self._publisher.failures
                for source in list(self.partitions):
                    self.release(source)

    def _beginning(self) -> dict[Source, int]:
        return {
            Source(topic, number): 0
            for topic in (topics.ITEMS, topics.EVENTS)  # items first: statistics need their rows
            for number in range(self._rules.partitions[topic])
        }

    def _new_partition(self, source: Source) -> Partition:
        if source.topic == topics.ITEMS:
            check = self._rules.wordings.check
            return ItemsPartition(source, self._edges, self._memory, check)
        return EventsPartition(source, self._edges, self._rules.events, self._memory, self._sources)

    def _check_store(self) -> None:
        """A commit would find out too, but in a quiet partition none may come for long."""
        for source, partition in self.partitions.items():
            found = self._store.position(source)
            if found < partition.position:
                raise Unavailable(
                    f"the state of {source} went back from {partition.position} to {found} (the "
                    "store has lost its last moments): it is read and folded again from there"
                )

    def _read_catalogue(self) -> None:
        """All of it: what is missing is gone."""
        items = [source for source in self._beginning() if source.topic == topics.ITEMS]
        changes = [self._store.read_rows(source, 0) for source in items]
        self._catalogue.replace_all({n: row for one in changes for n, row in one.rows.items()})

    def _refresh(self) -> None:
        for source, since in self._since.items():
            if source in self.partitions:
                continue  # its own memory is ahead of the store, or level with it
            changes = self._store.read_rows(source, since)
            if source.topic == topics.ITEMS and changes.whole and since:
                self._read_catalogue()
            elif source.topic == topics.ITEMS:
                self._catalogue.apply_rows(changes.rows)
            elif changes.rows or since:
                self._statistics.apply_rows(source, changes.rows, whole=changes.whole)
            self._since[source] = changes.position
        self._refreshed_ms = self._clock.now_ms()
