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
from contextlib import contextmanager
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any

import orjson
import redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TimeoutError,
)
from redis.retry import Retry

from streamrec.core.events import Source
from streamrec.errors import PositionConflict, Unavailable, UserError
from streamrec.ports import Changes, OutboxEntry, Record, Writes
from streamrec.settings import RedisSettings

TIMEOUT_S = 10.0
RETRIES = 3
RETRY_CAP_S = 0.5

_SILENCE = (  # the server is down, or not able to do its work for now
    ConnectionError,
    TimeoutError,
    BusyLoadingError,
    ReadOnlyError,
    ClusterDownError,
    OutOfMemoryError,
    NoPermissionError,
)


def connect_redis(settings: RedisSettings) -> redis.Redis:
    """A client; it connects when first used, and retries a little before it gives up.

    Raises UserError when a file it needs is not there.
    """
    options: dict[str, Any] = {
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": TIMEOUT_S,
        "retry": Retry(ExponentialBackoff(cap=RETRY_CAP_S, base=0.05), RETRIES),
        "health_check_interval": 30,
    }
    if settings.username:
        options["username"] = settings.username
    if settings.password:
        options["password"] = settings.password
    if settings.url.startswith("rediss://") and settings.ssl_cafile:
        if not Path(settings.ssl_cafile).is_file():
            raise UserError(f"STREAMREC_REDIS_SSL_CAFILE: {settings.ssl_cafile} is no file")
        options["ssl_ca_certs"] = settings.ssl_cafile
    return redis.Redis.from_url(settings.url, **options)


@contextmanager
def redis_errors(doing: str) -> Iterator[None]:
    """Turns redis-py's errors into Unavailable, with what was being done."""
    try:
        yield
    except _SILENCE as error:
        raise Unavailable(f"Redis: {doing}: {explained(error)}") from error


def explained(error: RedisError) -> str:
    """The driver's message, or what to do where the cause is a setting."""
    if isinstance(error, AuthenticationError):
        return f"STREAMREC_REDIS_USERNAME or STREAMREC_REDIS_PASSWORD is wrong ({error})"
    if isinstance(error, NoPermissionError):
        return f"this Redis user may not do it ({error}): see deploy/redis.acl"
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return f"its certificate is not to be trusted: STREAMREC_REDIS_SSL_CAFILE ({error})"
    return str(error)


class RedisPartitionStore:
    """State of source partitions; see ``ports.PartitionStore`` for the contract."""

    def __init__(self, client: redis.Redis, key_prefix: str = "sr") -> None:
        self._redis = client
        self._prefix = key_prefix
        script = (files(__package__) / "commit.lua").read_text("utf-8")
        self._commit = client.register_script(script)  # loads itself again after NOSCRIPT

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
            applied, found = self._commit(keys=keys, args=arguments)
        if not applied:
            raise PositionConflict(str(source), expected, found)

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
