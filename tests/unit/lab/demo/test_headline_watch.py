"""What the demo of headlines sees on the topics, and what it says of it."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from streamrec.core import topics
from streamrec.core.events import Recommendation, Trigger
from streamrec.core.release.registry import Action, ControlRecord, RegistryState
from streamrec.errors import Malformed
from streamrec.lab.demo.headline_panel import HeadlinePanel
from streamrec.lab.demo.headline_watch import HeadlineWatch, looked_into
from streamrec.lab.demo.newsroom import Newsroom
from streamrec.ports import FollowedRecord


class Topics:
    """A follower that has one poll's messages."""

    def __init__(self, *messages: tuple[str, Any]) -> None:
        self._messages = messages

    def poll(self, _timeout_s: float) -> list[FollowedRecord]:
        return [
            FollowedRecord(topic, 0, offset, 1_000 + offset, value)
            for offset, (topic, value) in enumerate(self._messages)
        ]


def watched(*messages: tuple[str, Any]) -> tuple[HeadlineWatch, list[str]]:
    answered: list[str] = []
    watch = HeadlineWatch(Topics(*messages), lambda one: answered.append(one.trigger_id))
    watch.poll(0.0)
    return watch, answered


def listed(trigger: Trigger, name: str) -> tuple[str, Recommendation]:
    made = Recommendation(name, "ann", (), "g1", {}, trigger, name, 990, 0, 0, "serving-1")
    return topics.RECOMMENDATIONS, made


def step(revision: int, action: Action, generation: str, champion: str) -> tuple[str, Any]:
    state = RegistryState(revision, champion)
    return topics.ADAPTERS, ControlRecord(action, "trainer", "why", 0, state, generation)


def test_lists_that_were_asked_for_are_handed_on_once() -> None:
    asked = listed(Trigger.REQUEST, "page-1")
    watch, answered = watched(asked, listed(Trigger.USER_UPDATE, "0-4"), asked)
    assert answered == ["page-1"]
    assert watch.latency_ms == [10]


def test_what_is_behind_is_what_nobody_has_applied() -> None:
    watch, _ = watched((topics.EVENTS, None), (topics.EVENTS, None), (topics.DEAD_LETTER, None))
    assert watch.behind == 1
    watch.applied = 1
    assert watch.behind == 0


def test_only_lists_and_steps_of_copy_are_decoded() -> None:
    assert looked_into(topics.ADAPTERS, b"copy")
    assert not looked_into(topics.ADAPTERS, b"default")
    assert looked_into(topics.RECOMMENDATIONS, b"ann")
    assert not looked_into(topics.EVENTS, b"ann")
    watch, answered = watched((topics.ADAPTERS, None), (topics.RECOMMENDATIONS, Malformed("no")))
    assert (watch.champion, answered) == (None, [])


@pytest.mark.parametrize(
    ("champion", "learned"), [("g0-aa", False), ("g1-aa", False), ("g2-bb", True)]
)
def test_a_champion_with_the_first_one_s_weights_has_learned_nothing(
    champion: str, *, learned: bool
) -> None:
    first = step(1, Action.ACTIVATE, "g0-aa", "g0-aa")
    watch, _ = watched(first, step(2, Action.ACTIVATE, champion, champion))
    assert watch.learned is learned


def test_generations_are_counted_and_shown_as_they_come() -> None:
    watch, _ = watched(
        step(1, Action.ACTIVATE, "g0-aa", "g0-aa"),
        step(2, Action.STAGE, "g1-bb", "g0-aa"),
        step(3, Action.REJECT, "g1-bb", "g0-aa"),
        step(2, Action.ACTIVATE, "g9-zz", "g9-zz"),  # somebody was first: nobody takes it
    )
    panel, line = HeadlinePanel(watch, Newsroom([])).picture(1.0)
    assert "1 candidates, 1 activated, 1 rejected; champion g0-aa" in line
    shown = StringIO()
    Console(file=shown, width=120).print(panel)
    assert "reject" in shown.getvalue()
    assert "g9-zz" not in shown.getvalue()
