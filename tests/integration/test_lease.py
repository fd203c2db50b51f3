"""Two trainers never train at once, whatever Redis does in between."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from redis import ConnectionError as RedisConnectionError
from redis import Redis

from streamrec.errors import LeaseLost, Unavailable
from streamrec.infra.stores.lease import RedisLease, break_lease
from tests.conftest import Prefix
from tests.harness.waiting import eventually

TTL_S = 0.4


class Cut:
    """A client whose connection can be cut: its holder can renew no more, as if it were dead."""

    def __init__(self, client: Redis) -> None:
        self._client, self.off = client, False

    def eval(self, *arguments: Any) -> Any:
        if self.off:
            raise RedisConnectionError("cut")
        return self._client.eval(*arguments)


def lease(client: Redis | Cut, prefix: Prefix, holder: str) -> RedisLease:
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


@pytest.mark.parametrize("given_back", [False, True])
def test_a_dead_holder_is_succeeded(any_redis: str, fresh_prefix: Prefix, given_back: bool) -> None:
    with Redis.from_url(any_redis) as client:
        cut = Cut(client)
        dead, heir = lease(cut, fresh_prefix, "dead"), lease(client, fresh_prefix, "heir")
        assert dead.try_acquire() is None
        cut.off = True
        until_held(heir)
        heir.confirm()
        with pytest.raises(Unavailable):
            dead.confirm()  # its time is over even before it hears of the other
        if given_back:
            heir.release()  # held since: the memory of the dead is stale
        cut.off = False
        eventually(lambda: lost_to(dead, "heir/"))
        heir.release()


def lost_to(one: RedisLease, other: str) -> bool:
    try:
        one.confirm()
    except LeaseLost as lost:
        return other in str(lost)
    except Unavailable:  # has not asked again yet
        return False
    return False


def test_the_lease_of_a_dead_process_is_broken(any_redis: str, fresh_prefix: Prefix) -> None:
    with Redis.from_url(any_redis) as client:
        cut = Cut(client)
        dead, heir = lease(cut, fresh_prefix, "dead"), lease(client, fresh_prefix, "heir")
        assert dead.try_acquire() is None
        cut.off = True
        assert not break_lease(client, fresh_prefix.redis, "trainer", "somebody-else")
        assert break_lease(client, fresh_prefix.redis, "trainer", "dead")
        assert heir.try_acquire() is None, "at once"
        assert not break_lease(client, fresh_prefix.redis, "trainer", "dead"), "not its own"
        heir.release()
        dead.release()


def test_after_an_outage_the_same_holder_goes_on(any_redis: str, fresh_prefix: Prefix) -> None:
    with Redis.from_url(any_redis) as client:
        only = lease(client, fresh_prefix, "only")
        assert only.try_acquire() is None
        client.delete(*client.scan_iter(f"{fresh_prefix.redis}:*"))  # Redis forgot
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
