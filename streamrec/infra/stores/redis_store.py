"""``ports.PartitionStore`` on Redis 7 or Valkey: one Lua script commits, all or nothing.

Keys, all of a source under one hash tag, so that Redis Cluster keeps them together::

    <prefix>:{events-0}:pos            the next offset to apply
    <prefix>:{events-0}:origin         which log of the broker that belongs to
    <prefix>:{events-0}:u:<user>       a user's record
    <prefix>:{events-0}:rows           hash: row -> record
    <prefix>:{events-0}:dirty          sorted set: row -> position of its last change
    <prefix>:{events-0}:gone           sorted set: row removed -> position, the last of them
    <prefix>:{events-0}:floor          who mirrors rows since before this reads all of them
    <prefix>:{events-0}:own            hash: row -> record, for the partition's owner alone
    <prefix>:{events-0}:seen           sorted set: user -> when last active, event time in ms
    <prefix>:{events-0}:log:<name>     bytes, appended to
    <prefix>:{events-0}:out:updates    stream: messages caused, ids <offset + 1>-<index>
    <prefix>:{events-0}:out:examples   one for each task's examples

Stream ids start at offset + 1 because Redis refuses 0-0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha1
from importlib.resources import files
from itertools import chain, islice
from typing import Any

import orjson
import redis
from redis.exceptions import NoScriptError

from streamrec.core.events import Source
from streamrec.core.state.source_log import SourceLog
from streamrec.errors import PositionConflict
from streamrec.infra.stores.redis_client import redis_errors
from streamrec.ports import Changes, OutboxEntry, Record, Writes

TOMBSTONES = 10_000
"""Removed rows of a source that are remembered for those who mirror it."""
SCANNED = 1_000
KEYS = ("pos", "rows", "dirty", "gone", "floor", "own", "seen")


class RedisPartitionStore:
    """State of source partitions; see ``ports.PartitionStore`` for the contract."""

    def __init__(
        self, client: redis.Redis, key_prefix: str = "sr", tombstones: int = TOMBSTONES
    ) -> None:
        self._redis = client
        self._prefix = key_prefix
        self._tombstones = tombstones
        self._script = (files(__package__) / "commit.lua").read_text("utf-8")
        self._sha = sha1(self._script.encode(), usedforsecurity=False).hexdigest()

    def position(self, source: Source) -> int:
        with redis_errors(f"reading the position of {source}"):
            return int(self._redis.get(self._key(source, "pos")) or 0)

    def commit(self, source: Source, expected: int, position: int, writes: Writes) -> None:
        keys = [
            *(self._key(source, name) for name in KEYS),
            *(self._key(source, f"out:{name}") for name in writes.outboxes),
            *(self._key(source, f"u:{user}") for user in writes.users),
            *(self._key(source, f"log:{name}") for name in writes.logs),
        ]
        arguments: list[Any] = [
            expected,
            position,
            *map(len, (writes.outboxes, writes.users, writes.logs)),
            self._tombstones,
            *chain.from_iterable(
                (orjson.dumps(record), user, writes.seen_ms.get(user, ""))
                for user, record in writes.users.items()
            ),
            *_named(writes.rows),
            *_named(writes.own),
            *chain.from_iterable(map(_stream, writes.outboxes.values())),
            *(added or b"" for added in writes.logs.values()),
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
        rows, after = self._key(source, "rows"), f"({since}"
        with redis_errors(f"reading rows of {source}"):
            with self._redis.pipeline(transaction=True) as pipe:
                pipe.get(self._key(source, "pos"))
                pipe.get(self._key(source, "floor"))
                pipe.zrangebyscore(self._key(source, "dirty"), after, "+inf")
                pipe.zrangebyscore(self._key(source, "gone"), after, "+inf")
                found, floor, names, gone = pipe.execute()
            position = int(found or 0)
            if since and position >= since >= int(floor or 0):
                records = self._redis.hmget(rows, names) if names else []
                changed = _loaded(zip(names, records, strict=True))
                return Changes(position, {**dict.fromkeys(map(_text, gone)), **changed})
            with self._redis.pipeline(transaction=True) as pipe:
                pipe.get(self._key(source, "pos"))
                pipe.hgetall(rows)
                found, everything = pipe.execute()
        return Changes(int(found or 0), _loaded(everything.items()), whole=True)

    def read_own(self, source: Source) -> Mapping[str, Record]:
        with redis_errors(f"reading own rows of {source}"):
            everything: Any = self._redis.hgetall(self._key(source, "own"))
        return _loaded(everything.items())

    def read_logs(self, source: Source, names: Sequence[str]) -> list[bytes]:
        if not names:
            return []
        with redis_errors(f"reading logs of {source}"):
            found: Any = self._redis.mget([self._key(source, f"log:{name}") for name in names])
        return [log or b"" for log in found]

    def silent(self, source: Source, until_ms: int, limit: int) -> list[tuple[int, str]]:
        with redis_errors(f"reading when users of {source} were seen"):
            found: Any = self._redis.zrangebyscore(
                self._key(source, "seen"), "-inf", until_ms, start=0, num=limit, withscores=True
            )
        return [(int(seen_ms), _text(user)) for user, seen_ms in found]

    def index_users(self, source: Source) -> None:
        prefix = self._key(source, "u:")
        users = self.user_ids(source)
        with redis_errors(f"looking for users of {source}"):
            while some := list(islice(users, SCANNED)):
                self._index(source, {user: (prefix + user).encode() for user in some})

    def user_ids(self, source: Source) -> Iterator[str]:
        """Everybody with a record, some of them perhaps twice. Raises Unavailable."""
        prefix = self._key(source, "u:")
        pattern = re.sub(r"([\[\]*?\\])", r"\\\1", prefix) + "*"
        with redis_errors(f"looking for users of {source}"):
            for key in self._redis.scan_iter(match=pattern, count=SCANNED):
                yield _text(key).removeprefix(prefix)

    def _index(self, source: Source, keys: Mapping[str, bytes]) -> None:
        records: Any = self._redis.mget(list(keys.values()))
        last = {
            user: orjson.loads(record)["s"][1]
            for user, record in zip(keys, records, strict=True)
            if record is not None
        }
        if last:
            self._redis.zadd(self._key(source, "seen"), last, nx=True)

    def last_seen(self, source: Source, limit: int) -> list[tuple[int, str]]:
        """Users who were active last, and when, in event time; the latest last."""
        return self._last(source, "seen", limit)

    def last_changed(self, source: Source, limit: int) -> list[tuple[int, str]]:
        """Rows that changed last, and at which position; the latest last."""
        return self._last(source, "dirty", limit)

    def _last(self, source: Source, name: str, limit: int) -> list[tuple[int, str]]:
        with redis_errors(f"reading what came last to {source}"):
            found: Any = self._redis.zrange(self._key(source, name), -limit, -1, withscores=True)
        return [(int(score), _text(member)) for member, score in found]

    def outbox(self, source: Source, name: str, limit: int) -> list[OutboxEntry]:
        with redis_errors(f"reading the outbox {name} of {source}"):
            entries: Any = self._redis.xrange(self._key(source, f"out:{name}"), count=limit)
        return [_entry(stream_id, fields[b"p"]) for stream_id, fields in entries]

    def log_of(self, source: Source) -> SourceLog:
        with redis_errors(f"reading what log {source} comes from"):
            found: Any = self._redis.get(self._key(source, "origin"))
        return SourceLog.from_record(orjson.loads(found)) if found else SourceLog()

    def keep_log(self, source: Source, log: SourceLog) -> None:
        with redis_errors(f"keeping what log {source} comes from"):
            self._redis.set(self._key(source, "origin"), orjson.dumps(log.to_record()))

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


def _named(rows: Mapping[str, Record | None]) -> Iterator[int | str | bytes]:
    yield len(rows)
    for row, record in rows.items():
        yield row
        yield orjson.dumps(record)


def _loaded(rows: Any) -> dict[str, Record]:
    return {_text(row): orjson.loads(record) for row, record in rows if record is not None}


def _text(name: bytes) -> str:
    return name.decode()
