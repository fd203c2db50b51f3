"""Serving workers against Apache Kafka and Redis, with real generations of a tiny encoder."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from operator import attrgetter
from pathlib import Path

import pytest

from streamrec.core.events import Item, Trigger
from streamrec.core.release.generation_walk import GenerationWalk
from streamrec.core.release.registry import RegistryState
from streamrec.infra.processes.embedded import EmbeddedRedis
from streamrec.infra.processes.server_process import ServerProcess
from streamrec.infra.wire.follower import Follower
from streamrec.infra.wire.kafka import partition_for
from streamrec.loop.releasing.release import Outcome
from tests.fakes.language_models import save_tiny_model, stir
from tests.harness.kinds import SERVERS
from tests.harness.servers import new_apache_kafka, new_redis_server
from tests.harness.serving_loop import ITEMS, Loop, serving_loop
from tests.harness.waiting import eventually


@pytest.fixture(scope="module")
def language_model(tmp_path_factory) -> Path:
    return save_tiny_model("bert", tmp_path_factory.mktemp("model"))


@pytest.fixture(params=SERVERS[:1])
def loop(request, fresh_prefix, language_model, tmp_path) -> Iterator[Loop]:
    """On Apache Kafka and Redis, or on what pip installed."""
    bootstrap, redis_url = (request.getfixturevalue(name) for name in request.param)
    names = fresh_prefix.topic, fresh_prefix.redis
    with serving_loop(bootstrap, redis_url, names, language_model, tmp_path) as loop:
        yield loop


EVERYWHERE = pytest.mark.parametrize("loop", SERVERS, indirect=True)


@EVERYWHERE
def test_updates_and_requests_become_recommendations(loop) -> None:
    generation = loop.release()
    loop.click("ana", "item3")
    loop.send("requests", "x", b"{not json")
    loop.ask("ana", "r1", k=5)
    loop.worker("serving-1")
    partition = partition_for("ana", 2)
    live, asked = loop.answered(f"{partition}-0", "r1")
    assert (live.trigger, asked.trigger) == (Trigger.USER_UPDATE, Trigger.REQUEST)
    assert (len(live.items), len(asked.items)) == (10, 5)
    for answer in (live, asked):
        assert "item3" not in {item.item_id for item in answer.items}
        chances = [item.probability for item in answer.items]
        assert chances == sorted(chances, reverse=True)
        assert all(0 < chance < 1 for chance in chances)
        assert answer.generation == generation
        assert answer.trained_through == {"0": 1}
        assert answer.state_position == 1
        assert answer.worker_id == "serving-1"
    with Follower(loop.settings.kafka, loop.codec, ["dead-letter"], "t", from_start=True) as dead:
        letters = []
        eventually(lambda: letters.extend(seen.value for seen in dead.poll(0.1)) or letters)
    assert letters[0].value == b"{not json"


def test_what_was_asked_before_the_first_generation_is_answered_after_it(loop, caplog) -> None:
    caplog.set_level(logging.INFO)
    loop.worker("serving-1")
    loop.ask("ana", "early")
    eventually(lambda: "waiting for a first generation" in caplog.text)
    generation = loop.release()
    assert loop.answered("early")[0].generation == generation


@EVERYWHERE
def test_rollback_flips_two_workers_and_a_late_starter_agrees(loop) -> None:
    loop.worker("serving-1")
    loop.worker("serving-2")
    eventually(lambda: len(loop.serving()) == 2)
    first = loop.release()
    second = loop.release(parent=first)
    report = loop.release_service.rollback("clicks fell")
    assert report.complete
    assert report.generation == first
    assert report.confirmed_ms.keys() == {"serving-1", "serving-2"}
    loop.ask("ana", "after")
    assert loop.answered("after")[0].generation == first
    loop.worker("serving-3")
    eventually(lambda: loop.all_serve(first, "serving-3"))
    candidate, directory = loop.generation(parent=first)
    assert loop.release_service.publish(candidate, directory, "pinned").outcome is Outcome.HELD
    forward = loop.release_service.activate(second, "the drill is over")
    assert forward.complete
    assert len(forward.confirmed_ms) == 3


def test_no_micro_batch_mixes_generations(loop) -> None:
    for name in ("serving-1", "serving-2"):
        loop.worker(name)
    eventually(lambda: len(loop.serving()) == 2)
    first = loop.release()
    second = loop.release(parent=first, adapter=stir(loop.encoder))
    walk = GenerationWalk()
    walk.follow(RegistryState(champion=first), 0)
    walk.follow(RegistryState(champion=second), 0)
    done = threading.Event()

    def ask() -> None:
        count = 0
        while not done.is_set():
            for user in range(20):
                loop.ask(f"user{user}", f"r{count}-{user}")
            count += 1

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for generation in (first, second, first, second):
            report = loop.release_service.activate(generation, "back and forth")
            assert report.complete
            walk.follow(RegistryState(champion=generation), 0)
            eventually(partial(loop.answers_now, generation))
    finally:
        done.set()
        asking.join()
    loop.ask("ana", "last")
    loop.answered("last")
    generations = defaultdict(set)
    # partitions are read as they come: only a sort tells in which order a worker answered
    for answer in sorted(loop.answers, key=attrgetter("served_at_ms")):
        generations[answer.worker_id, answer.served_at_ms].add(answer.generation)
        walk.served(answer)
    assert {first, second} == {name for names in generations.values() for name in names}
    assert all(len(names) == 1 for names in generations.values())
    assert walk.mixed == 0


def test_a_tampered_generation_is_refused_and_the_champion_stays(loop) -> None:
    loop.worker("serving-1")
    champion = loop.release()
    eventually(lambda: loop.all_serve(champion, "serving-1"))
    bad, directory = loop.generation(parent=champion)
    weights = directory / "head.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    report = loop.release_service.publish(bad, directory, "looks fine from here")
    assert report.outcome is Outcome.REFUSED
    assert "not the file the manifest was written for" in report.reason
    assert "serving-1" in report.reason
    loop.ask("ana", "after")
    assert loop.answered("after")[0].generation == champion


def test_new_and_changed_items_are_recommended_without_a_restart(loop) -> None:
    loop.worker("serving-1")
    loop.release()
    loop.ask("ana", "before", candidates=("new", "item1"))
    assert [item.item_id for item in loop.answered("before")[0].items] == ["item1"]
    loop.add_items(Item("new", "word7 word8"), replace(ITEMS[1], available=False))
    eventually(lambda: loop.serving()["serving-1"].gauges["items"] == 41)
    loop.ask("ana", "after", candidates=("new", "item1"))
    assert [item.item_id for item in loop.answered("after")[0].items] == ["new"]


def test_a_query_and_filters_choose_what_is_listed(loop) -> None:
    loop.worker("serving-1")
    loop.release()
    loop.ask("ana", "text", query="word12 word13", k=1)
    assert loop.answered("text")[0].items[0].item_id == "item12"


def test_a_killed_worker_leaves_nothing_unanswered(loop) -> None:
    generation = loop.release()
    victim = loop.worker_process("serving-victim")
    loop.worker("serving-1")
    eventually(lambda: loop.all_serve(generation, "serving-victim", "serving-1"))
    eventually(lambda: loop.both_answer("serving-victim", "serving-1"))
    names = [f"r{n}" for n in range(200)]
    for at, name in enumerate(names):
        loop.ask(f"user{at}", name)
        if at == 100:
            victim.kill()
    answers = loop.answered(*names)
    assert {answer.worker_id for answer in answers} == {"serving-victim", "serving-1"}


def test_sigterm_ends_a_worker_cleanly(loop) -> None:
    generation = loop.release()
    process = loop.worker_process("serving-1")
    eventually(lambda: loop.all_serve(generation, "serving-1"))
    assert process.terminate() == 0
    assert loop.serving() == {}


@pytest.mark.apache_kafka
@pytest.mark.redis_server
@pytest.mark.slow
@pytest.mark.parametrize("down", ["kafka", "redis"])
def test_a_server_that_was_away_is_waited_for(down, language_model, tmp_path, caplog) -> None:
    with (
        new_apache_kafka(tmp_path / "kafka") as kafka,
        new_redis_server(tmp_path / "redis") as redis,
        serving_loop(kafka.bootstrap, redis.url, ("t.", "t"), language_model, tmp_path) as loop,
    ):
        server: ServerProcess = {"kafka": kafka, "redis": redis}[down]
        loop.worker("serving-1")
        generation = loop.release()
        loop.ask("ana", "before")
        loop.answered("before")
        server.kill()
        if isinstance(server, EmbeddedRedis):
            loop.ask("ana", "during")
        noticed = (
            "trying until it is back",
            "wait for it",
            "ECONNREFUSED",
        )  # by us, or by kafka-python
        eventually(lambda: any(words in caplog.text for words in noticed))
        server.start()
        loop.ask("ana", "after")
        answers = loop.answered("after", *(["during"] if down == "redis" else []))
        assert {answer.generation for answer in answers} == {generation}
        second = loop.release()
        eventually(lambda: loop.all_serve(second, "serving-1"))
    warnings = [r for r in caplog.records if r.name.startswith("streamrec")]
    assert all(record.exc_info is None for record in warnings)
