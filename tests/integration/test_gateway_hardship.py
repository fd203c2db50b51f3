"""Gateways when many ask at once, when servers go away, and when they are told to end."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from streamrec.infra.processes.embedded import EmbeddedKafka, EmbeddedRedis
from streamrec.infra.processes.server_process import free_port
from streamrec.infra.wire.follower import Follower
from tests.fakes.language_models import save_tiny_model
from tests.harness.gateway import gateway, gone_wrong, ready
from tests.harness.serving_loop import Loop, serving_loop
from tests.harness.waiting import PATIENCE_S, eventually
from tests.harness.worker_process import WorkerProcess

pytestmark = [pytest.mark.embedded, pytest.mark.slow]

AT_ONCE = 100


class World:
    """A loop on servers of its own, which may be killed."""

    def __init__(self, kafka: EmbeddedKafka, redis: EmbeddedRedis, loop: Loop) -> None:
        self.kafka, self.redis, self.loop = kafka, redis, loop


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    model = save_tiny_model("bert", tmp_path / "model")
    with ExitStack() as stack:
        kafka = stack.enter_context(EmbeddedKafka(tmp_path / "kafka"))
        redis = stack.enter_context(EmbeddedRedis(tmp_path / "redis"))
        names = ("streamrec.", "sr")
        loop = stack.enter_context(serving_loop(kafka.bootstrap, redis.url, names, model, tmp_path))
        loop.release()
        yield World(kafka, redis, loop)


def asked(http: httpx.Client, number: int) -> None:
    """Everybody gets what they asked for, and no one else's."""
    k, user = 1 + number % 10, f"user{number}"
    found = http.post("/v1/recommendations", json={"user_id": user, "k": k, "wait_s": 30})
    assert found.status_code == 200, found.text
    answer = found.json()
    assert (answer["user_id"], len(answer["items"])) == (user, k)


def test_many_at_once_and_servers_that_go_away(world: World) -> None:
    world.loop.worker("serving-1")
    settings = world.loop.settings
    with gateway(settings) as one, gateway(settings, "gateway-2") as other:
        asked(one, 0)
        with ThreadPoolExecutor(AT_ONCE) as callers:
            gateways = [one, other] * AT_ONCE
            list(callers.map(asked, gateways[:AT_ONCE], range(AT_ONCE)))
        redis_goes_away(world, one)
        kafka_goes_away(world, one)


def redis_goes_away(world: World, http: httpx.Client) -> None:
    popular = http.get("/v1/popular").json()
    assert popular["stale"] is False
    world.redis.kill()
    eventually(lambda: not ready(http))
    assert gone_wrong(http.get("/v1/users/ana"))["status"] == 503
    assert http.get("/v1/popular").json() == popular | {"stale": True}
    assert http.get("/v1/similar/item3").status_code == 200
    world.redis.start()
    eventually(lambda: ready(http))
    assert http.get("/v1/users/ana").status_code == 200


def kafka_goes_away(world: World, http: httpx.Client) -> None:
    click = {"event_id": "1", "user_id": "ana", "item_id": "item1", "kind": "click"}
    click["occurred_at"] = "2026-03-01T12:00:00Z"
    world.kafka.kill()
    refused = http.post("/v1/events", json=click)
    assert gone_wrong(refused)["status"] == 503
    assert refused.headers["retry-after"]
    eventually(lambda: not ready(http))
    away = http.post("/v1/recommendations", json={"user_id": "ana", "wait_s": 30})
    assert gone_wrong(away)["status"] == 503
    assert http.get("/v1/latest").status_code == 200
    world.kafka.start()
    eventually(lambda: ready(http))
    assert http.post("/v1/events", json=click).json()["accepted"] == 1
    asked(http, 7)


def test_told_to_end_it_finishes_what_it_has_begun(world: World) -> None:
    """Nobody serves: the request waits as long as it may, and is answered all the same."""
    loop, port = world.loop, free_port()
    settings = replace(loop.settings, gateway=replace(loop.settings.gateway, port=port))
    process = WorkerProcess("gateway", "gateway-1", settings, loop.scratch / "gateway.log")
    process.start()
    url = f"http://127.0.0.1:{port}"
    with (
        closing_process(process),
        Follower(settings.kafka, loop.codec, ["requests"], "test") as requests,
        httpx.Client(base_url=url, timeout=PATIENCE_S) as http,
        httpx.Client(base_url=url, timeout=PATIENCE_S) as listener,
        ThreadPoolExecutor(1) as caller,
    ):
        process.until(lambda: answers(http))
        with listener.stream("GET", "/v1/users/ana/stream") as stream:
            lines = stream.iter_lines()
            assert next(lines).startswith("retry:")
            body = {"user_id": "ana", "wait_s": 3}
            waiting = caller.submit(http.post, "/v1/recommendations", json=body)
            process.until(lambda: requests.poll(0.1))
            process.send(signal.SIGTERM)
            assert list(lines) == [""], "the stream has ended, and was not cut"
        assert gone_wrong(waiting.result(PATIENCE_S))["code"] == "no-answer"
        assert process.wait() == 0
    assert "stopped" in process.log


@contextmanager
def closing_process(process: WorkerProcess) -> Iterator[None]:
    try:
        yield
    finally:
        process.end()


def answers(http: httpx.Client) -> bool:
    try:
        return ready(http)
    except httpx.TransportError:
        return False
