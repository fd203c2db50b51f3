"""Users' state moved to where a larger number of partitions puts them.

1. Nothing runs, and the workers have read what was sent by the old number.
2. Who moves is copied: record, when last seen, what is waited for; of each partition that somebody
   leaves, the event ids it has counted.
3. Only then are the old places cleared.
4. The layout says the new number.

Killed at any point it is run again: what is copied twice is the same. Item statistics stay: they
are sums over all partitions. So do positions, and messages that wait in outboxes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from kafka import TopicPartition

from streamrec.apps import clients
from streamrec.core import topics
from streamrec.core.events import Interaction, Source
from streamrec.core.state import deadlines, known_ids
from streamrec.core.state.deadlines import Deadlines
from streamrec.core.state.layout import UserLayout
from streamrec.core.state.user_state import UserState
from streamrec.errors import Refused, UserError
from streamrec.infra.stores.layout_store import RedisLayout
from streamrec.infra.stores.redis_store import RedisPartitionStore
from streamrec.infra.wire.kafka import full_name, kafka_errors, make_consumer, partition_for
from streamrec.infra.wire.kafka_offsets import logs
from streamrec.infra.wire.kafka_topics import partition_counts
from streamrec.ports import Writes
from streamrec.settings import Settings

AT_ONCE = 200
Record = Mapping[str, Any]
TIMES = "c"
"""The shared row with a partition's two times (``core.state.partial_aggregate``)."""


@dataclass(frozen=True, slots=True)
class Migration:
    """``moves``: users by (from, to); empty where only old places are left to clear."""

    layout: UserLayout
    moves: Mapping[tuple[int, int], int]


def plan(settings: Settings) -> Migration | None:
    """What is to be done; None: nothing. Changes nothing.

    Raises UserError while workers run, or have not read what was sent by the old number.
    """
    count = partition_counts(settings.kafka).get(topics.EVENTS, 0)
    with clients.redis(settings) as redis:
        layout = RedisLayout(redis, settings.redis.key_prefix).get()
        if layout is None or (layout.partitions == count and not layout.moving_to):
            return None
        if count < layout.partitions:
            raise UserError(str(layout.mismatch(count)))
        store = clients.partition_store(settings, redis)
        alive = sorted(w.worker_id for w in clients.fleet(settings, redis).workers())
        if alive:
            raise UserError(f"stop the workers first; alive: {', '.join(alive)}")
        if not layout.moving_to:
            _check_read(settings, store, layout.partitions)
            layout = replace(layout, moving_to=count)
        moves: dict[tuple[int, int], int] = defaultdict(int)
        for partition in range(layout.partitions):
            for user in store.user_ids(Source(topics.EVENTS, partition)):
                to = partition_for(user, layout.moving_to)
                if to != partition:
                    moves[partition, to] += 1
        return Migration(layout, dict(moves))


def migrate(settings: Settings, planned: Migration) -> None:
    """Do it. Raises PositionConflict when a worker works all the same, Unavailable."""
    layout = planned.layout
    with clients.redis(settings) as redis:
        kept = RedisLayout(redis, settings.redis.key_prefix)
        mover = _Mover(settings, clients.partition_store(settings, redis), layout.moving_to)
        kept.put(layout)
        if not layout.copied:
            for partition in range(layout.partitions):
                mover.copy(Source(topics.EVENTS, partition))
            layout = replace(layout, copied=True)
            kept.put(layout)
        for partition in range(layout.partitions):
            mover.clear(Source(topics.EVENTS, partition))
        kept.put(layout.moved())


class _Mover:
    def __init__(self, settings: Settings, store: RedisPartitionStore, partitions: int) -> None:
        self._store = store
        self._partitions = partitions
        self._window_ms = int(settings.ingest.attribution_window_s * 1000)

    def copy(self, source: Source) -> None:
        to: dict[Source, list[str]] = defaultdict(list)
        for user, target in self._leaving(source):
            to[target].append(user)
        times = self._store.read_rows(source, 0).rows.get(TIMES)
        for target, users in to.items():
            for some in _some(users):
                self._commit(target, self._copied(source, some, times))
            self._commit(target, self._remembered(source, target, times))

    def clear(self, source: Source) -> None:
        leaving = [user for user, _ in self._leaving(source)]
        for some in _some(leaving):
            own = {deadlines.OWN + user: None for user in some}
            self._commit(source, Writes(users=dict.fromkeys(some), own=own))

    def _leaving(self, source: Source) -> Iterator[tuple[str, Source]]:
        for user in self._store.user_ids(source):
            target = Source(topics.EVENTS, partition_for(user, self._partitions))
            if target != source:
                yield user, target

    def _copied(self, source: Source, users: Sequence[str], times: Record | None) -> Writes:
        _, found = self._store.read_users(source, users)
        records = {u: r for u, r in zip(users, found, strict=True) if r is not None}
        states = {user: UserState.from_record(record) for user, record in records.items()}
        waiting = Deadlines(self._window_ms)
        for user, state in states.items():
            waiting.set(user, state.waiting, times["t"] if times else 0)
        seen_ms = {user: state.last_active_ms for user, state in states.items()}
        return Writes(users=records, own=waiting.take_rows(), seen_ms=seen_ms)

    def _remembered(self, source: Source, target: Source, times: Record | None) -> Writes:
        """Event ids of ``source`` for ``target``, once; its times, where that one has none."""
        ours, theirs = self._store.read_own(source), self._store.read_own(target)
        mark = f"moved/{source}/{self._partitions}"
        own: dict[str, Any] = {mark: {"done": True}}
        added: dict[str, bytes] = {}
        if mark not in theirs:
            names = known_ids.stored(ours)
            added = dict(zip(names, self._store.read_logs(source, names), strict=True))
            for name, log in added.items():
                before = theirs.get(name, {"n": 0})["n"]
                own[name] = {"n": before + len(log) // known_ids.STORED.itemsize}
        return Writes(rows=self._times(target, times), own=own, logs=added)

    def _times(self, target: Source, ours: Record | None) -> dict[str, Any]:
        theirs = self._store.read_rows(target, 0).rows.get(TIMES)
        new = self._store.position(target) == 0 and ours is not None
        if not new or ours is None or (theirs is not None and theirs["t"] >= ours["t"]):
            return {}
        return {TIMES: ours}

    def _commit(self, target: Source, writes: Writes) -> None:
        position = self._store.position(target)
        self._store.commit(target, position, position, writes)


def _some(users: Sequence[str]) -> Iterator[list[str]]:
    left = iter(users)
    while some := list(islice(left, AT_ONCE)):
        yield some


def _check_read(settings: Settings, store: RedisPartitionStore, partitions: int) -> None:
    """Raises UserError when a partition has an event next that the old number puts there."""
    bounds = logs(settings.kafka, [topics.EVENTS])
    with closing(make_consumer(settings.kafka, client_id="streamrec-migrate")) as consumer:
        for partition in range(partitions):
            source = Source(topics.EVENTS, partition)
            place = store.position(source) - store.log_of(source).base
            end = bounds[topics.EVENTS, partition].end
            tp = TopicPartition(full_name(settings.kafka, topics.EVENTS), partition)
            with kafka_errors(settings.kafka, f"reading {tp.topic}"):
                record = _next_record(consumer, tp, place, end)
            if record is not None and not _moves(settings, record, partition, partitions):
                raise UserError(
                    f"{source} is not read as far as the old number of partitions goes (at {place} "
                    f"of {end}): start feature workers, and stop them when they wait"
                )


def _next_record(consumer: Any, tp: TopicPartition, place: int, end: int) -> Any:
    consumer.assign([tp])
    consumer.seek(tp, place)
    while consumer.position(tp) < end:
        for record in consumer.poll(1_000).get(tp, []):
            return record
    return None


def _moves(settings: Settings, record: Any, partition: int, partitions: int) -> bool:
    """Whether a record is one that the old number puts elsewhere: what workers stop at."""
    try:
        event = clients.codec(settings).decode(topics.EVENTS, record.value or b"")
    except Refused:
        return False
    belongs = partition_for(event.user_id, partitions) if isinstance(event, Interaction) else None
    return belongs not in (None, partition)
