"""A PartitionStore in memory, and one that dies where a test wants it to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

from streamrec.core.events import Source
from streamrec.core.state.source_log import SourceLog
from streamrec.errors import PositionConflict
from streamrec.ports import Changes, OutboxEntry, Record, Writes


@dataclass
class _Partition:
    position: int = 0
    log: SourceLog = SourceLog()
    users: dict[str, bytes] = field(default_factory=dict)
    rows: dict[str, tuple[int, bytes | None]] = field(default_factory=dict)
    own: dict[str, bytes] = field(default_factory=dict)
    logs: dict[str, bytes] = field(default_factory=dict)
    seen_ms: dict[str, int] = field(default_factory=dict)
    outboxes: dict[str, list[OutboxEntry]] = field(default_factory=lambda: defaultdict(list))


class FakePartitionStore:
    """The contract of ``ports.PartitionStore``; records go through JSON as they do in Redis."""

    def __init__(self) -> None:
        self.partitions: dict[Source, _Partition] = defaultdict(_Partition)
        self.commits = 0

    def position(self, source: Source) -> int:
        return self.partitions[source].position

    def commit(self, source: Source, expected: int, position: int, writes: Writes) -> None:
        partition = self.partitions[source]
        if partition.position != expected:
            raise PositionConflict(str(source), expected, partition.position)
        for user, record in writes.users.items():
            put(partition.users, user, record)
            if record is None:
                partition.seen_ms.pop(user, None)
        for row, record in writes.rows.items():
            partition.rows[row] = (position, None if record is None else orjson.dumps(record))
        for row, record in writes.own.items():
            put(partition.own, row, record)
        for name, added in writes.logs.items():
            if added is None:
                partition.logs.pop(name, None)
            else:
                partition.logs[name] = partition.logs.get(name, b"") + added
        partition.seen_ms |= {u: at for u, at in writes.seen_ms.items() if u in partition.users}
        for name, entries in writes.outboxes.items():
            partition.outboxes[name] += entries
        partition.position = position
        self.commits += 1

    def read_users(
        self, source: Source, user_ids: Sequence[str]
    ) -> tuple[int, list[Record | None]]:
        partition = self.partitions[source]
        found = (partition.users.get(user) for user in user_ids)
        return partition.position, [None if r is None else orjson.loads(r) for r in found]

    def read_rows(self, source: Source, since: int) -> Changes:
        partition = self.partitions[source]
        whole = not 0 < since <= partition.position
        rows = {
            row: None if r is None else orjson.loads(r)
            for row, (at, r) in partition.rows.items()
            if (r is not None if whole else at > since)
        }
        return Changes(partition.position, rows, whole)

    def read_own(self, source: Source) -> dict[str, Record]:
        return {row: orjson.loads(r) for row, r in self.partitions[source].own.items()}

    def read_logs(self, source: Source, names: Sequence[str]) -> list[bytes]:
        return [self.partitions[source].logs.get(name, b"") for name in names]

    def silent(self, source: Source, until_ms: int, limit: int) -> list[tuple[int, str]]:
        seen = sorted((at, user) for user, at in self.partitions[source].seen_ms.items())
        return [(at, user) for at, user in seen if at <= until_ms][:limit]

    def index_users(self, source: Source) -> None:
        partition = self.partitions[source]
        for user, record in partition.users.items():
            partition.seen_ms.setdefault(user, orjson.loads(record)["s"][1])

    def outbox(self, source: Source, name: str, limit: int) -> list[OutboxEntry]:
        return self.partitions[source].outboxes[name][:limit]

    def log_of(self, source: Source) -> SourceLog:
        return self.partitions[source].log

    def keep_log(self, source: Source, log: SourceLog) -> None:
        self.partitions[source].log = log

    def trim_outbox(self, source: Source, name: str, through: OutboxEntry) -> None:
        kept = self.partitions[source].outboxes
        last = (through.offset, through.index)
        kept[name] = [entry for entry in kept[name] if (entry.offset, entry.index) > last]


def put(records: dict[str, bytes], name: str, record: Record | None) -> None:
    if record is None:
        records.pop(name, None)
    else:
        records[name] = orjson.dumps(record)
