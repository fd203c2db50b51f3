"""Serving workers against Apache Kafka and Redis, with real generations of a tiny encoder."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from streamrec.bootstrap import clients
from streamrec.bootstrap.serving import run_serving_worker
from streamrec.core.catalogue import item_record
from streamrec.core.events import Item, Kind, Recommendation, Request, Source, Trigger, UserUpdate
from streamrec.core.loop_watch import GenerationWalk
from streamrec.core.user_state import UserState
from streamrec.infra.clock import SystemClock
from streamrec.infra.follower import Follower
from streamrec.infra.kafka import create_topics, partition_for
from streamrec.model.encoder import load_encoder
from streamrec.ports import WorkerStatus, Writes
from streamrec.settings import (
    EncoderSettings,
    KafkaSettings,
    RedisSettings,
    ServingSettings,
    Settings,
    child_environment,
)
from streamrec.stages.release import Outcome
from tests.fakes.language_models import save_tiny_model, stir
from tests.harness.generations import new_generation

pytestmark = [pytest.mark.apache_kafka, pytest.mark.redis_server]

ITEMS = [Item(f"item{n}", f"word{n} word{n + 1}", categories=(f"c{n % 3}",)) for n in range(40)]


@pytest.fixture(scope="module")
def language_model(tmp_path_factory) -> Path:
    return save_tiny_model("bert", tmp_path_factory.mktemp("model"))


class Loop:
    """A small installation: topics, a catalogue, a registry; workers on demand."""

    def __init__(self, settings: Settings, scratch: Path, stack: ExitStack) -> None:
        self.settings, self.scratch, self._stack = settings, scratch, stack
        create_topics(settings.kafka)
        self.codec = clients.codec(settings)
        self.store = clients.partition_store(settings)
        self.fleet = clients.fleet(settings)
        self.registry = clients.registry_store(settings)
        self.publisher = clients.publisher(settings, "test")
        stack.callback(self.publisher.close)
        self.desk = stack.enter_context(clients.release_desk(settings))
        self.answers: list[Recommendation] = []
        self._follower = stack.enter_context(
            Follower(settings.kafka, self.codec, ["recommendations"], "test", from_start=True)
        )
        self.encoder = load_encoder(settings.encoder)
        self.generations: list[str] = []

    def add_items(self, *items: Item) -> None:
        source = Source("items", 0)
        at = self.store.position(source)
        rows = {item.item_id: item_record(item) for item in items}
        self.store.commit(source, at, at + 1, Writes(rows=rows))

    def generation(self, **how) -> tuple[str, Path]:
        """A finished generation that is in nobody's registry yet."""
        sequence = len(self.generations) + 1
        directory = self.scratch / f"made-{sequence}"
        generation = new_generation(directory, self.encoder, sequence, **how)
        self.generations.append(generation)
        return generation, directory

    def release(self, **how) -> str:
        generation, directory = self.generation(**how)
        report = self.desk.publish(generation, directory, "a test")
        assert report.outcome is Outcome.ACTIVATED
        assert report.swap is not None
        assert report.swap.complete, report.swap
        return generation

    def click(self, user_id: str, item_id: str) -> None:
        """What the feature worker does with a click, as far as serving can see."""
        partition = partition_for(user_id, self.settings.kafka.partitions)
        source = Source("events", partition)
        position, (record,) = self.store.read_users(source, [user_id])
        state = UserState.from_record(record) if record else UserState()
        state = replace(
            state,
            history=(*state.history, item_id),
            history_ms=(*state.history_ms, position),
            consumed=(*state.consumed, item_id),
        )
        self.store.commit(
            source, position, position + 1, Writes(users={user_id: state.to_record()})
        )
        now_ms = SystemClock().now_ms()
        update = UserUpdate(
            user_id, item_id, Kind.CLICK, partition, position, now_ms, now_ms, now_ms
        )
        self.send("user-updates", user_id, self.codec.encode("user-updates", update))

    def ask(self, user_id: str, request_id: str, **wish) -> None:
        request = Request(request_id, user_id, SystemClock().now_ms(), **wish)
        self.send("requests", user_id, self.codec.encode("requests", request))

    def send(self, topic: str, key: str, value: bytes) -> None:
        self.publisher.publish(topic, key.encode(), value)
        self.publisher.flush()

    def worker(self, name: str) -> SimpleNamespace:
        """One in a thread of this process; ``stop()`` it or the test's end does."""
        stop = threading.Event()
        thread = threading.Thread(target=run_serving_worker, args=(self.settings, name, stop))
        thread.start()

        def end() -> None:
            stop.set()
            thread.join(30)
            assert not thread.is_alive()

        self._stack.callback(end)
        return SimpleNamespace(stop=end)

    def worker_process(self, name: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "workers.serving", name]
        process = subprocess.Popen(command, env=child_environment(self.settings))
        self._stack.callback(process.wait, 30)
        self._stack.callback(process.kill)
        return process

    def serving(self) -> dict[str, WorkerStatus]:
        return {worker.worker_id: worker for worker in self.fleet.workers()}

    def all_serve(self, generation: str, *names: str) -> bool:
        serving = self.serving()
        return all(name in serving and serving[name].active == generation for name in names)

    def both_answer(self, *names: str) -> bool:
        """Ask everybody something; whether all these workers have answered something."""
        for user in range(10):
            self.ask(f"user{user}", f"warm-up-{len(self.answers)}-{user}")
        self.read()
        return {answer.worker_id for answer in self.answers} >= set(names)

    def read(self) -> None:
        self.answers += [seen.value for seen in self._follower.poll(0.1)]

    def answered(self, *trigger_ids: str) -> list[Recommendation]:
        """Wait for the answers to these triggers."""
        until(lambda: self.read() or {a.trigger_id for a in self.answers} >= set(trigger_ids))
        return [next(a for a in self.answers if a.trigger_id == wanted) for wanted in trigger_ids]


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "never happened"
        time.sleep(0.02)


@pytest.fixture
def loop(apache_kafka, redis_url, fresh_prefix, language_model, tmp_path) -> Iterator[Loop]:
    settings = Settings(
        state_dir=tmp_path / "state",
        kafka=KafkaSettings(bootstrap=apache_kafka, topic_prefix=fresh_prefix.topic, partitions=2),
        redis=RedisSettings(url=redis_url, key_prefix=fresh_prefix.redis),
        encoder=EncoderSettings(model=str(language_model), device="cpu", dtype="float32"),
        serving=ServingSettings(statistics_refresh_s=0.1),
    )
    with ExitStack() as stack:
        loop = Loop(settings, tmp_path, stack)
        loop.add_items(*ITEMS)
        yield loop


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
        until(lambda: letters.extend(seen.value for seen in dead.poll(0.1)) or letters)
    assert letters[0].value == b"{not json"


def test_what_was_asked_before_the_first_generation_is_answered_after_it(loop, caplog) -> None:
    caplog.set_level(logging.INFO)
    loop.worker("serving-1")
    loop.ask("ana", "early")
    until(lambda: "waiting for a first generation" in caplog.text)
    generation = loop.release()
    assert loop.answered("early")[0].generation == generation


def test_rollback_flips_two_workers_and_a_late_starter_agrees(loop) -> None:
    loop.worker("serving-1")
    loop.worker("serving-2")
    until(lambda: len(loop.serving()) == 2)
    first = loop.release()
    second = loop.release(parent=first)
    report = loop.desk.rollback("clicks fell")
    assert report.complete
    assert report.generation == first
    assert report.confirmed_ms.keys() == {"serving-1", "serving-2"}
    loop.ask("ana", "after")
    assert loop.answered("after")[0].generation == first
    loop.worker("serving-3")
    until(lambda: loop.all_serve(first, "serving-3"))
    candidate, directory = loop.generation(parent=first)
    assert loop.desk.publish(candidate, directory, "pinned").outcome is Outcome.HELD
    forward = loop.desk.activate(second, "the drill is over")
    assert forward.complete
    assert len(forward.confirmed_ms) == 3


def test_no_micro_batch_mixes_generations(loop) -> None:
    for name in ("serving-1", "serving-2"):
        loop.worker(name)
    until(lambda: len(loop.serving()) == 2)
    first = loop.release()
    second = loop.release(parent=first, adapter=stir(loop.encoder))
    walk = GenerationWalk()
    walk.enthroned(first, 0)
    walk.enthroned(second, 0)
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
            report = loop.desk.activate(generation, "back and forth")
            assert report.complete
            time.sleep(0.2)
            walk.enthroned(generation, 0)
    finally:
        done.set()
        asking.join()
    loop.ask("ana", "last")
    loop.answered("last")
    generations = defaultdict(set)
    for answer in loop.answers:
        generations[answer.worker_id, answer.served_at_ms].add(answer.generation)
        walk.served(answer)
    assert {first, second} == {name for names in generations.values() for name in names}
    assert all(len(names) == 1 for names in generations.values())
    assert walk.mixed == 0


def test_a_tampered_generation_is_refused_and_the_champion_stays(loop) -> None:
    loop.worker("serving-1")
    champion = loop.release()
    until(lambda: loop.all_serve(champion, "serving-1"))
    bad, directory = loop.generation(parent=champion)
    weights = directory / "head.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    report = loop.desk.publish(bad, directory, "looks fine from here")
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
    until(lambda: loop.serving()["serving-1"].gauges["items"] == 41)
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
    until(lambda: loop.all_serve(generation, "serving-victim", "serving-1"))
    until(lambda: loop.both_answer("serving-victim", "serving-1"))
    names = [f"r{n}" for n in range(200)]
    for at, name in enumerate(names):
        loop.ask(f"user{at}", name)
        if at == 100:
            victim.send_signal(signal.SIGKILL)
    answers = loop.answered(*names)
    assert {answer.worker_id for answer in answers} == {"serving-victim", "serving-1"}


def test_sigterm_ends_a_worker_cleanly(loop) -> None:
    generation = loop.release()
    process = loop.worker_process("serving-1")
    until(lambda: loop.all_serve(generation, "serving-1"))
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(30) == 0
    assert loop.serving() == {}
