"""Two trainers never train at once, whatever Redis does in between."""

from __future__ import annotations

import threading
import time

import pytest
from redis import Redis

from streamrec.errors import LeaseLost, Unavailable
from streamrec.infra.stores.lease import RedisLease, break_lease
from tests.conftest import Prefix
from tests.harness.waiting import eventually

TTL_S = 0.4


def lease(client: Redis, prefix: Prefix, holder: str) -> RedisLease:
    return RedisLease(client, prefix.redis, "trainer", holder, TTL_S)


def until_held(waiting: RedisLease) -> None:
    eventually(lambda: waiting.try_acquire() is None)


def test_the_second_waits_and_knows_for_whom(any_redis: str, fresh_prefix: Prefix) -> None:
    with Redis.from_url(any_redis) as client:
        first, second = lease(client, fresh_prefix, "a"), lease(client, fresh_prefix, "b")
        assert first.try_acquire() is None
        time.sleep(TTL_S * 2)  # renewed meanwhile
        first.confirm()
        other = second.try_acquire()
        assert other is not None
        assert other.startswith("a/")
        first.release()
        assert second.try_acquire() is None
        second.release()


def test_a_dead_holder_is_succeeded(any_redis: str, fresh_prefix: Prefix) -> None:
    with Redis.from_url(any_redis) as client:
        dead, heir = lease(client, fresh_prefix, "dead"), lease(client, fresh_prefix, "heir")
        assert dead._take("new") is None  # holds it without the thread that renews
        until_held(heir)
        heir.confirm()
        with pytest.raises(Unavailable):
            dead.confirm()  # its time is over even before it hears of the other
        dead._other = dead._take("renew") or ""
        with pytest.raises(LeaseLost, match="heir/"):
            dead.confirm()
        heir.release()
        assert (dead._take("renew") or "").startswith("heir/")  # held since: memory is stale


def test_the_lease_of_a_dead_process_is_broken(any_redis: str, fresh_prefix: Prefix) -> None:
    with Redis.from_url(any_redis) as client:
        dead, heir = lease(client, fresh_prefix, "dead"), lease(client, fresh_prefix, "heir")
        assert dead._take("new") is None
        assert not break_lease(client, fresh_prefix.redis, "trainer", "somebody-else")
        assert break_lease(client, fresh_prefix.redis, "trainer", "dead")
        assert heir.try_acquire() is None, "at once"
        assert not break_lease(client, fresh_prefix.redis, "trainer", "dead"), "not its own"
        heir.release()


def test_after_an_outage_the_same_holder_goes_on(any_redis: str, fresh_prefix: Prefix) -> None:
    with Redis.from_url(any_redis) as client:
        only = lease(client, fresh_prefix, "only")
        assert only.try_acquire() is None
        client.delete(*only._keys)  # Redis came back without its memory
        time.sleep(TTL_S)
        only.confirm()
        other = lease(client, fresh_prefix, "other")
        assert other.try_acquire() is not None
        only.release()


def test_never_two_at_once(any_redis: str, fresh_prefix: Prefix) -> None:
    """Eight contenders, each holding for a moment: their turns do not overlap."""
    inside, most, turns = [0], [0], [0]
    lock = threading.Lock()

    def contend(name: str) -> None:
        with Redis.from_url(any_redis) as client:
            mine = lease(client, fresh_prefix, name)
            until_held(mine)
            mine.confirm()
            with lock:
                inside[0] += 1
                turns[0] += 1
                most[0] = max(most[0], inside[0])
            time.sleep(0.02)
            with lock:
                inside[0] -= 1
            mine.release()

    threads = [threading.Thread(target=contend, args=(f"t{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (turns[0], most[0]) == (8, 1)
