"""Recorded tests played again: one after the other, clicked at their rates, worth what is said."""

from __future__ import annotations

import numpy as np
import pytest

from streamrec.core.events import Item, Kind, Recommendation, RecommendedItem, Trigger
from streamrec.lab.demo.newsroom import LATE_MS, Newsroom, NoIdea, PlayedTest, worth
from streamrec.lab.replay.headline_tests import HeadlineTest
from streamrec.tasks.copy.examples import CopyExample

VIEWS = 1_000


def recorded(name: str, *clicks: int) -> HeadlineTest:
    texts = tuple(f"{name} {arm}" for arm in range(len(clicks)))
    views_A = np.full(len(clicks), VIEWS, np.float32)
    counts_A = np.array(clicks, np.float32)
    example = CopyExample(0, 0, 0, "", 0, name, texts, views_A, counts_A)
    return HeadlineTest(name, 0.0, 1.0, example)


def answer(number: int, shown: dict[str, str | None]) -> Recommendation:
    items = tuple(RecommendedItem(item, 0.5, variant_id=arm) for item, arm in shown.items())
    return Recommendation(
        f"request:page-{number}~x", f"reader-{number}", items, "g1", {}, Trigger.REQUEST,
        f"page-{number}", 0, 0, 0, "serving-1",
    )  # fmt: skip


def ids(items: list[Item]) -> list[str]:
    return [item.item_id for item in items]


def test_a_test_ends_after_its_impressions_and_the_next_one_opens() -> None:
    tests = [recorded(name, 100, 900) for name in "abc"]
    room = Newsroom(tests, at_once=2, impressions=10)
    opened = room.turn(learned=False)
    assert ids(opened) == list(room.page) == ["story-1", "story-2"]
    assert [one.title for one in opened[0].variants] == ["a 0", "a 1"]
    for number in range(5):  # the first of two ends half-way, so that they do not end together
        room.seen(answer(number, {"story-1": "1"}), 0)
    ended, next_one = room.turn(learned=True)
    assert (ended.item_id, ended.title, ended.variants) == ("story-1", "a 1", ())
    assert next_one.item_id == "story-3"
    assert room.page == ("story-2", "story-3")
    assert room.turn(learned=True) == []
    assert [test.learned for test in room.played.values()] == [False, False, True]


def test_nothing_is_left_when_all_are_over() -> None:
    room = Newsroom([recorded("a", 1, 2)], at_once=2, impressions=2)
    room.turn(learned=False)
    room.seen(answer(1, {"story-1": "0"}), 0)
    assert ids(room.turn(learned=False)) == ["story-1"]
    assert room.page == ()


def test_people_view_what_they_were_shown_and_click_at_the_recorded_rate() -> None:
    room = Newsroom([recorded("a", 0, VIEWS), recorded("b", 500, 0)], impressions=10**6)
    room.turn(learned=False)
    never = room.seen(answer(1, {"story-1": "0", "unknown": "0", "story-2": None}), 7)
    assert [(e.item_id, e.kind, e.occurred_at_ms) for e in never] == [("story-1", Kind.VIEW, 7)]
    view, click = room.seen(answer(2, {"story-1": "1"}), 7)
    assert (view.kind, click.kind) == (Kind.VIEW, Kind.CLICK)
    assert view.event_id != click.event_id
    assert (click.user_id, click.recommendation_id) == ("reader-2", "request:page-2~x")
    sent = [room.seen(answer(n, {"story-2": "0"}), 7) for n in range(3, 2_003)]
    clicks = sum(len(events) - 1 for events in sent)
    assert clicks == pytest.approx(1_000, abs=120), "more than five standard deviations"


def test_tests_that_no_item_could_carry_are_left_out_and_counted() -> None:
    room = Newsroom([recorded("a", *[1] * 17), recorded("b", 1, 2)])
    assert ids(room.turn(learned=False)) == ["story-1"]
    assert room.left_out == 1


def test_without_a_prior_it_begins_equally_and_finds_the_better_one() -> None:
    rival = NoIdea(np.array([0.02, 0.2]), np.random.default_rng(0))
    rates = [rival.impression(10 * n) for n in range(3_000)]
    assert np.mean(rates[-500:]) > 0.19
    assert {0.02, 0.2} == set(rates[: LATE_MS // 10]), "it sees nothing that early"


def test_what_it_is_worth_is_said_in_expected_clicks() -> None:
    room = Newsroom([recorded(f"t{n}", 10, 30) for n in range(8)], impressions=400)
    room.turn(learned=False)
    assert worth(room.tests)["lift"] is None, "nothing was shown"
    for number in range(100):
        room.seen(answer(number, dict.fromkeys(room.page, "1")), 50 * number)
    found = worth(room.tests)
    assert found["lift"] == pytest.approx(0.5), "the better of .01 and .03, always"
    assert (found["tests"], found["impressions"]) == (8, sum(100 for _ in range(8)))
    part = found["prior_part"]
    assert part["mean"] == pytest.approx(found["lift"] - found["lift_without_prior"])
    assert part["low"] <= part["mean"] <= part["high"]
    assert part["mean"] > 0.1, "100 impressions of each: who begins with no idea has hardly learned"


def test_a_test_that_is_over_goes_on_with_what_was_clicked_most() -> None:
    rate_A = np.array([0.1, 0.9])
    rival = NoIdea(rate_A, np.random.default_rng(0))
    test = PlayedTest("i", ("x", "y"), rate_A, 1, rival, learned=False, clicks_A=[0, 0])
    test.seen(1, 0, clicked=True)
    assert (test.shown, test.equal, test.over) == (0.9, 0.5, True)
    assert test.item().title == "y"
