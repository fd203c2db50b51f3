"""What can be seen of a Redis beforehand: whether it may lose state, or will soon take none.

A reading of ``INFO``, of each server that holds a part of the state. Knows no client
(``redis_client``) and nobody who asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import redis

from streamrec.errors import UserError
from streamrec.infra.stores.redis_client import masters, redis_errors

OLDEST = 7
NEARLY_FULL = 0.9
"""Of its memory, or of the connections it takes."""

Info = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RedisTrouble:
    """``stops``: it takes no writes, or state is not safe there; else: somebody should know."""

    what: str
    remedy: str
    stops: bool = True


def server_infos(client: redis.Redis) -> dict[str, Info]:
    """``INFO`` of each server by its address, and how its cluster is. Raises Unavailable."""
    found = {}
    with redis_errors("asking how it is"):
        for server in masters(client):
            info: Any = server.info()
            if info.get("cluster_enabled"):
                driver: Any = server
                info |= driver.execute_command("CLUSTER INFO")
            found[_address(server)] = info
    return found


def _address(server: redis.Redis) -> str:
    """Where it is; sentinels' clients only know that it is the master."""
    place = server.connection_pool.connection_kwargs
    return str(place.get("path") or f"{place.get('host', 'master')}:{place.get('port', '')}")


def refuse_eviction(client: redis.Redis) -> None:
    """A worker does not begin on a Redis that throws state away. Raises UserError, Unavailable."""
    for name, info in server_infos(client).items():
        for eviction in _eviction(info):
            if eviction.stops:
                raise UserError(f"Redis at {name}: {eviction.what}. {eviction.remedy}")


def stopped(client: redis.Redis) -> list[str]:
    """Why it takes no writes now, server by server; empty: it does. Raises Unavailable."""
    return [
        f"{name}: {trouble.what}"
        for name, info in server_infos(client).items()
        for trouble in troubles(info)
        if trouble.stops
    ]


def version(info: Info) -> str:
    """Name and version."""
    name = "Valkey" if "valkey_version" in info else "Redis"
    return f"{name} {info.get('valkey_version') or info.get('redis_version', '?')}"


def troubles(info: Info) -> Iterator[RedisTrouble]:
    """What one server says of itself that somebody should know."""
    major = str(info.get("redis_version", "0")).split(".")[0]
    if major.isdigit() and int(major) < OLDEST:
        yield RedisTrouble(f"{version(info)} is too old", f"run Redis {OLDEST} or later, or Valkey")
    if info.get("loading"):
        left = info.get("loading_eta_seconds", "?")
        yield RedisTrouble(f"it is reading its data from disk, for about {left} s more", "wait")
    if info.get("cluster_state", "ok") != "ok":
        remedy = "bring back a server that has its slots (`redis-cli --cluster check`)"
        yield RedisTrouble("the cluster is down: nobody has some of its slots", remedy)
    yield from _eviction(info)
    yield from _room(info)
    yield from _disk(info)
    if info.get("cluster_enabled") and not info.get("connected_slaves"):
        remedy = "give it one, or its partitions wait until it is back"
        yield RedisTrouble("a master of the cluster without a replica", remedy, stops=False)


def _eviction(info: Info) -> Iterator[RedisTrouble]:
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if not info.get("maxmemory") or policy == "noeviction":
        return
    what, remedy = f"maxmemory-policy {policy} may evict", "CONFIG SET maxmemory-policy noeviction"
    if policy.startswith("volatile"):  # state never expires
        yield RedisTrouble(f"{what} leases and beats of workers", remedy, stops=False)
    else:
        yield RedisTrouble(f"{what} user state: lost, and nobody is told", remedy)


def _room(info: Info) -> Iterator[RedisTrouble]:
    used, most = info.get("used_memory", 0), info.get("maxmemory", 0)
    if most and used >= NEARLY_FULL * most:
        what = f"{used / 2**20:,.0f} of {most / 2**20:,.0f} MiB are used"
        full = used >= most
        if full:
            what = f"full, commits are refused and wait: {what}"
        yield RedisTrouble(what, "CONFIG SET maxmemory to more, or a larger server", stops=full)
    clients, limit = info.get("connected_clients", 0), info.get("maxclients", 0)
    if limit and clients >= NEARLY_FULL * limit:
        what = f"{clients:,} of {limit:,} connections are taken"
        yield RedisTrouble(what, "raise maxclients: a worker needs about six", stops=False)


def _disk(info: Info) -> Iterator[RedisTrouble]:
    if info.get("aof_last_write_status", "ok") != "ok":
        yield RedisTrouble("it cannot write its append-only file", "look at its disk and its log")
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        remedy = "look at its disk and its log; while this lasts it takes no writes (MISCONF)"
        yield RedisTrouble("its last snapshot to disk failed", remedy)
    if not info.get("aof_enabled"):
        yield RedisTrouble(
            "no append-only file: a restart of Redis loses user state and positions, all that came "
            "after its last snapshot",
            "CONFIG SET appendonly yes (events are then folded again only from the last second)",
            stops=False,
        )
