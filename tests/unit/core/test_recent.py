"""Rates, latency, freshness and hit rate by short intervals, forgotten in the end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamrec.core.events import Interaction, Kind, RecommendedItem, Trigger
from streamrec.core.measures.recent import STEP_MS, STEPS, RecentLoop
from tests.unit.lab.test_loop_watch import recommendation

START_MS = 1_772_000_000_000


def shown(user: str, *items: str, at_ms: int, trigger: Trigger = Trigger.USER_UPDATE):
    made = recommendation("g1", at_ms)
    ranked = tuple(RecommendedItem(item, 0.5) for item in items)
    return replace(made, user_id=user, items=ranked, trigger=trigger)


def click(user: str, item: str) -> Interaction:
    return Interaction(f"{user}-{item}", user, item, Kind.CLICK, 0)


@pytest.fixture
def watched() -> RecentLoop:
    """Ten clicks of others on p, then a list for ann, who clicks on what it has and what not."""
    loop = RecentLoop()
    for n in range(10):
        loop.happened(click(f"u{n}", "p"), 0, n, START_MS)
    loop.recommended(shown("ann", "a", "b", at_ms=START_MS + 100), START_MS + 100)
    loop.happened(click("ann", "a"), 0, 10, START_MS + 200)
    loop.happened(click("ann", "p"), 0, 11, START_MS + 300)
    return loop


def test_clicks_are_scored_by_the_list_and_by_what_is_popular(watched: RecentLoop) -> None:
    now = watched.now(START_MS + STEP_MS)
    assert (now["clicks"], now["hits"], now["popular_hits"]) == (2, 1, 1)
    assert now["latency_ms"] == {"p50": 40, "p95": 40}


def test_a_list_that_was_asked_for_is_not_scored() -> None:
    loop = RecentLoop()
    asked = shown("ann", "a", at_ms=START_MS, trigger=Trigger.REQUEST)
    loop.recommended(asked, START_MS)
    loop.happened(click("ann", "a"), 0, 0, START_MS + 1)
    assert loop.now(START_MS + STEP_MS)["clicks"] == 0


def test_freshness_is_told_when_a_champion_has_learned_the_click(watched: RecentLoop) -> None:
    watched.champion(START_MS + 2_000, {"0": 10})
    now = watched.now(START_MS + STEP_MS)
    assert now["freshness_s"]["p50"] == 2.0
    watched.champion(START_MS + STEP_MS, {"0": 12})
    late = watched.series(START_MS + 2 * STEP_MS)[-1]
    assert late["freshness_s"]["p95"] < STEP_MS / 1000, "ten of the twelve were told before"


def test_rates_are_of_the_time_there_was(watched: RecentLoop) -> None:
    watched.counted(START_MS, events=50, lists=5)
    watched.counted(START_MS + STEP_MS, events=100, lists=20)
    series = watched.series(START_MS + 2 * STEP_MS)
    assert [point["events_per_s"] for point in series] == [10.0, 20.0]
    assert series[0]["at_ms"] == START_MS
    assert watched.now(START_MS + 2 * STEP_MS)["lists_per_s"] == 2.5


def test_silence_is_a_rate_of_nothing_and_the_step_that_goes_on_is_not_told(watched) -> None:
    watched.counted(START_MS, events=50)
    watched.counted(START_MS + 3 * STEP_MS, events=7)
    rates = [point["events_per_s"] for point in watched.series(START_MS + 3 * STEP_MS + 10)]
    assert rates == [10.0, 0.0, 0.0]
    assert RecentLoop().series(START_MS) == []
    assert RecentLoop().now(START_MS)["events_per_s"] == 0.0


def test_a_quarter_of_an_hour_is_remembered_and_what_is_older_counts_nowhere(watched) -> None:
    for step in range(2 * STEPS):
        watched.counted(START_MS + step * STEP_MS, events=5)
    watched.counted(START_MS, events=1_000)
    series = watched.series(START_MS + 2 * STEPS * STEP_MS)
    assert len(series) == STEPS
    assert {point["events_per_s"] for point in series} == {1.0}


def test_clocks_that_disagree_are_no_latency() -> None:
    loop = RecentLoop()
    ahead = replace(shown("ann", "a", at_ms=START_MS), triggered_at_ms=START_MS + 60_000)
    loop.recommended(ahead, START_MS)
    assert loop.now(START_MS + STEP_MS)["latency_ms"]["p50"] is None
