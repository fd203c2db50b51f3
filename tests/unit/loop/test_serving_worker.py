"""The threads of a serving worker, over fakes."""

from __future__ import annotations

import hashlib
import itertools
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from streamrec.core.release import transitions
from streamrec.core.release.registry import Action, ControlRecord, Pin, RegistryState
from streamrec.errors import GenerationFailed, Unavailable
from streamrec.loop.releasing.attested import AttestedStore
from streamrec.loop.serving.generation_follower import GenerationFollower
from streamrec.loop.serving.serving_worker import MAX_FAILURE_S, ServingDependencies, ServingWorker
from streamrec.ports import WorkerStatus
from tests.fakes.control import SharedLog
from tests.fakes.fleet import FakeFleet
from tests.fakes.registry import FakeRegistryStore
from tests.fakes.serving import FakeHotSwap, FakeModel, FakeRanking, FakeTriggerFeed
from tests.harness.waiting import PATIENCE_S, eventually
from tests.unit.loop.serving import Counter, items, request, shown, update


class World(Counter):
    """A worker's surroundings; ``worker`` runs one."""

    def __init__(self, tmp_path: Path) -> None:
        super().__init__()
        self.add_items(*items("a", "b", "c"))
        self.feed = FakeTriggerFeed()
        self.log = SharedLog()
        self.writer = self.log.reader()
        self.fleet = FakeFleet()
        self.registry = FakeRegistryStore(tmp_path / "registry")
        finished = tmp_path / "finished"
        finished.mkdir()
        (finished / "manifest.json").write_text("{}")
        for n in range(1, 5):
            self.registry.put(f"g{n}", finished)
        self.swap = FakeHotSwap(self.mirror.catalogue)
        self.stop = threading.Event()

    def decide(
        self, action: Action, step: Callable[[RegistryState], RegistryState], digest: str = ""
    ) -> None:
        latest = self.writer.latest()
        state = step(latest.state if latest else RegistryState())
        generation = state.staged or state.champion
        self.writer.append(ControlRecord(action, "ana", "x", 1, state, generation, digest))

    def activate(self, generation: str, digest: str = "") -> None:
        step = partial(transitions.activate, generation=generation)
        self.decide(Action.ACTIVATE, step, digest)

    def make(self, **how) -> ServingWorker:
        attested = AttestedStore(self.registry)
        follower = GenerationFollower(attested, self.swap, self.mirror.catalogue, keep=2)
        parts = ServingDependencies(
            self.feed,
            self.log.reader(attested.note),
            self.fleet,
            self.clock,
            self.answerer,
            follower,
            self.server,
            gauges=lambda: {"texts_to_encode": 5.0},
        )
        identity = WorkerStatus("serving-1", "serving", "host", 7, 1, 1)
        return ServingWorker(parts, identity, self.stop, batch_users=64, refresh_s=0.02, **how)

    @contextmanager
    def worker(self, **how) -> Iterator[threading.Thread]:
        self.stop.clear()
        thread = threading.Thread(target=self.make(**how).run)
        thread.start()
        try:
            yield thread
        finally:
            self.stop.set()
            thread.join(PATIENCE_S)
            assert not thread.is_alive()

    def status(self) -> WorkerStatus | None:
        return next(self.fleet.workers(), None)


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)


def test_without_a_generation_nothing_is_taken_and_nothing_is_lost(world, caplog) -> None:
    caplog.set_level(logging.INFO)
    world.feed.send(request("u1", "r1"), update("u2"))
    with world.worker():
        eventually(lambda: "waiting for a first generation" in caplog.text)
        assert world.feed.position == 0
        world.activate("g1")
        eventually(lambda: world.feed.committed == 2)
    assert {a.trigger_id for a in world.published} == {"r1", "0-5"}
    assert {a.generation for a in world.published} == {"g1"}


def test_a_late_starter_finds_the_champion_in_the_log(world) -> None:
    for generation in ("g1", "g2", "g3"):
        world.activate(generation)
    with world.worker():
        world.feed.send(request("u1"))
        eventually(lambda: world.published)
    assert world.published[0].generation == "g3"


def test_swaps_and_rollbacks_are_followed_and_told(world) -> None:
    world.activate("g1")
    world.activate("g2")
    with world.worker():
        eventually(lambda: (s := world.status()) and s.active == "g2")
        world.decide(Action.ROLLBACK, lambda s: transitions.rollback(s, Pin("ana", "x", 1)))
        eventually(lambda: (s := world.status()) and s.active == "g1" and s.revision == 3)
        world.feed.send(request("u1"))
        eventually(lambda: world.published)
        eventually(lambda: (s := world.status()) and s.gauges["published"] == 1)
    assert world.published[0].generation == "g1"
    gauges = [beat.gauges for beat in world.fleet.beats][-1]
    assert gauges["swaps"] == 2
    assert gauges["items"] == 3
    assert gauges["texts_to_encode"] == 5
    assert gauges["swap_pause_max_ms"] >= gauges["swap_pause_ms"] > 0


def test_answering_goes_on_while_a_generation_loads(world) -> None:
    world.activate("g1")
    with world.worker():
        eventually(lambda: (s := world.status()) and s.active == "g1")
        world.swap.hold.clear()
        world.decide(Action.STAGE, lambda s: transitions.stage(s, "g2"))
        world.feed.send(request("u1", "meanwhile"))
        eventually(lambda: world.published)
        assert not world.swap.is_warm("g2")
        world.swap.hold.set()
        eventually(lambda: (s := world.status()) and s.staged == "g2")
    assert world.published[0].generation == "g1"


def test_a_generation_that_the_log_knows_otherwise_is_refused_and_the_champion_answers(
    world, caplog
) -> None:
    """Somebody changed the registry behind the control log."""
    whole = hashlib.sha256(b"{}").hexdigest()
    world.activate("g1", whole)
    (world.registry.get("g2") / "manifest.json").write_text('{"files": {"head": "theirs"}}')
    with world.worker():
        eventually(lambda: (s := world.status()) and s.active == "g1")
        world.decide(Action.STAGE, lambda s: transitions.stage(s, "g2"), whole)
        eventually(lambda: (s := world.status()) and "g2" in s.refused)
        world.activate("g2", whole)  # an operator insists
        eventually(lambda: (s := world.status()) and s.revision == 3)
        world.feed.send(request("u1"))
        eventually(lambda: world.published)
    assert "behind the control log" in world.fleet.beats[-1].refused["g2"]
    assert world.published[0].generation == "g1"
    assert "g2" not in world.swap.staged
    assert "g2 is refused, nothing changes here" in caplog.text


def test_a_late_starter_takes_no_changed_champion_from_an_old_log(world) -> None:
    """The record with the digest is not the newest one: all of them are read."""
    whole = hashlib.sha256(b"{}").hexdigest()
    world.activate("g1", whole)
    world.activate("g2", whole)
    world.decide(Action.PIN, lambda s: transitions.pin(s, Pin("ana", "x", 1)))
    (world.registry.get("g2") / "manifest.json").write_text('{"files": {}}')
    world.feed.send(request("u1"))
    with world.worker():
        eventually(lambda: (s := world.status()) and "g2" in s.refused)
        assert world.feed.position == 0  # nothing is answered by what nobody released
        world.decide(Action.ROLLBACK, lambda s: transitions.rollback(s, Pin("ana", "x", 1)))
        eventually(lambda: world.published)
    assert world.published[0].generation == "g1"


def test_offsets_are_committed_only_after_the_answers_are_acknowledged(world) -> None:
    world.activate("g1")
    acknowledged: list[int] = []
    commit = world.feed.commit

    def watched() -> None:
        acknowledged.append(len(world.published))
        commit()

    world.feed.commit = watched
    with world.worker():
        world.feed.send(request("u1", "r1"))
        eventually(lambda: world.feed.committed == 1)
    assert acknowledged == [1]


@pytest.mark.parametrize("what", ["store", "publisher", "feed", "fleet", "log"])
def test_what_is_away_is_waited_for_and_nothing_is_lost(world, what, caplog) -> None:
    world.activate("g1")
    gone = Outage(world, what)
    with world.worker():
        eventually(lambda: (s := world.status()) and s.active == "g1")
        gone.start()
        world.feed.send(*(request("u1", f"r{n}", n) for n in range(3)), update("u2"))
        eventually(lambda: "away" in caplog.text)
        gone.end()
        eventually(lambda: world.feed.committed == 4)
        world.activate("g2")
        eventually(lambda: (s := world.status()) and s.active == "g2")
    assert {a.trigger_id for a in world.published} == {"r0", "r1", "r2", "0-5"}
    warnings = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert all(record.exc_info is None for record in warnings)


def test_with_more_to_do_than_time_everything_is_answered_or_counted(world) -> None:
    world.activate("g1")
    old = [request(f"u{n}", f"old{n}", offset=n) for n in range(100)]
    world.clock.at_ms = old[0].timestamp_ms + 60_000
    late = [replace(request("u1", f"new{n}"), timestamp_ms=world.clock.at_ms) for n in range(28)]
    world.feed.send(*old, *late)
    with world.worker(max_age_s=30.0):
        eventually(lambda: world.feed.committed == 128)
        eventually(lambda: (s := world.status()) and s.gauges["published"] == 28)
        gauges = world.status().gauges
    assert {a.trigger_id for a in world.published} == {f"new{n}" for n in range(28)}
    assert gauges["stale_request"] == 100
    assert gauges["published"] == 28


def test_a_lag_that_cannot_be_measured_costs_no_answer(world) -> None:
    def away() -> int:
        raise Unavailable("Kafka is away", 0.01)

    world.feed.lag = away
    world.activate("g1")
    with world.worker():
        world.feed.send(request("u1", "r1"))
        eventually(lambda: world.feed.committed == 1)
        world.feed.send(request("u1", "r2"))
        eventually(lambda: world.feed.committed == 2)
    assert [a.trigger_id for a in world.published] == ["r1", "r2"]


def test_a_new_item_is_recommended_without_a_restart(world) -> None:
    world.activate("g1")
    with world.worker():
        eventually(lambda: (s := world.status()) and s.active == "g1")
        world.swap.active.scores["new"] = 9.0
        world.add_items(*items("new"))
        eventually(lambda: world.mirror.catalogue.row("new") is not None)
        world.feed.send(request("u1"))
        eventually(lambda: world.published)
    assert shown(world.published[0])[0] == "new"
    assert world.swap.ensured > 0


def test_a_stopped_worker_leaves_the_fleet_and_another_takes_over(world) -> None:
    world.activate("g1")
    with world.worker():
        world.feed.send(request("u1", "r1"))
        eventually(lambda: world.feed.committed == 1)
    assert world.status() is None
    world.feed.send(request("u1", "r2"))
    world.feed.restart()
    with world.worker():
        eventually(lambda: world.feed.committed == 2)
    assert [a.trigger_id for a in world.published] == ["r1", "r2"]


def test_something_unforeseen_in_a_thread_ends_the_worker(world, caplog) -> None:
    def broken() -> None:
        raise ZeroDivisionError("a bug")

    world.mirror.refresh = broken
    with pytest.raises(ZeroDivisionError, match="a bug"):
        world.make().run()
    assert "mirror failed" in caplog.text


class BrokenModel(FakeModel):
    def ranking(self, *_: object) -> FakeRanking:
        raise RuntimeError("shapes do not match")


def test_a_champion_that_cannot_rank_is_a_fault_and_its_predecessor_answers(world, caplog) -> None:
    world.activate("g1")
    world.activate("g2")
    with world.worker():
        eventually(lambda: (s := world.status()) and s.active == "g2")
        world.swap.active = BrokenModel("g2", world.mirror.catalogue)
        world.feed.send(request("u1", "r1"), request("u2", "r2"))
        eventually(lambda: world.status().levels.get("g2", {}).get("faults", 0) >= 2)
        assert world.published == []
        world.decide(Action.ROLLBACK, lambda s: transitions.rollback(s, Pin("guard", "x", 1)))
        eventually(lambda: world.feed.committed == 2)
    assert {a.trigger_id: a.generation for a in world.published} == {"r1": "g1", "r2": "g1"}
    assert caplog.text.count("messages wait for another champion") == 1
    assert world.publisher.values("dead-letter") == []


def test_a_champion_that_goes_on_failing_ends_the_worker_and_nothing_is_lost(world) -> None:
    world.swap.make = BrokenModel
    now_s = itertools.count(0.0, MAX_FAILURE_S / 2)
    world.activate("g1")
    world.feed.send(request("u1", "r1"))
    with pytest.raises(GenerationFailed, match="g1 cannot rank"):
        world.make(timer=lambda: next(now_s)).run()
    assert (world.feed.committed, world.published) == (0, [])


class Outage:
    """Makes one of the surroundings raise Unavailable for a while."""

    def __init__(self, world: World, what: str) -> None:
        self._owner, self._name = {
            "store": (world.store, "read_users"),
            "publisher": (world.publisher, "flush"),
            "feed": (world.feed, "down"),
            "fleet": (world.fleet, "down"),
            "log": (world.log, "down"),
        }[what]
        self._whole = getattr(self._owner, self._name)

    def start(self) -> None:
        def away(*_: object) -> None:
            raise Unavailable("it is away", 0.01)

        setattr(self._owner, self._name, True if self._name == "down" else away)

    def end(self) -> None:
        setattr(self._owner, self._name, self._whole)
