"""Following lists and what users do with them, through the trainer's report."""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest

from streamrec.core.events import Interaction, Kind, Recommendation, RecommendedItem, Trigger
from streamrec.core.release.canary import Canary
from streamrec.core.release.live_metric import JoinRules, LiveMetric
from streamrec.core.release.live_report import LiveReport
from streamrec.core.release.registry import RegistryState
from streamrec.core.release.sequential_test import TestRules
from streamrec.errors import Malformed
from streamrec.loop.releasing.live_watch import LiveWatch
from streamrec.loop.releasing.outcomes import AT_ONCE, GRACE_MS, Outcomes
from tests.fakes.clock import FakeClock


class Message(NamedTuple):
    timestamp_ms: int
    value: object


class FakeStream:
    def __init__(self) -> None:
        self.messages: list[Message] = []

    def poll(self, timeout_s: float, limit: int) -> list[Message]:
        handed, self.messages = self.messages[:limit], self.messages[limit:]
        return handed


class World:
    def __init__(self) -> None:
        self.stream, self.clock = FakeStream(), FakeClock()
        metric = LiveMetric(JoinRules(window_ms=1000))
        self.outcomes = Outcomes(self.stream.poll, metric, self.clock)

    def a_list(self, name: str, user: str, generation: str) -> None:
        items = (RecommendedItem("a", 0.5),)
        value = Recommendation(
            name, user, items, generation, {}, Trigger.REQUEST, name, 0, 0, 0, "s1"
        )
        self.stream.messages.append(Message(self.clock.now_ms(), value))

    def click(self, name: str, user: str, after_ms: int = 10) -> None:
        value = Interaction("e", user, "a", Kind.CLICK, 0, recommendation_id=name)
        self.stream.messages.append(Message(self.clock.now_ms() + after_ms, value))


@pytest.fixture
def world() -> World:
    return World()


def test_lists_and_clicks_are_joined_whatever_order_they_are_read_in(world) -> None:
    world.click("r1", "u1")
    world.a_list("r1", "u1", "g1")
    world.a_list("r2", "u2", "g1")
    world.stream.messages.append(Message(world.clock.now_ms(), Malformed("no event")))
    world.outcomes.listen()
    world.clock.pass_ms(1001 + GRACE_MS)
    world.outcomes.listen()
    (name, total), *rest = world.outcomes.totals()
    assert (name, total.lists, total.clicked, rest) == ("g1", 2, 1, [])


def test_lists_stay_open_while_there_is_more_to_read(world) -> None:
    world.a_list("r1", "u1", "g1")
    for n in range(AT_ONCE):
        world.click(f"other{n}", "u2")
    world.click("r1", "u1")
    world.clock.pass_ms(60_000)
    world.outcomes.listen()
    assert world.outcomes.totals() == []
    world.outcomes.listen()
    assert world.outcomes.totals()[0][1].clicked == 1


def test_the_report_says_how_canary_and_champion_do(world) -> None:
    world.outcomes.begin(world.clock.now_ms())
    canary = Canary("g2", 0.3, "g2", world.clock.now_ms())
    for n in range(300):
        generation = "g2" if canary.gets(f"u{n}") else "g1"
        world.a_list(f"r{n}", f"u{n}", generation)
        if generation == "g1":
            world.click(f"r{n}", f"u{n}")
    world.outcomes.listen()
    world.clock.pass_ms(1001 + GRACE_MS)
    world.outcomes.listen()
    put: list[LiveReport] = []

    state = RegistryState(1, "g1", canary=canary)
    LiveWatch(world.outcomes, lambda: state, put.append, world.clock, TestRules()).report()
    (report,) = put
    assert report.trial.verdict == "harm"
    assert (report.trial.canary, report.trial.difference) == ("g2", -1.0)
    assert {one.generation: one.rate for one in report.generations} == {"g1": 1.0, "g2": 0.0}
    assert LiveReport.from_record(json.loads(json.dumps(report.to_record()))) == report
