"""What a Redis says of itself, and what we say of that."""

from __future__ import annotations

import pytest

from streamrec.infra.stores.redis_diagnosis import troubles

WELL = {
    "redis_version": "7.2.4",
    "aof_enabled": 1,
    "aof_last_write_status": "ok",
    "rdb_last_bgsave_status": "ok",
    "maxmemory": 100 * 2**20,
    "maxmemory_policy": "noeviction",
    "used_memory": 10 * 2**20,
    "connected_clients": 5,
    "maxclients": 10_000,
}


def test_one_that_is_well_is_not_talked_about() -> None:
    assert list(troubles(WELL)) == []
    assert list(troubles(WELL | {"cluster_enabled": 1, "connected_slaves": 1})) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"redis_version": "6.2.14"}, "Redis 6.2.14 is too old"),
        ({"loading": 1, "loading_eta_seconds": 40}, "reading its data from disk, for about 40 s"),
        ({"cluster_state": "fail"}, "the cluster is down"),
        ({"used_memory": 100 * 2**20}, "full, commits are refused and wait: 100 of 100 MiB"),
        ({"rdb_last_bgsave_status": "err"}, "its last snapshot to disk failed"),
        ({"aof_last_write_status": "err"}, "it cannot write its append-only file"),
        ({"maxmemory_policy": "allkeys-random"}, "allkeys-random may evict user state"),
    ],
)
def test_what_keeps_it_from_taking_writes_is_told(change: dict[str, object], said: str) -> None:
    [trouble] = troubles(WELL | change)
    assert said in trouble.what
    assert trouble.stops
    assert trouble.remedy


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"used_memory": 91 * 2**20}, "91 of 100 MiB are used"),
        ({"connected_clients": 9_500}, "9,500 of 10,000 connections"),
        ({"maxmemory_policy": "volatile-lru"}, "may evict leases"),
        ({"aof_enabled": 0}, "a restart of Redis loses"),
        ({"cluster_enabled": 1, "connected_slaves": 0}, "without a replica"),
    ],
)
def test_what_somebody_should_know_is_a_note(change: dict[str, object], said: str) -> None:
    [trouble] = troubles(WELL | change)
    assert said in trouble.what
    assert not trouble.stops
