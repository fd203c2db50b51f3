"""The order of a release, over a fake log, a fake fleet and scripted workers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from streamrec.core.release import registry
from streamrec.core.release.registry import Action, ControlRecord, Pin, RegistryState
from streamrec.errors import RegistryConflict, Unavailable, UserError
from streamrec.loop.releasing.release import Outcome, ReleaseService
from streamrec.ports import WorkerStatus
from tests.fakes.control import FakeControlLog, SharedLog
from tests.fakes.fleet import FakeFleet
from tests.fakes.registry import FakeRegistryStore


class ScriptedWorker:
    """Obeys the control log like a serving worker, ``delay_ms`` late; refuses what it must."""

    def __init__(self, world: World, name: str, delay_ms: int = 30, refuses: str = "") -> None:
        self.world, self.delay_ms, self.refuses = world, delay_ms, refuses
        self.log = world.shared.reader()
        self.alive = True
        self.status = WorkerStatus(name, "serving", "h", 1, 0, 0)
        world.fleet.beat(self.status)

    def turn(self) -> None:
        record = self.log.latest()
        if not self.alive or record is None or self.world.now - record.at_ms < self.delay_ms:
            return
        state, refused = record.state, {}
        if self.refuses in (state.staged, state.champion):
            refused = {self.refuses: "wrong base model"}
        self.status = replace(
            self.status,
            staged=None if state.staged == self.refuses else state.staged,
            canary=state.canary.generation if state.canary else None,
            active=self.status.active if state.champion == self.refuses else state.champion,
            refused=refused,
            revision=state.revision,
        )
        if not self.world.fleet.down:
            self.world.fleet.beat(self.status)


class World:
    def __init__(self, tmp_path: Path) -> None:
        self.now = 1_000_000
        self.shared = SharedLog()
        self.fleet = FakeFleet()
        self.store = FakeRegistryStore(tmp_path / "registry")
        self.workers: list[ScriptedWorker] = []
        self.at: dict[int, object] = {}  # elapsed ms -> what happens then
        self.finished = tmp_path / "finished"
        self.finished.mkdir()
        (self.finished / "manifest.json").write_text("{}")

    def now_ms(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += int(seconds * 1000)
        self.fleet.elapsed_s += seconds
        for due in [at for at in self.at if self.now - 1_000_000 >= at]:
            self.at.pop(due)()
        for worker in self.workers:
            worker.turn()

    def worker(self, name: str, **how) -> ScriptedWorker:
        self.workers.append(ScriptedWorker(self, name, **how))
        return self.workers[-1]

    def service(self, actor: str = "trainer", log: FakeControlLog | None = None) -> ReleaseService:
        return ReleaseService(
            log or self.shared.reader(), self.fleet, self.store, self, actor, sleep=self.sleep
        )

    def actions(self) -> list[tuple[Action, str | None]]:
        return [(r.action, r.generation) for r in self.shared.reader().records()]


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)


def publish(world: World, *generations: str) -> None:
    for generation in generations:
        report = world.service().publish(generation, world.finished, "gate passed", "d")
        assert report.outcome is Outcome.ACTIVATED


def test_a_release_is_stored_staged_and_activated_everywhere(world) -> None:
    world.worker("s1")
    world.worker("s2", delay_ms=80)
    report = world.service().publish("g1", world.finished, "gate passed", "d")
    assert report.outcome is Outcome.ACTIVATED
    assert world.store.generations() == ["g1"]
    assert world.actions() == [(Action.STAGE, "g1"), (Action.ACTIVATE, "g1")]
    assert report.staging.complete
    assert report.swap.complete
    assert report.swap.confirmed_ms == {"s1": 30, "s2": 80}
    assert report.swap.took_ms == 80
    assert [w.active for w in world.fleet.workers()] == ["g1", "g1"]


def test_without_serving_workers_a_release_goes_through_at_once(world) -> None:
    world.fleet.beat(WorkerStatus("features-1", "features", "h", 1, 0, 0))
    report = world.service().publish("g1", world.finished, "first")
    assert report.outcome is Outcome.ACTIVATED
    assert world.now == 1_000_000


def test_nothing_is_activated_before_everybody_is_ready(world) -> None:
    world.worker("s1")
    slow = world.worker("s2", delay_ms=5_000)
    world.at[4_000] = lambda: seen.append(slow.log.latest().state.champion)
    seen: list[str | None] = []
    publish(world, "g1")
    assert seen == [None]


def test_a_silent_worker_is_named_and_holds_nobody_up(world) -> None:
    world.worker("s1")
    frozen = world.worker("s2", delay_ms=10**9)
    world.fleet.ttl_s = 1e9  # it still says it is alive
    report = world.service().publish("g1", world.finished, "x")
    assert report.outcome is Outcome.ACTIVATED
    assert report.staging.silent == report.swap.silent == ("s2",)
    assert not report.swap.complete
    assert frozen.status.active is None


def test_a_worker_that_died_holds_nobody_up_longer_than_its_last_beat(world) -> None:
    world.worker("s1")
    world.worker("s2").alive = False
    report = world.service().publish("g1", world.finished, "x")
    assert report.outcome is Outcome.ACTIVATED
    assert report.staging.silent == ()
    assert 9_000 < world.now - 1_000_000 < 12_000


def test_a_refusing_worker_is_named_and_the_others_swap(world) -> None:
    world.worker("s1")
    world.worker("s2", refuses="g1")
    report = world.service().publish("g1", world.finished, "x")
    assert report.outcome is Outcome.ACTIVATED
    assert report.staging.refused == {"s2": "wrong base model"}
    assert report.swap.confirmed_ms.keys() == {"s1"}


def test_what_every_worker_refuses_is_rejected(world) -> None:
    world.worker("s1", refuses="g2")
    publish(world, "g1")
    report = world.service().publish("g2", world.finished, "x")
    assert report.outcome is Outcome.REFUSED
    assert "s1: wrong base model" in report.reason
    assert world.actions()[-1] == (Action.REJECT, "g2")
    assert world.service().state().champion == "g1"


def test_a_pinned_champion_stays_and_the_candidate_is_noted(world) -> None:
    world.worker("s1")
    publish(world, "g1", "g2")
    world.service("ana").rollback("clicks fell")
    report = world.service().publish("g3", world.finished, "x")
    assert report.outcome is Outcome.HELD
    assert "pinned by ana: clicks fell" in report.reason
    assert world.actions()[-1] == (Action.HOLD, "g3")
    assert world.service().state().champion == "g1"
    assert "g3" in world.store.generations()
    world.service("ana").unpin()
    publish(world, "g4")


def test_a_pin_between_staging_and_activation_holds_the_candidate(world) -> None:
    world.worker("s1", delay_ms=500)
    publish(world, "g1")
    already = world.now - 1_000_000
    world.at[already + 100] = lambda: world.service("ana").pin("freeze")
    report = world.service().publish("g2", world.finished, "x")
    assert report.outcome is Outcome.HELD
    assert world.service().state().champion == "g1"
    assert world.service().state().staged is None


def test_the_trainer_decides_again_after_losing_a_race(world) -> None:
    world.worker("s1")
    log = RacedLog(world.shared)
    report = world.service(log=log).publish("g1", world.finished, "x")
    assert log.raced
    assert report.outcome is Outcome.ACTIVATED


def test_an_operator_who_loses_a_race_is_told_and_nothing_has_changed(world) -> None:
    publish(world, "g1", "g2", "g3")
    raced = RacedLog(world.shared)
    raced.steps = ("pin",)
    with pytest.raises(RegistryConflict, match="pin of None by ben"):
        world.service("ana", raced).rollback("x")
    assert world.service().state().champion == "g3"


def test_who_is_going_to_write_connects_before_reading(world) -> None:
    """Else the read is long past when the record goes out, and a busy trainer wins every race."""
    publish(world, "g1", "g2")
    raced = RacedLog(world.shared)
    world.service("ana", raced).rollback("x")
    assert raced.asked[:2] == ("prepare", "latest")


def test_rollback_confirms_with_every_worker_and_pins(world) -> None:
    world.worker("s1")
    world.worker("s2", delay_ms=200)
    publish(world, "g1", "g2", "g3")
    report = world.service("ana").rollback("clicks fell")
    assert (report.generation, report.complete, report.took_ms) == ("g2", True, 200)
    assert world.service().state().pin.actor == "ana"
    assert world.actions()[-1] == (Action.ROLLBACK, "g2")  # where it went, not where from
    assert world.service("ana").rollback("still falling").generation == "g1"
    assert [w.active for w in world.fleet.workers()] == ["g1", "g1"]


def test_forward_again_after_a_rollback(world) -> None:
    world.worker("s1")
    publish(world, "g1", "g2")
    world.service("ana").rollback("a drill")
    report = world.service("ana").activate("g2", "drill over")
    assert report.complete
    assert world.service().state() == RegistryState(7, "g2", ("g1",))


def test_activating_what_is_not_in_the_store_is_a_users_mistake(world) -> None:
    with pytest.raises(UserError, match="not in the registry"):
        world.service("ana").activate("g9", "x")
    assert world.shared.entries == []


def test_activating_what_no_worker_can_load_changes_nothing(world) -> None:
    world.worker("s1", refuses="g2")
    publish(world, "g1")
    world.store.put("g2", world.finished)
    with pytest.raises(UserError, match="wrong base model"):
        world.service("ana").activate("g2", "x")
    assert world.service().state().champion == "g1"


def test_a_release_repeated_after_a_crash_finds_its_work_done(world) -> None:
    world.worker("s1")
    publish(world, "g1")
    before = list(world.shared.entries)
    assert world.service().publish("g1", world.finished, "again").outcome is Outcome.ACTIVATED
    assert world.shared.entries == before


def test_a_fleet_that_cannot_be_asked_stops_a_release_before_it_activates(world) -> None:
    world.worker("s1")
    world.fleet.down = True
    with pytest.raises(Unavailable):
        world.service().publish("g1", world.finished, "x")
    assert world.actions() == [(Action.STAGE, "g1")]
    world.fleet.down = False
    publish(world, "g1")


def test_a_fleet_lost_after_a_rollback_is_said_not_hidden(world) -> None:
    publish(world, "g1", "g2")
    world.fleet.down = True
    report = world.service("ana").rollback("x")
    assert "away" in report.problem
    assert not report.complete
    assert world.service().state().champion == "g1"


class RacedLog(FakeControlLog):
    """Somebody pins, and unpins, right before the first append."""

    raced = False
    steps: tuple[str, ...] = ("pin", "unpin")
    asked: tuple[str, ...] = ()

    def prepare(self) -> None:
        self.asked += ("prepare",)
        super().prepare()

    def latest(self) -> ControlRecord | None:
        self.asked += ("latest",)
        return super().latest()

    def append(self, record: ControlRecord) -> None:
        if not self.raced:
            self.raced = True
            other = self.shared.reader()
            for name in self.steps:
                latest = other.latest()
                state = registry.repair(latest.state if latest else RegistryState())
                state = replace(state, pin=Pin("ben", "", 1) if name == "pin" else None)
                other.append(ControlRecord(Action(name), "ben", "", record.at_ms, state))
        super().append(record)


def test_a_note_says_who_and_why_and_changes_nothing(world):
    world.worker("s1")
    trainer = world.service()
    trainer.publish("g1", world.finished, "the first one")
    before = trainer.state()
    after = world.service("key:ops").note("resends 2 dead letters (0:1, 0:2): mended")
    assert after == replace(before, revision=before.revision + 1)
    newest = world.shared.reader().latest()
    assert (newest.action, newest.actor) == (Action.REPAIR, "key:ops")
    assert newest.reason.endswith(": mended")
    (world.finished / "manifest.json").write_text("{ }")
    assert trainer.publish("g2", world.finished, "the next").outcome is Outcome.ACTIVATED
