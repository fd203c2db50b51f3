"""A champion clicked less than the one before is undone; a pin and a canary are left alone."""

from __future__ import annotations

import pytest

from streamrec.core.release import transitions
from streamrec.core.release.canary import Canary
from streamrec.core.release.registry import Pin, RegistryState
from streamrec.core.release.sequential_test import Rate, TestRules
from streamrec.loop.releasing.fleet_watch import SwapReport
from streamrec.loop.releasing.guard import CLICK_ACTOR, ClickGuard
from tests.fakes.clock import FakeClock

GOOD = Rate(400, 200, 60, 0.5, 0.0009)
WORSE = Rate(400, 40, 60, 0.1, 0.0004)
ALIKE = Rate(400, 190, 60, 0.475, 0.0009)


class World:
    def __init__(self) -> None:
        self.state = transitions.activate(RegistryState(), "g1")
        self.rates = {"g1": GOOD, "g2": WORSE}
        self.clock = FakeClock()
        self.undone: list[str] = []
        self.guard = ClickGuard(
            lambda: self.state,
            self.roll_back,
            lambda name: self.rates.get(name, Rate()),
            self.clock,
            TestRules(harm=0.3),
            watch_s=100,
        )

    def roll_back(self, reason: str, to: str) -> SwapReport:
        self.undone.append(reason)
        self.state = transitions.rollback(self.state, Pin(CLICK_ACTOR, reason, 0), to)
        return SwapReport(self.state.champion or "")

    def activate(self, generation: str) -> None:
        self.guard.look()
        self.state = transitions.activate(self.state, generation)


@pytest.fixture
def world() -> World:
    return World()


def test_who_is_clicked_less_is_undone_once_and_pinned(world: World) -> None:
    world.activate("g2")
    for _ in range(3):
        world.guard.look()
    assert len(world.undone) == 1
    assert "clicked 0.100 of 400 lists" in world.undone[0]
    assert world.state.champion == "g1"


def test_who_is_clicked_about_as_often_stays(world: World) -> None:
    world.rates["g2"] = ALIKE
    world.activate("g2")
    world.guard.look()
    assert world.undone == []


def test_who_follows_a_champion_of_a_moment_is_compared_with_the_one_before(world: World) -> None:
    world.rates["g3"] = WORSE
    world.rates["g2"] = Rate(3, 1, 3, 0.33, 0.1)
    world.activate("g2")
    world.activate("g3")
    world.guard.look()
    assert len(world.undone) == 1


def test_who_replaced_a_champion_that_no_look_saw_is_watched_too(world: World) -> None:
    world.rates |= {"g2": Rate(), "g3": WORSE}
    world.activate("g2")
    world.state = transitions.activate(world.state, "g3")
    world.guard.look()
    assert len(world.undone) == 1
    world.guard.look()
    assert len(world.undone) == 1


def test_a_champion_found_at_the_start_has_nothing_to_be_compared_with(world: World) -> None:
    world.state = transitions.activate(world.state, "g2")
    world.guard.look()
    assert world.undone == []


def test_a_pin_is_somebodys_decision_and_a_canary_has_its_own_watch(world: World) -> None:
    world.activate("g2")
    world.state = transitions.pin(world.state, Pin("anna", "I want it", 0))
    world.guard.look()
    world.state = transitions.unpin(world.state)
    world.state = transitions.stage(world.state, "g3")
    world.state = transitions.try_out(world.state, Canary("g3", 0.1, "g3", 0))
    world.guard.look()
    assert world.undone == []


def test_it_is_watched_for_a_while_only(world: World) -> None:
    world.rates["g2"] = ALIKE
    world.activate("g2")
    world.guard.look()
    world.clock.pass_ms(101_000)
    world.rates["g2"] = WORSE
    world.guard.look()
    assert world.undone == []
