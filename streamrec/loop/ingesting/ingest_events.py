"""One partition of the events topic: decode, fold, commit, publish.

Knows the order of these steps. Does not know what the fold computes (``core.state.fold``), when
a mini-batch is full (``core.state.batching``), or what happens after a failure
(``loop.ingesting.ingest``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from streamrec.core import topics
from streamrec.core.events import Interaction, Source
from streamrec.core.examples import Example
from streamrec.core.state.batching import BatchRules
from streamrec.core.state.fold import FoldResult, FoldRules, Located, PartitionFold
from streamrec.core.state.known_ids import stored
from streamrec.errors import (
    ImpossibleTime,
    Malformed,
    PositionConflict,
    Refused,
    Repartitioned,
    TooLate,
    Unavailable,
    UserError,
)
from streamrec.loop.ingesting.admissible import check_partition, located
from streamrec.loop.ingesting.event_traces import EventTraces, Folding
from streamrec.loop.ingesting.example_stream import ExampleStream
from streamrec.loop.ingesting.raw import Memory, RawRecord, Refusals
from streamrec.ports import Counted, ExampleSource, OutboxEntry, Record, Writes
from streamrec.ports.edges import Edges

UPDATES = "updates"
"""The outbox of messages for the serving workers."""
INDEXED = "seen"
"""The own row that says that every user has a place in the order of ``PartitionStore.silent``."""
OUTBOX_READ = 500
"""Entries read at once when an outbox is emptied after a takeover."""


@dataclass(frozen=True, slots=True)
class EventsRules:
    """``future_tolerance_ms``: how far an event may be ahead of its record's timestamp."""

    fold: FoldRules
    batch: BatchRules
    future_tolerance_ms: int
    users_in_memory: int = 50_000


def _in_order(result: FoldResult, task: str) -> list[Example]:
    """A task's examples and the marks among them, by place."""
    together = [*result.examples[task], *result.forgotten]
    return sorted(together, key=lambda e: (e.offset, e.index)) if result.forgotten else together


class EventsPartition:
    """One events partition; see ``loop.ingesting.ingest`` for who calls it when.

    A run of records is ingested in this order, and a death between any two steps loses
    nothing and counts nothing twice (tests/unit/loop/test_ingest_crashes.py):

    1. records already applied are skipped;
    2. the rest is decoded; what is refused becomes a dead letter, acknowledged by Kafka:
       its offset is about to be passed for ever (died here: refused again, a second dead letter);
    3. users that are not in memory are read, at exactly our position;
    4. the fold computes users, rows, updates and examples;
    5. one commit writes them all and moves the position, or finds that somebody else did
       (died before: all of it again; after: the outboxes hold the messages);
    6. updates are published at once, examples when a mini-batch is full or old enough
       (died here: the next owner publishes the outbox again, same ids);
    7. once Kafka has acknowledged (``Ingest.settle``), the outboxes are trimmed.
    """

    def __init__(
        self,
        source: Source,
        edges: Edges,
        rules: EventsRules,
        memory: Memory,
        sources: Sequence[ExampleSource],
    ) -> None:
        """``sources``: of every task; the first one's logs features with what is shown."""
        self.source = source
        self.position = 0
        self._store = edges.store
        self._publisher = edges.publisher
        self._codec = edges.codec
        self._clock = edges.clock
        self._partition_of, self._former_of = edges.partition_of, edges.former_of
        self._partition_now = edges.partition_now
        self._refusals = Refusals(edges)
        self._rules = rules
        self._counts, self._meter = memory.counts, edges.meter
        makers = {
            of.task: of.make(source.partition, memory.catalogue, memory.statistics)
            for of in sources
        }
        self._fold = PartitionFold(
            source.partition,
            rules.fold,
            memory.catalogue,
            memory.statistics,
            makers=makers,
            counters=[counter for of in sources for counter in of.counters],
        )
        self._traces = EventTraces(source, edges)
        self._streams = {
            of.task: ExampleStream(
                source, edges, of, rules.batch, memory.counts, traces=self._traces
            )
            for of in sources
        }
        self._updated: OutboxEntry | None = None  # the last update handed to Kafka
        self._refused_times = 0

    def clock_gauges(self) -> dict[str, float]:
        """What time it is here, and how many events were not believed, moved, refused."""
        clock = self._fold.clock
        return {
            "event_time_ms": float(clock.now_ms),
            "ahead": float(clock.ahead),
            "clipped": float(clock.clipped),
            "returns": float(clock.returns),
            "refused": float(self._refused_times),
        }

    # -- taking over ------------------------------------------------------------------

    def take_over(self) -> None:
        """Own rows into memory, then the outboxes out to Kafka, oldest first."""
        changes = self._store.read_rows(self.source, 0)
        own = self._store.read_own(self.source)
        if changes.position and INDEXED not in own:
            self._store.index_users(self.source)
        self._load(changes.rows, own)
        self.position = changes.position
        passages = self._store.log_of(self.source).passages
        self._traces.take_over()
        for stream in self._streams.values():
            stream.leave_out(sorted((p.start, p.end) for p in passages if p.end > p.start))
        self._empty_outbox(UPDATES, self._republish_updates)
        for stream in self._streams.values():
            self._empty_outbox(stream.outbox, stream.publish_again)

    def _load(self, rows: Mapping[str, Record | None], own: Mapping[str, Record]) -> None:
        """Raises UserError when the state is not what was written."""
        names = stored(own)
        logs = dict(zip(names, self._store.read_logs(self.source, names), strict=True))
        present = {name: row for name, row in rows.items() if row is not None}
        try:
            self._fold.load_rows(present, own, logs)
        except ValueError as error:
            raise UserError(
                f"the state of {self.source} in Redis is not what was written ({error}): does it "
                "evict keys (maxmemory-policy other than noeviction)? Bring back a copy of it, or "
                "fold the log again from its beginning under another STREAMREC_REDIS_KEY_PREFIX"
            ) from error

    def _empty_outbox(self, name: str, publish: Callable[[Sequence[OutboxEntry]], None]) -> None:
        while entries := self._store.outbox(self.source, name, OUTBOX_READ):
            publish(entries)
            self._publisher.flush()
            self._store.trim_outbox(self.source, name, entries[-1])

    def _republish_updates(self, entries: Sequence[OutboxEntry]) -> None:
        for entry in entries:
            user_id = self._codec.decode(topics.USER_UPDATES, entry.payload).user_id
            key, carried = user_id.encode(), self._traces.headers(entry.offset)
            self._publisher.publish(topics.USER_UPDATES, key, entry.payload, carried)

    # -- ingesting --------------------------------------------------------------------

    def ingest(self, records: Sequence[RawRecord]) -> None:
        """Raises Unavailable, PositionConflict; memory is invalid afterwards."""
        run = [record for record in records if record.offset >= self.position]
        if not run:
            return
        admitted, refused, elsewhere = self._decode(run)
        run = run[: len(admitted) + len(refused) + len(elsewhere)]
        with self._traces.fold(run) as folding:
            folding.refuse(refused)
            self._refusals.publish(self.source, refused)
            self._send_on(elsewhere)
            late, result = self._apply(run, admitted, folding)
        self._refused_times += sum(isinstance(e, ImpossibleTime) for _, e in refused)
        self._count(admitted, len(refused) + late, result)

    def _apply(
        self, run: Sequence[RawRecord], admitted: Sequence[Located], folding: Folding
    ) -> tuple[int, FoldResult]:
        """Steps 3 to 6; how many came too late, and what the rest has done."""
        self._read_users(admitted)
        now_ms = self._clock.now_ms()
        result = self._fold.apply(admitted, now_ms, self._silent(admitted))
        late = [
            (record, TooLate(result.refused[record.offset]))
            for record in run
            if record.offset in result.refused
        ]
        folding.refuse(late)
        self._refusals.publish(self.source, late)
        examples = {task: _in_order(result, task) for task in self._streams}
        writes = self._writes(result, examples, folding)
        position = run[-1].offset + 1
        self._store.commit(self.source, self.position, position, writes)
        self.position = position
        self._publish_updates(result, writes.outboxes[UPDATES])
        for task, stream in self._streams.items():
            stream.add(examples[task], writes.outboxes[stream.outbox], now_ms)
        self._publish_batches(now_ms)
        return len(late), result

    def tick(self, now_ms: int) -> None:
        """Cut the batches that have grown old; let go of users not seen for long."""
        self._publish_batches(now_ms)
        self._fold.forget_users(self._rules.users_in_memory)

    def trim(self) -> None:
        """Everything published so far was acknowledged: the outboxes may forget it."""
        if self._updated is not None:
            self._store.trim_outbox(self.source, UPDATES, self._updated)
            self._updated = None
        for stream in self._streams.values():
            if stream.published is not None:
                self._store.trim_outbox(self.source, stream.outbox, stream.published)
                stream.published = None
        waiting = (stream.oldest for stream in self._streams.values())
        self._traces.trim(min((at for at in waiting if at is not None), default=self.position))

    def _decode(
        self, run: Sequence[RawRecord]
    ) -> tuple[list[Located], list[tuple[RawRecord, Refused]], list[tuple[RawRecord, str]]]:
        """What is folded, what is refused and why, what is sent on and whose it is.

        It ends before an event that lies where more partitions put it; raises Repartitioned when
        that is the first one.
        """
        admitted, refused = [], []
        elsewhere: list[tuple[RawRecord, str]] = []
        for record in run:
            try:
                at = self._admitted(record)
                if self._is_former(at.event.user_id):
                    elsewhere.append((record, at.event.user_id))
                else:
                    admitted.append(at)
            except Refused as error:
                refused.append((record, error))
            except Repartitioned:
                if record is run[0]:
                    raise
                break
        return admitted, refused, elsewhere

    def _is_former(self, user_id: str) -> bool:
        """Whether an earlier number of partitions puts a user here, and ours does not."""
        here = self.source.partition
        return self._partition_of(user_id) != here and here in self._former_of(user_id)

    def _send_on(self, elsewhere: Sequence[tuple[RawRecord, str]]) -> None:
        """To where the user is known now: its producer went by the earlier number."""
        for record, user_id in elsewhere:
            carried = self._traces.headers(record.offset)
            self._publisher.publish(topics.EVENTS, user_id.encode(), record.value, carried)
        if elsewhere:
            self._publisher.flush()
            self._counts.sent_on += len(elsewhere)

    def _check_partitions(self, user_id: str) -> None:
        if (
            self._partition_now is not None
            and self._partition_now(user_id) == self.source.partition
        ):
            raise Repartitioned(
                "events has more partitions than the state of users is laid out for: "
                "`streamrec state migrate`",
                retry_after_s=5.0,
            )

    def _admitted(self, record: RawRecord) -> Located:
        if record.value is None:
            raise Malformed("the value is null; an event has one")
        event: Interaction = self._codec.decode(topics.EVENTS, record.value)
        belongs = self._partition_of(event.user_id)
        if belongs != self.source.partition and not self._is_former(event.user_id):
            self._check_partitions(event.user_id)
            told = self._converter(record.key, event.user_id)
            check_partition(event, self.source, belongs, told)
        return located(record, event, self._clock.now_ms(), self._rules.future_tolerance_ms)

    def _converter(self, key: bytes | None, user_id: str) -> str:
        """What to set where the key is the user id as a converter writes it."""
        with suppress(Refused, Unavailable):
            if key and key != user_id.encode() and user_id in self._codec.ids(key):
                return (
                    f"; the key {key[:40]!r} is a converter's form of it: "
                    "key.converter=org.apache.kafka.connect.storage.StringConverter"
                )
        return ""

    def _read_users(self, run: Sequence[Located]) -> None:
        missing = self._fold.missing_users(run)
        if not missing:
            return
        found, records = self._store.read_users(self.source, missing)
        if found != self.position:
            raise PositionConflict(str(self.source), self.position, found)
        self._fold.put_users(dict(zip(missing, records, strict=True)))

    def _silent(self, located: Sequence[Located]) -> list[tuple[int, str]]:
        wanted = self._fold.silent_until(located)
        return [] if wanted is None else self._store.silent(self.source, *wanted)

    def _writes(
        self, result: FoldResult, examples: Mapping[str, Sequence[Example]], folding: Folding
    ) -> Writes:
        encode = self._codec.encode
        updates = [
            OutboxEntry(update.offset, 0, encode(topics.USER_UPDATES, update))
            for update in result.updates
        ]
        waiting = {
            stream.outbox: stream.entries(examples[task]) for task, stream in self._streams.items()
        }
        outboxes = {UPDATES: updates, **waiting, **folding.entries()}
        return Writes(
            result.users,
            result.rows,
            outboxes,
            {**result.own, INDEXED: {}},
            result.logs,
            result.seen_ms,
        )

    # -- publishing -------------------------------------------------------------------

    def _publish_updates(self, result: FoldResult, entries: Sequence[OutboxEntry]) -> None:
        for update, entry in zip(result.updates, entries, strict=True):
            key, carried = update.user_id.encode(), self._traces.headers(entry.offset)
            self._publisher.publish(topics.USER_UPDATES, key, entry.payload, carried)
            self._updated = entry

    def _publish_batches(self, now_ms: int) -> None:
        for stream in self._streams.values():
            stream.publish(now_ms, self.position)

    def _count(self, admitted: Sequence[Located], refused: int, result: FoldResult) -> None:
        kinds = Counter(at.event.kind for at in admitted if at.offset not in result.refused)
        for kind, times in kinds.items():
            self._meter.count(Counted.EVENTS, times, kind=kind)
        self._counts.events_applied += kinds.total()
        self._counts.dead_letters += refused
        self._counts.duplicates += result.duplicates
        self._counts.unknown_items += result.unknown_items
        self._counts.late_clicks += result.late_clicks
        self._counts.late_views += result.late_views
        self._counts.too_late += len(result.refused)
        self._counts.expired_users += result.expired_users
        self._counts.expired_items += result.expired_items
        self._counts.unusable_replies += result.unusable_replies
