"""What ``status`` says of Redis' memory, against the servers there are."""

from __future__ import annotations

import pytest

from streamrec.core.events import Source
from streamrec.infra.stores.redis_client import connect_redis
from streamrec.infra.stores.redis_memory import EVERY_MS, RedisMemory, StateMemory
from streamrec.infra.stores.redis_store import RedisPartitionStore
from streamrec.ports import Writes
from streamrec.settings import RedisSettings

EVENTS = [Source("events", n) for n in range(2)]
NOW_MS = 1_800_000_000_000


def test_users_are_counted_and_measured_and_growth_is_that_of_the_history(any_redis, fresh_prefix):
    with connect_redis(RedisSettings(url=any_redis)) as client:
        memory = RedisMemory(client, fresh_prefix.redis)
        store = RedisPartitionStore(client, fresh_prefix.redis)
        empty = memory.look(EVENTS, NOW_MS)
        assert (empty.users, empty.user_bytes, empty.growth) == (0, 0, None)
        assert empty.used_bytes > 0
        assert empty.limit_bytes > empty.used_bytes
        memory.note(NOW_MS)
        memory.note(NOW_MS + 1)
        users = {f"u{n}": {"h": "x" * 5_000} for n in range(1_000)}
        store.commit(EVENTS[0], 0, 1, Writes(users, seen_ms=dict.fromkeys(users, 5)))
        store.commit(EVENTS[1], 0, 1, Writes({"v": {}}, seen_ms={"v": 5}))
        seen = memory.look(EVENTS, NOW_MS + 100_000)
        assert seen.users == 1_001
        assert 5_000 < seen.user_bytes < 5_500
        assert seen.over_s == 100
        assert seen.growth is not None
        assert seen.growth > 40_000
        assert seen.full_in_s is not None
        RedisMemory(client, fresh_prefix.redis).note(NOW_MS + EVERY_MS - 1)  # another worker
        assert client.get(f"{fresh_prefix.redis}:memory").count(b"[") == 2
        RedisMemory(client, fresh_prefix.redis).note(NOW_MS + EVERY_MS)
        assert client.get(f"{fresh_prefix.redis}:memory").count(b"[") == 3


@pytest.mark.parametrize(
    ("growth", "limit", "full_in_s"),
    [(None, 100, None), (-3.0, 100, None), (0.0, 100, None), (2.0, 100, 20.0), (2.0, 0, None)],
)
def test_when_it_is_full(growth, limit, full_in_s):
    assert StateMemory(60, limit, True, 1, 1, growth, 10.0).full_in_s == full_in_s
