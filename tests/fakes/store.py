"""A PartitionStore in memory, and one that dies where a test wants it to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

from streamrec.core.events import Source
from streamrec.errors import PositionConflict
from streamrec.ports import Changes, OutboxEntry, Record, Writes


@dataclass
class _Partition:
    position: int = 0
    users: dict[str, bytes] = field(default_factory=dict)
    rows: dict[str, tuple[int, bytes]] = field(default_factory=dict)
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
            if record is None:
                partition.users.pop(user, None)
            else:
                partition.users[user] = orjson.dumps(record)
        for row, record in writes.rows.items():
            partition.rows[row] = (position, orjson.dumps(record))
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
        if since > partition.position:
            since = 0
        return Changes(
            partition.position,
            {row: orjson.loads(r) for row, (at, r) in partition.rows.items() if at > since},
        )

    def outbox(self, source: Source, name: str, limit: int) -> list[OutboxEntry]:
        return self.partitions[source].outboxes[name][:limit]

    def trim_outbox(self, source: Source, name: str, through: OutboxEntry) -> None:
        kept = self.partitions[source].outboxes
        last = (through.offset, through.index)
        kept[name] = [entry for entry in kept[name] if (entry.offset, entry.index) > last]
