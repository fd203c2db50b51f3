"""``ports.PartitionStore`` on Redis 7 or Valkey: one Lua script commits, all or nothing.

Keys, all of a source under one hash tag, so that Redis Cluster keeps them together::

    <prefix>:{events-0}:pos            the next offset to apply
    <prefix>:{events-0}:u:<user>       a user's record
    <prefix>:{events-0}:rows           hash: row -> record
    <prefix>:{events-0}:dirty          sorted set: row -> position of its last change
    <prefix>:{events-0}:out:updates    stream: messages caused, ids <offset + 1>-<index>
    <prefix>:{events-0}:out:examples   one for each task's examples

Stream ids start at offset + 1 because Redis refuses 0-0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha1
from importlib.resources import files
from itertools import chain
from typing import Any

import orjson
import redis
from redis.exceptions import NoScriptError

from streamrec.core.events import Source
from streamrec.errors import PositionConflict
from streamrec.infra.stores.redis_client import redis_errors
from streamrec.ports import Changes, OutboxEntry, Record, Writes


class RedisPartitionStore:
    """State of source partitions; see ``ports.PartitionStore`` for the contract."""

    def __init__(self, client: redis.Redis, key_prefix: str = "sr") -> None:
        self._redis = client
        self._prefix = key_prefix
        self._script = (files(__package__) / "commit.lua").read_text("utf-8")
        self._sha = sha1(self._script.encode(), usedforsecurity=False).hexdigest()

    def position(self, source: Source) -> int:
        with redis_errors(f"reading the position of {source}"):
            return int(self._redis.get(self._key(source, "pos")) or 0)

    def commit(self, source: Source, expected: int, position: int, writes: Writes) -> None:
        keys = [
            *(self._key(source, name) for name in ("pos", "rows", "dirty")),
            *(self._key(source, f"out:{name}") for name in writes.outboxes),
            *(self._key(source, f"u:{user}") for user in writes.users),
        ]
        arguments: list[Any] = [
            expected,
            position,
            len(writes.outboxes),
            len(writes.users),
            *map(orjson.dumps, writes.users.values()),
            len(writes.rows),
            *chain.from_iterable((row, orjson.dumps(r)) for row, r in writes.rows.items()),
            *chain.from_iterable(map(_stream, writes.outboxes.values())),
        ]
        with redis_errors(f"committing {source}"):
            applied, found = self._run(len(keys), *keys, *arguments)
        if not applied:
            raise PositionConflict(str(source), expected, found)

    def _run(self, *arguments: Any) -> Any:
        """The script, sent whole to a server that does not know it (a new one, a promoted one)."""
        try:
            return self._redis.evalsha(self._sha, *arguments)
        except NoScriptError:
            return self._redis.eval(self._script, *arguments)

    def read_users(
        self, source: Source, user_ids: Sequence[str]
    ) -> tuple[int, list[Record | None]]:
        keys = [self._key(source, f"u:{user}") for user in user_ids]
        with redis_errors(f"reading users of {source}"):
            # one command answers from one moment
            position, *records = self._redis.mget([self._key(source, "pos"), *keys])
        return int(position or 0), [None if r is None else orjson.loads(r) for r in records]

    def read_rows(self, source: Source, since: int) -> Changes:
        """Rows changed since; all of them too when the source fell back behind ``since``.

        A row may already be newer than the returned position; it is then read again next time.
        """
        rows = self._key(source, "rows")
        with redis_errors(f"reading rows of {source}"):
            with self._redis.pipeline(transaction=True) as pipe:
                pipe.get(self._key(source, "pos"))
                pipe.zrangebyscore(self._key(source, "dirty"), f"({since}", "+inf")
                found, names = pipe.execute()
            position = int(found or 0)
            if since and position >= since:
                records = self._redis.hmget(rows, names) if names else []
                return Changes(position, _loaded(zip(names, records, strict=True)))
            with self._redis.pipeline(transaction=True) as pipe:
                pipe.get(self._key(source, "pos"))
                pipe.hgetall(rows)
                found, everything = pipe.execute()
        return Changes(int(found or 0), _loaded(everything.items()))

    def outbox(self, source: Source, name: str, limit: int) -> list[OutboxEntry]:
        with redis_errors(f"reading the outbox {name} of {source}"):
            entries: Any = self._redis.xrange(self._key(source, f"out:{name}"), count=limit)
        return [_entry(stream_id, fields[b"p"]) for stream_id, fields in entries]

    def trim_outbox(self, source: Source, name: str, through: OutboxEntry) -> None:
        first_kept = _stream_id(through.offset, through.index + 1)
        with redis_errors(f"trimming the outbox {name} of {source}"):
            self._redis.xtrim(self._key(source, f"out:{name}"), minid=first_kept, approximate=False)

    def _key(self, source: Source, name: str) -> str:
        return f"{self._prefix}:{{{source}}}:{name}"


def _stream(entries: Sequence[OutboxEntry]) -> Iterator[int | str | bytes]:
    yield len(entries)
    for entry in entries:
        yield _stream_id(entry.offset, entry.index)
        yield entry.payload


def _stream_id(offset: int, index: int) -> str:
    return f"{offset + 1}-{index}"


def _entry(stream_id: bytes, payload: bytes) -> OutboxEntry:
    offset, _, index = stream_id.partition(b"-")
    return OutboxEntry(int(offset) - 1, int(index), payload)


def _loaded(rows: Any) -> Mapping[str, Record]:
    return {row.decode(): orjson.loads(record) for row, record in rows if record is not None}
