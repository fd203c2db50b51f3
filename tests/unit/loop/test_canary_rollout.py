"""A release with a canary: every way in which it can end, over scripted workers and users."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from streamrec.core.ledger.ledger import Ledger
from streamrec.core.release import registry, transitions
from streamrec.core.release.canary import Canary
from streamrec.core.release.registry import Action, ControlRecord
from streamrec.core.release.sequential_test import Rate
from streamrec.errors import Unavailable
from streamrec.loop.releasing.canary_rollout import CanaryRollout, CanaryRolloutRules
from streamrec.loop.releasing.release import CANARY_ACTOR, Outcome, ReleaseService
from streamrec.loop.releasing.release_queue import PendingRelease, ReleaseQueue
from streamrec.loop.training.trial import Candidate
from streamrec.ports import Sealed
from tests.fakes.generations import draft
from tests.unit.loop.test_release import World as ReleaseWorld

GOOD = Rate(900, 270, 300, 0.3, 0.0002)
WORSE = Rate(300, 30, 100, 0.1, 0.0003)
BETTER = Rate(300, 180, 100, 0.6, 0.0008)
SAME = Rate(300, 90, 100, 0.3, 0.0007)


class World(ReleaseWorld):
    """``rates``: generation -> how often its lists are clicked."""

    def __init__(self, tmp_path) -> None:
        super().__init__(tmp_path)
        self.rates: dict[str, Rate] = {}
        self.begun: list[int] = []
        self.worker("s1")
        self.worker("s2", delay_ms=80)

    def begin(self, since_ms: int) -> None:
        self.begun.append(since_ms)

    def rate(self, generation: str) -> Rate:
        return self.rates.get(generation, Rate())

    def trying_service(self) -> ReleaseService:
        rules = CanaryRolloutRules(0.2, min_s=5, max_s=60, looks=3)
        rollout = CanaryRollout(self, self.fleet, self, self.sleep, rules)
        return ReleaseService(
            self.shared.reader(), self.fleet, self.store, self, "trainer",
            sleep=self.sleep, rollout=rollout,
        )  # fmt: skip

    def publish(self, generation: str):
        return self.trying_service().publish(generation, self.finished, "gate passed", "d")

    @property
    def state(self) -> registry.RegistryState:
        return self.shared.reader().latest().state

    @property
    def last(self) -> registry.ControlRecord:
        return self.shared.reader().latest()


@pytest.fixture
def world(tmp_path) -> World:
    world = World(tmp_path)
    world.rates = {"g1": GOOD, "g2": SAME}
    assert world.publish("g1").outcome is Outcome.ACTIVATED
    return world


def test_the_first_generation_has_nothing_to_be_compared_with(world) -> None:
    assert world.actions() == [(Action.STAGE, "g1"), (Action.ACTIVATE, "g1")]


def test_a_canary_that_does_no_harm_is_promoted_in_the_end(world) -> None:
    began = world.now
    report = world.publish("g2")
    assert report.outcome is Outcome.ACTIVATED
    assert world.actions()[2:] == [
        (Action.STAGE, "g2"),
        (Action.CANARY, "g2"),
        (Action.ACTIVATE, "g2"),
    ]
    assert world.now - began >= 60_000
    assert "no harm found in 60 s" in report.reason
    assert "clicked 0.300 of 300 lists" in report.reason
    assert report.swap.complete


def test_a_canary_that_nobody_reports_on_is_promoted_and_its_record_says_so(world) -> None:
    world.rates = {}
    report = world.publish("g2")
    assert report.outcome is Outcome.ACTIVATED
    assert "too few outcomes to tell in 60 s" in report.reason


def test_a_better_canary_is_promoted_as_soon_as_that_is_certain(world) -> None:
    world.rates["g2"] = BETTER
    began = world.now
    assert "benefit" in world.publish("g2").reason
    assert 5_000 <= world.now - began < 8_000


def test_a_canary_that_does_harm_is_withdrawn_at_once_and_says_why(world) -> None:
    world.rates["g2"] = WORSE
    began = world.now
    report = world.publish("g2")
    assert report.outcome is Outcome.ABANDONED
    assert world.now - began < 3_000
    assert (world.state.champion, world.state.canary, world.state.pin) == ("g1", None, None)
    assert (world.last.action, world.last.actor) == (Action.ABANDON, CANARY_ACTOR)
    assert "clicked 0.100 of 300 lists (100 users) against 0.300" in world.last.reason
    assert all(worker.status.canary is None for worker in world.workers)


def test_a_canary_that_serves_badly_is_withdrawn(world) -> None:
    def fail() -> None:
        for worker in world.workers:
            levels = {"g2": {"lists": 50, "faults": 50}, "g1": {"lists": 200}}
            worker.status = replace(worker.status, levels=levels)

    world.at[world.now - 1_000_000 + 3000] = fail
    report = world.publish("g2")
    assert report.outcome is Outcome.ABANDONED
    assert report.reason == "faults: 100 of 100 (at most 5%)"


def test_a_canary_no_worse_at_serving_than_its_champion_is_let_be(world) -> None:
    def fail() -> None:
        for worker in world.workers:
            levels = {name: {"lists": 50, "empty": 40} for name in ("g1", "g2")}
            worker.status = replace(worker.status, levels=levels)

    world.at[world.now - 1_000_000 + 1000] = fail
    assert world.publish("g2").outcome is Outcome.ACTIVATED


@pytest.mark.parametrize(
    ("act", "outcome", "champion"),
    [
        (lambda service: service.rollback("odd lists"), Outcome.HELD, "g1"),
        (lambda service: service.pin("a launch"), Outcome.HELD, "g1"),
        (lambda service: service.activate("g2", "I like it"), Outcome.ACTIVATED, "g2"),
        (lambda service: service.activate("g0", "safe"), Outcome.HELD, "g0"),
        (lambda service: service.reject("g2", "no"), Outcome.HELD, "g1"),
    ],
    ids=["rollback", "pin", "activate-it", "activate-another", "reject"],
)
def test_what_an_operator_does_meanwhile_stands(world, act, outcome, champion) -> None:
    world.store.put("g0", world.finished)
    operator = world.service("ana")
    world.at[world.now - 1_000_000 + 10_000] = lambda: act(operator)
    report = world.publish("g2")
    assert (report.outcome, world.state.champion) == (outcome, champion)
    assert world.state.canary is None
    assert "ana" in report.reason or outcome is Outcome.ACTIVATED


def test_an_interrupted_watch_goes_on_where_it_was(world) -> None:
    def go_away() -> None:
        world.shared.down = True

    world.at[world.now - 1_000_000 + 10_000] = go_away
    service = world.trying_service()
    began = world.now
    with pytest.raises(Unavailable):
        service.publish("g2", world.finished, "gate passed", "d")
    world.shared.down = False
    assert world.state.canary.generation == "g2"
    assert service.publish("g2", world.finished, "gate passed", "d").outcome is Outcome.ACTIVATED
    assert world.begun[0] == world.begun[1], "the same canary, counted from the same moment"
    assert 60_000 <= world.now - began < 63_000
    assert [a for a, _ in world.actions()].count(Action.CANARY) == 1


def leave_a_canary_out(world, generation: str = "g2") -> None:
    """A trainer that died in step 4."""
    world.store.put(generation, world.finished)
    log, stage = world.shared.reader(), transitions.stage(world.state, generation)
    out = transitions.try_out(stage, Canary(generation, 0.2, generation, world.now))
    log.latest()
    for action, state in ((Action.STAGE, stage), (Action.CANARY, out)):
        log.append(ControlRecord(action, "trainer", "", world.now, state, generation))


def test_the_next_trainer_withdraws_what_was_left_out(world) -> None:
    leave_a_canary_out(world)
    world.trying_service().recover("the trainer that watched it is gone")
    assert (world.state.champion, world.state.canary) == ("g1", None)
    assert world.last.action is Action.ABANDON
    world.trying_service().recover("again")
    assert world.last.reason == "the trainer that watched it is gone"


def test_another_candidate_does_not_meet_an_old_canary(world) -> None:
    leave_a_canary_out(world, "g9")
    assert world.publish("g2").outcome is Outcome.ACTIVATED
    assert (Action.ABANDON, "g9") in world.actions()


def test_a_pinned_champion_gets_no_canary(world) -> None:
    world.service("ana").pin("a launch")
    assert world.publish("g2").outcome is Outcome.HELD
    assert Action.CANARY not in [action for action, _ in world.actions()]


# -- through the release line: a trainer that is stopped, and one that starts ------------


def outgoing(world) -> PendingRelease:
    sealed = Sealed(draft(generation="g2"), "digest")
    candidate = Candidate(2, None, Ledger(), 0, world.now)
    return PendingRelease(sealed, world.finished, candidate, "gate passed", accepted=True)


def test_a_trainer_that_is_stopped_withdraws_its_canary(world) -> None:
    stop = threading.Event()

    def sleep(seconds: float) -> None:
        world.sleep(seconds)
        if world.state.canary is not None:
            stop.set()
            raise Unavailable("stopping")

    rollout = CanaryRollout(world, world.fleet, world, sleep, CanaryRolloutRules(0.2))
    service = ReleaseService(
        world.shared.reader(), world.fleet, world.store, world, "trainer",
        sleep=sleep, rollout=rollout,
    )  # fmt: skip
    with ThreadPoolExecutor(1) as executor:
        ReleaseQueue(service, world.store, executor, stop).submit(outgoing(world))
    assert (world.state.champion, world.state.canary) == ("g1", None)
    assert world.last.reason == "the trainer that watched it was stopped"


def test_a_trainer_that_starts_withdraws_what_it_finds(world) -> None:
    leave_a_canary_out(world)
    with ThreadPoolExecutor(1) as executor:
        ReleaseQueue(world.trying_service(), world.store, executor).recover()
    assert world.state.canary is None
    assert world.last.reason == "the trainer that watched it is gone"
