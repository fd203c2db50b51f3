"""benchmarks/newsroom.py: a day made from headline tests is drawn from its seed alone."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from benchmarks.newsroom import LIFE_S, Newsroom, Size, newsroom

Record = dict[str, Any]
SIZE = Size(users=30, articles=300, impressions=120)
WORDS = ["sea", "tax", "cat", "war", "oil", "dog", "map", "law", "ice", "jam", "fog", "bus"]


def headline_tests() -> list[Record]:
    """Of three headlines each, the third clicked ten times as often as the first."""
    rng, found = np.random.default_rng(0), []
    for n in range(140):
        subject = " ".join(rng.choice(WORDS, 3))
        arms = [(f"{subject} number {n}{letter}", 30 * 10**i) for i, letter in enumerate("abc")]
        found.append(
            {"variants": [{"title": t, "clicks": c, "impressions": 30_000} for t, c in arms]}
        )
    return found


@pytest.fixture(scope="module")
def day() -> tuple[list[Record], list[Record]]:
    return newsroom(headline_tests(), SIZE, seed=3)


def test_the_same_seed_makes_the_same_day_and_another_makes_another(
    day: tuple[list[Record], list[Record]],
) -> None:
    assert newsroom(headline_tests(), SIZE, seed=3) == day
    assert newsroom(headline_tests(), SIZE, seed=4)[1] != day[1]


def test_events_are_in_order_and_a_click_follows_the_view_it_belongs_to(
    day: tuple[list[Record], list[Record]],
) -> None:
    items, events = day
    times = [event["occurred_at"] for event in events]
    assert times == sorted(times)
    assert {event["item_id"] for event in events} <= {item["item_id"] for item in items}
    seen: dict[str, set[str]] = defaultdict(set)
    for event in events:
        if event["kind"] == "view":
            seen[event["impression_id"]].add(event["item_id"])
        elif "impression_id" in event:
            assert event["item_id"] in seen[event["impression_id"]]
    assert len(seen) == SIZE.impressions


def test_articles_are_shown_within_their_life_only(day: tuple[list[Record], list[Record]]) -> None:
    shown_at: dict[str, list[int]] = defaultdict(list)
    for event in day[1]:
        if event["kind"] == "view":
            shown_at[event["item_id"]].append(event["occurred_at"])
    assert max(max(times) - min(times) for times in shown_at.values()) <= LIFE_S


def test_what_was_clicked_more_in_its_test_is_clicked_more_here() -> None:
    items, events = newsroom(
        headline_tests(), Size(users=30, articles=300, impressions=400), seed=0
    )
    letter = {item["item_id"]: item["title"][-1] for item in items}
    shown = [event for event in events if "impression_id" in event]
    rates = {
        wording: np.mean([e["kind"] == "click" for e in shown if letter[e["item_id"]] == wording])
        for wording in "abc"
    }
    assert rates["a"] < rates["b"] < rates["c"]


def test_direct_reads_are_clicks_outside_lists_on_articles_that_are_live() -> None:
    size = Size(users=30, articles=300, impressions=120, direct=1.0)
    _, events = newsroom(headline_tests(), size, seed=0)
    direct = [event for event in events if event["event_id"].startswith("d")]
    shown = {event["item_id"] for event in events if event["kind"] == "view"}
    assert len(direct) == size.impressions
    assert all(event["kind"] == "click" and "impression_id" not in event for event in direct)
    assert len({event["item_id"] for event in direct} - shown) <= 5


def test_more_articles_than_headlines_are_refused() -> None:
    with pytest.raises(ValueError, match="500 articles are asked of 420"):
        Newsroom(headline_tests(), Size(articles=500), 0)
