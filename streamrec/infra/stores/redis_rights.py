"""What a Redis user may do, asked without doing it: commands are queued and thrown away.

A server says at once of a queued command that it would not be allowed (NOPERM), before it looks at
anything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import redis
from redis.exceptions import NoPermissionError, ResponseError

from streamrec.infra.stores.redis_client import masters, redis_errors

Command = tuple[str | int, ...]

KEY = "?"
"""Stands for a key in ``COMMANDS``."""
CONNECTING = ("hello", "auth", "ping", "multi", "exec", "discard")
COMMANDS: Sequence[Command] = (
    ("info",), ("time",), ("scan", 0),
    ("get", KEY), ("mget", KEY), ("set", KEY, ""), ("append", KEY, ""), ("del", KEY),
    ("hget", KEY, ""), ("hmget", KEY, ""), ("hgetall", KEY), ("hset", KEY, "", ""),
    ("hsetnx", KEY, "", ""), ("hdel", KEY, ""),
    ("sadd", KEY, ""), ("srem", KEY, ""), ("smembers", KEY),
    ("zadd", KEY, 1, ""), ("zrem", KEY, ""), ("zcard", KEY), ("zrange", KEY, 0, 0),
    ("zrangebyscore", KEY, 0, 0), ("zremrangebyrank", KEY, 0, 0), ("zunionstore", KEY, 1, KEY),
    ("xadd", KEY, "*", "", ""), ("xrange", KEY, "-", "+"), ("xtrim", KEY, "minid", 0),
    ("eval", "", 1, KEY), ("evalsha", "", 1, KEY),
)  # fmt: skip
"""Every command there is in this package and its scripts, in a form that a server takes."""
OF_A_CLUSTER: Sequence[Command] = (("cluster", "slots"), ("cluster", "info"), ("command",))


def lacking(client: redis.Redis, own: str, keys: Mapping[str, bool]) -> list[str]:
    """What the user may not do, in words. ``own``: a key that may be read and written.

    ``keys``: what must be readable -> whether it must be writable too. Raises Unavailable.
    """
    found: dict[str, None] = {}
    with redis_errors("asking what we may do"):
        for server in masters(client):
            several = server is not client
            commands = [*COMMANDS, *(OF_A_CLUSTER if several else ())]
            asked = [tuple(own if part == KEY else part for part in one) for one in commands]
            refused = [str(asked[place][0]) for place in _refused(server, asked)]
            found |= dict.fromkeys(f"command {name}" for name in refused)
            found |= dict.fromkeys(_keys(server, keys, set(refused)))
    return list(found)


def _keys(server: redis.Redis, keys: Mapping[str, bool], commands: set[str]) -> Iterator[str]:
    for what, form, wanted in (
        ("read", ("get",), list(keys)),
        ("write", ("set", ""), [key for key, writes in keys.items() if writes]),
    ):
        name, *more = form
        if name not in commands:
            for place in _refused(server, [(name, key, *more) for key in wanted]):
                yield f"{what} {wanted[place]}"


def _refused(server: redis.Redis, commands: Iterable[Command]) -> list[int]:
    """The places of those that the user may not give."""
    pool: Any = server.connection_pool
    connection = pool.get_connection()
    try:
        if _answer(connection, ("multi",)) is not None:
            return []  # without it nothing would be queued: it would be done
        said = [_answer(connection, command) for command in commands]
        _answer(connection, ("discard",))
    finally:
        connection.disconnect()
        pool.release(connection)
    return [place for place, error in enumerate(said) if error is not None]


def _answer(connection: Any, command: Command) -> NoPermissionError | None:
    connection.send_command(*command)
    try:
        connection.read_response()
    except NoPermissionError as error:
        return error
    except ResponseError:  # not our key's server, no room, no such thing: it may be asked for
        pass
    return None
