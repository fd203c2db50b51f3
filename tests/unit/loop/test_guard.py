"""A new champion that serves worse is undone; one that only inherited the trouble is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamrec.core.release import transitions
from streamrec.core.release.registry import Pin, RegistryState
from streamrec.core.release.service_levels import LevelRules
from streamrec.errors import RegistryConflict
from streamrec.loop.releasing.fleet_watch import SwapReport
from streamrec.loop.releasing.guard import Guard, GuardRules
from streamrec.ports import WorkerStatus
from tests.fakes.clock import FakeClock
from tests.fakes.fleet import FakeFleet

GOOD = {"lists": 100, "latency_p95_ms": 50.0}
EMPTY = {"lists": 100, "empty": 60, "latency_p95_ms": 50.0}
SLOW = {"lists": 100, "latency_p95_ms": 900.0}
FAILING = {"lists": 100, "faults": 100}


class World:
    def __init__(self) -> None:
        self.state = transitions.activate(RegistryState(), "g1")
        self.fleet, self.clock = FakeFleet(), FakeClock()
        self.undone: list[str] = []
        self.lost_race = False
        levels = LevelRules(max_latency_ms=300.0)
        rules = GuardRules(looks=3, watch_s=100, levels=levels)
        self.guard = Guard(lambda: self.state, self.roll_back, self.fleet, self.clock, rules)

    def roll_back(self, reason: str, to: str) -> SwapReport:
        if self.lost_race:
            raise RegistryConflict(1, 2)
        self.undone.append(reason)
        self.state = transitions.rollback(self.state, Pin("guard", reason, 0), to)
        return SwapReport(self.state.champion)

    def looks(self, count: int, **levels: dict) -> None:
        status = WorkerStatus("s1", "serving", "h", 1, 0, 0, levels=levels)
        for _ in range(count):
            self.clock.pass_ms(1000)
            self.fleet.beat(status)
            self.guard.look()

    def activate(self, generation: str) -> None:
        self.state = transitions.activate(self.state, generation)


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    ("bad", "why"),
    [(EMPTY, "empty lists: 60 of 100"), (SLOW, "within 900 ms"), (FAILING, "faults: 100 of 100")],
)
def test_a_new_breach_is_undone_after_so_many_looks(world, bad, why) -> None:
    world.looks(3, g1=GOOD)
    world.activate("g2")
    world.looks(2, g2=bad)
    assert world.undone == []
    world.looks(1, g2=bad)
    assert len(world.undone) == 1
    assert why in world.undone[0]
    assert (world.state.champion, world.state.pin.actor) == ("g1", "guard")
    world.looks(9, g1=bad)
    assert len(world.undone) == 1, "what it went back to is not undone too"


def test_who_replaced_a_champion_that_no_look_saw_is_watched_too(world) -> None:
    world.looks(3, g1=GOOD)
    world.activate("g2")
    world.activate("g3")
    world.looks(3, g3=EMPTY)
    assert len(world.undone) == 1


def test_a_breach_that_the_predecessor_had_too_is_not_its_fault(world) -> None:
    world.looks(3, g1=SLOW)
    world.activate("g2")
    world.looks(9, g2=SLOW)
    assert world.undone == []
    world.looks(3, g2=replace_levels(SLOW, empty=60))
    assert len(world.undone) == 1
    assert "latency" not in world.undone[0]


def replace_levels(levels: dict, **more: int) -> dict:
    return levels | more


def test_a_passing_hiccup_is_forgiven(world) -> None:
    world.looks(3, g1=GOOD)
    world.activate("g2")
    for _ in range(5):
        world.looks(2, g2=SLOW)
        world.looks(1, g2=GOOD)
    assert world.undone == []


def test_a_few_lists_say_nothing(world) -> None:
    world.looks(3, g1=GOOD)
    world.activate("g2")
    world.looks(9, g2={"lists": 5, "faults": 5})
    assert world.undone == []


def test_a_champion_that_was_there_before_the_guard_is_let_be(world) -> None:
    world.looks(9, g1=FAILING)
    assert world.undone == []


def test_a_champion_is_not_watched_for_ever(world) -> None:
    world.looks(3, g1=GOOD)
    world.activate("g2")
    world.looks(101, g2=GOOD)
    world.looks(9, g2=SLOW)
    assert world.undone == []


def test_a_pin_is_somebodys_decision(world) -> None:
    world.looks(3, g1=GOOD)
    world.activate("g2")
    world.state = replace(world.state, pin=Pin("ana", "I know", 0))
    world.looks(9, g2=FAILING)
    assert world.undone == []


def test_a_rollback_by_a_person_is_not_undone(world) -> None:
    world.looks(3, g1=GOOD)
    world.activate("g2")
    world.looks(2, g2=GOOD)
    world.state = transitions.unpin(transitions.rollback(world.state, Pin("ana", "", 0)))
    world.looks(9, g1=FAILING)
    assert world.undone == []


def test_a_lost_race_is_looked_at_anew(world) -> None:
    world.looks(3, g1=GOOD)
    world.activate("g2")
    world.lost_race = True
    world.looks(3, g2=FAILING)
    world.lost_race = False
    world.looks(3, g2=FAILING)
    assert len(world.undone) == 1
