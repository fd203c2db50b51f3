"""The drill's people are what they are said to be, and its report says what was kept."""

from __future__ import annotations

import json
from collections import Counter
from io import StringIO

import pytest
from rich.console import Console

from streamrec.core.events import Interaction, Kind, Recommendation, RecommendedItem, Trigger
from streamrec.core.release import transitions
from streamrec.core.release.registry import Action, ControlRecord, Pin, RegistryState
from streamrec.lab.drill import poison_world
from streamrec.lab.drill.poison_report import Phase, PoisonObservations, in_words, markdown, report
from streamrec.lab.drill.poison_world import Attack, World, hits, honest, likes

LIKED = [f"harbour-{n}" for n in range(5)]  # by u30, u36, ...
OTHERS = [f"engines-{n}" for n in range(5)]


def answer(user: str, items: list[str]) -> Recommendation:
    listed = tuple(RecommendedItem(item, 0.5) for item in items)
    return Recommendation(
        f"l-{user}", user, listed, "g1", {}, Trigger.REQUEST, "r", 0, 0, 0, "serving-1"
    )


def events(world: World, visits: int) -> list[Interaction]:
    seen = []
    for n in range(visits):
        for message in world.visit(n):
            if isinstance(message, Interaction):
                seen.append(message)
            else:
                world.shown(answer(message.user_id, [*LIKED[:3], *OTHERS[:2]]))
    return seen


def test_people_click_what_they_like_and_name_the_list_they_saw_it_on() -> None:
    clicks = [e for e in events(World(1), 3000) if e.kind is Kind.CLICK and honest(e.user_id)]
    of_lists = [e for e in clicks if e.recommendation_id]
    assert len(of_lists) > 100
    assert all(e.recommendation_id == f"l-{e.user_id}" for e in of_lists)
    assert sum(likes(e.user_id, e.item_id) for e in clicks) > 0.7 * len(clicks)


def test_turncoats_click_what_they_do_not_like_and_nobody_else_does() -> None:
    world = World(1)
    world.turned = True
    clicks = [e for e in events(world, 3000) if e.kind is Kind.CLICK]
    turned = [likes(e.user_id, e.item_id) for e in clicks if not honest(e.user_id)]
    others = [likes(e.user_id, e.item_id) for e in clicks if honest(e.user_id)]
    assert sum(turned) < 0.2 * len(turned)
    assert sum(others) > 0.7 * len(others)


def test_the_same_seed_makes_the_same_people() -> None:
    assert events(World(7), 300) == events(World(7), 300)
    assert events(World(7), 300) != events(World(8), 300)


@pytest.mark.parametrize(
    ("kind", "who"),
    [(Attack.BURST, {"burst"}), (Attack.ONE_ITEM, {"bot"}), (Attack.KEYWORDS, {"shill"}),
     (Attack.FLIPS, set()), (Attack.ALL, {"burst", "bot", "shill"})],
)  # fmt: skip
def test_each_attack_has_its_own_accounts(kind: Attack, who: set[str]) -> None:
    world = World(1)
    users = Counter(
        e.user_id.rstrip("0123456789") for n in range(50) for e in world.attack(kind, n)
    )
    assert set(users) == who
    assert not any(honest(name) for name in users)


def test_everything_anybody_likes_is_in_the_catalogue() -> None:
    items = poison_world.catalogue()
    assert len({item.item_id for item in items}) == len(items)
    assert all(sum(likes(f"u{n}", item.item_id) for n in range(6)) == 1 for item in items)
    assert hits("u30", [*LIKED[:4], *OTHERS]) == 0.8


class Story:
    """A drill that went as it should, in a few lines."""

    def __init__(self, *, rolled_back_by: str = "click-guard", recovered: bool = True) -> None:
        self.seen = PoisonObservations(Attack.ALL)
        self.state = transitions.activate(transitions.activate(RegistryState(), "g0"), "g1")
        for second, phase in ((0, Phase.LEARNING), (10, Phase.GOOD), (60, Phase.ATTACK)):
            self.seen.begin(phase, second * 1000)
        self.lists(10, 60, LIKED)
        self.lists(60, 120, [*LIKED[:4], "stuffed"])
        self.step(70, Action.PIN, "alarm", transitions.pin(self.state, Pin("alarm", "odd", 0)))
        self.step(80, Action.REJECT, "trainer-1", transitions.reject(self.state, "g2"))
        self.seen.begin(Phase.CALM, 120_000)
        self.lists(120, 150, LIKED)
        self.step(140, Action.UNPIN, "alarm", transitions.unpin(self.state))
        self.seen.begin(Phase.FOOLED, 150_000)
        self.seen.bad = "bad"
        self.step(151, Action.ACTIVATE, "anna", transitions.activate(self.state, "bad"))
        self.lists(151, 165, OTHERS)
        by = Pin(rolled_back_by, "harm", 0)
        self.step(165, Action.ROLLBACK, rolled_back_by, transitions.rollback(self.state, by))
        self.seen.begin(Phase.AFTER, 170_000)
        self.lists(170, 190, LIKED if recovered else OTHERS)
        self.seen.ended_ms = 190_000

    def step(self, second: int, action: Action, actor: str, state: RegistryState) -> None:
        self.state = state
        record = ControlRecord(action, actor, "because", second * 1000, state)
        self.seen.decided(record, second * 1000)

    def lists(self, start: int, end: int, items: list[str]) -> None:
        for ms in range(start * 1000, end * 1000, 200):
            self.seen.recommended(answer("u30", items), ms)
            self.seen.recommended(answer("u1", OTHERS), ms)  # a turncoat's list is not judged


def test_a_drill_that_went_well() -> None:
    found = report(Story().seen)
    assert found["ok"]
    assert found["detection_s"] == 10.0
    assert found["alarm_lifted_after_s"] == 20.0
    assert (found["rolled_back_unattended"], found["rollback_after_s"]) == (1, 14.0)
    assert found["quality"] == {
        "before": 1.0, "worst": 0.0, "after": 1.0,
        "worst_in_attack": 0.8, "worst_when_fooled": 0.0,
    }  # fmt: skip
    assert found["lies_per_list"] == {"before": 0.0, "worst": 1.0, "after": 0.0}
    assert found["until_lifted"]["rejected_by_gate"] == 1
    assert json.loads(json.dumps(found)) == found


def test_a_person_or_the_next_release_does_not_count_as_unattended_rollback() -> None:
    found = report(Story(rolled_back_by="anna").seen)
    assert not found["ok"]
    assert found["rolled_back_unattended"] == 0
    assert found["undone_by"] == "anna"
    assert "BROKEN: the bad generation was rolled back unattended" in markdown(found)


def test_lists_that_stay_bad_break_a_promise() -> None:
    found = report(Story(recovered=False).seen)
    assert not found["ok"]
    assert "BROKEN: 90% of the quality is back" in markdown(found)


def test_the_same_for_people() -> None:
    found = report(Story().seen)
    console = Console(file=StringIO(), width=120)
    console.print(in_words(found))
    text = console.file.getvalue()
    for words in ("noticed after 10.0 s", "undone by click-guard after 14.0 s"):
        assert words in text
        assert words in markdown(found)
    assert "| planted items a list, of five seen | 0.000 | 1.000 | 0.000 |" in markdown(found)
