"""One contract for every fleet: the fake and Redis, own and embedded."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace

import orjson
import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from streamrec.core.tasks import RANKING
from streamrec.errors import Unavailable
from streamrec.infra.stores.fleet import RedisFleet
from streamrec.infra.stores.redis_client import connect_redis
from streamrec.ports import Fleet, WorkerStatus
from streamrec.settings import RedisSettings
from tests.fakes.fleet import FakeFleet
from tests.harness.kinds import CLUSTER, REDISES

STATUS = WorkerStatus(
    "serving-1", "serving", "host", 7, 1000, 2000, "g1", "g2", {"g3": "digest"}, 4, {"lag": 1.5}
)
Forget = Callable[[float], None]


@pytest.fixture(params=["fake", *REDISES, CLUSTER])
def fleet(request, fresh_prefix) -> Iterator[tuple[Fleet, Forget]]:
    """A fleet whose members are forgotten after 0.3 s, and a way to let that time pass."""
    if request.param == "fake":
        fake = FakeFleet(ttl_s=0.3)
        yield fake, lambda s: setattr(fake, "elapsed_s", fake.elapsed_s + s)
    else:
        settings = RedisSettings(url=request.getfixturevalue(request.param))
        with connect_redis(settings) as client:
            yield RedisFleet(client, fresh_prefix.redis, ttl_s=0.3), time.sleep


def test_nobody_is_there_at_first(fleet) -> None:
    assert list(fleet[0].workers()) == []


def test_a_status_comes_back_whole(fleet) -> None:
    fleet[0].beat(STATUS)
    assert list(fleet[0].workers()) == [STATUS]


def test_the_newest_beat_counts_and_workers_come_by_id(fleet) -> None:
    later = replace(STATUS, active="g2", staged=None)
    for status in (STATUS, replace(STATUS, worker_id="features-1"), later):
        fleet[0].beat(status)
    assert [worker.worker_id for worker in fleet[0].workers()] == ["features-1", "serving-1"]
    assert list(fleet[0].workers())[1] == later


def test_who_leaves_is_gone_at_once(fleet) -> None:
    fleet[0].beat(STATUS)
    fleet[0].leave("serving-1")
    fleet[0].leave("serving-1")
    assert list(fleet[0].workers()) == []


def test_who_falls_silent_is_gone_and_may_come_back(fleet) -> None:
    members, let_pass = fleet
    members.beat(STATUS)
    let_pass(0.5)
    assert list(members.workers()) == []
    members.beat(STATUS)
    assert list(members.workers()) == [STATUS]


def test_who_asks_for_a_task_is_told_of_its_workers_only(fleet) -> None:
    members, _ = fleet
    copy = replace(STATUS, worker_id="serving-2", task="copy")
    for status in (STATUS, copy):
        members.beat(status)
    assert list(members.workers()) == [STATUS, copy]
    members.task = "copy"
    assert list(members.workers()) == [copy]
    members.task = RANKING
    assert list(members.workers()) == [STATUS]


@pytest.mark.redis_server
def test_a_beat_of_version_01_is_of_a_worker_of_ranking(redis_url, fresh_prefix) -> None:
    said = asdict(STATUS)
    del said["task"]
    with Redis.from_url(redis_url) as client:
        client.sadd(f"{fresh_prefix.redis}:{{fleet}}:workers", "serving-1")
        client.set(f"{fresh_prefix.redis}:{{fleet}}:w:serving-1", orjson.dumps(said))
        assert list(RedisFleet(client, fresh_prefix.redis, task=RANKING).workers()) == [STATUS]


def test_an_unreachable_redis_is_unavailable() -> None:
    with Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0)) as client:
        lost = RedisFleet(client)
        for call in (lambda: lost.beat(STATUS), lost.workers):
            with pytest.raises(Unavailable, match="fleet"):
                call()


def test_who_leaves_an_unreachable_redis_says_so_and_goes(caplog) -> None:
    caplog.set_level(logging.INFO)
    with Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0)) as client:
        RedisFleet(client).leave("serving-1")
    assert "serving-1 left without saying so: Redis: leaving: " in caplog.text
