"""An alarm pins, its end unpins, and nobody else's decision is touched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from streamrec.core.release import transitions
from streamrec.core.release.registry import Pin, RegistryState
from streamrec.errors import RegistryConflict, Unavailable
from streamrec.loop.training.alarm import ACTOR, PromotionAlarm
from streamrec.tasks.ranking.drift import ShiftCompared, ShiftRules, ShiftWatch

FLOOD = (ShiftCompared("top_item", 0.4, 0.02, 0.01),)


class World:
    def __init__(self) -> None:
        self.state = transitions.activate(RegistryState(), "g1")
        self.watch = ShiftWatch(ShiftRules(), lambda _: ())
        self.kept: list[Mapping[str, Any]] = []
        self.lost_race = self.down = False
        self.alarm = PromotionAlarm(self.watch, self.read, self.pin, self.unpin, self.kept.append)

    def read(self) -> RegistryState:
        if self.down:
            raise Unavailable("Kafka is away")
        return self.state

    def pin(self, reason: str) -> None:
        if self.lost_race:
            raise RegistryConflict(1, 2)
        self.state = transitions.pin(self.state, Pin(ACTOR, reason, 0))

    def unpin(self, reason: str) -> None:
        self.state = transitions.unpin(self.state)


@pytest.fixture
def world() -> World:
    return World()


def test_an_alarm_pins_with_its_numbers_and_its_end_lifts_the_pin(world: World) -> None:
    world.alarm.act()
    assert world.state.pin is None
    world.watch.alarm = FLOOD
    world.alarm.act()
    world.alarm.act()
    assert world.state.pin is not None
    assert world.state.pin.actor == ACTOR
    assert "top_item 0.400 instead of 0.020" in world.state.pin.reason
    world.watch.alarm = ()
    world.alarm.act()
    assert world.state.pin is None


def test_somebody_elses_pin_is_left_alone(world: World) -> None:
    theirs = Pin("anna", "looking into it", 0)
    world.state = transitions.pin(world.state, theirs)
    world.watch.alarm = FLOOD
    world.alarm.act()
    world.watch.alarm = ()
    world.alarm.act()
    assert world.state.pin == theirs


def test_a_pin_lifted_by_hand_makes_this_traffic_usual(world: World) -> None:
    world.watch.alarm = FLOOD
    world.alarm.act()
    world.state = transitions.unpin(world.state)
    world.alarm.act()
    assert not world.watch.alarm
    world.alarm.act()
    assert world.state.pin is None


def test_after_a_restart_the_pin_is_still_ours(world: World) -> None:
    world.watch.alarm = FLOOD
    world.alarm.act()
    again = World()
    again.state = world.state
    again.watch.alarm = FLOOD
    again.alarm.act()
    assert again.state == world.state
    again.watch.alarm = ()
    again.alarm.act()
    assert again.state.pin is None


def test_a_lost_race_and_a_broker_that_is_away_are_tried_again(world: World) -> None:
    world.watch.alarm = FLOOD
    world.lost_race = True
    world.alarm.act()
    assert world.state.pin is None
    world.lost_race, world.down = False, True
    with pytest.raises(Unavailable):
        world.alarm.act()
    world.down = False
    world.alarm.act()
    assert world.state.pin is not None


def test_the_memory_is_kept_when_a_window_ends(world: World) -> None:
    world.alarm.act()
    assert world.kept == []
    world.watch.windows += 1
    world.alarm.act()
    world.alarm.act()
    assert [record["windows"] for record in world.kept] == [1]
