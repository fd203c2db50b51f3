"""Which events count for which list, and when."""

from __future__ import annotations

import pytest

from streamrec.core.events import Interaction, Kind, Recommendation, RecommendedItem, Trigger
from streamrec.core.release.live_metric import JoinRules, LiveMetric

WINDOW = 1000


def a_list(name: str, user: str = "ann", generation: str = "g1", **changes) -> Recommendation:
    items = changes.get("items", (RecommendedItem("a", 0.5), RecommendedItem("b", 0.4)))
    return Recommendation(
        name, user, items, generation, {}, Trigger.REQUEST, name, 0, 0, 0, worker_id="s1"
    )


def event(name: str | None, user: str = "ann", item: str = "a", kind=Kind.CLICK) -> Interaction:
    return Interaction("e", user, item, kind, 0, recommendation_id=name)


@pytest.fixture
def metric() -> LiveMetric:
    return LiveMetric(JoinRules(window_ms=WINDOW))


def counts(metric: LiveMetric, generation: str = "g1") -> tuple[int, int, int]:
    total = dict(metric.totals())[generation]
    return total.lists, total.shown, total.clicked


def test_a_list_counts_when_its_window_is_over(metric) -> None:
    metric.recommended(a_list("r1"), 100)
    metric.happened(event("r1"), 400)
    metric.advance(100 + WINDOW)
    assert list(metric.totals()) == []
    metric.advance(101 + WINDOW)
    assert counts(metric) == (1, 1, 1)


def test_views_show_and_clicks_count_once(metric) -> None:
    metric.recommended(a_list("r1"), 100)
    metric.recommended(a_list("r2"), 100)
    metric.recommended(a_list("r3"), 100)
    metric.happened(event("r1", kind=Kind.VIEW), 200)
    metric.happened(event("r2"), 300)
    metric.happened(event("r2", item="b"), 310)
    metric.happened(event("r2"), 320)
    metric.advance(5000)
    assert counts(metric) == (3, 2, 1)


@pytest.mark.parametrize(
    ("wrong", "at_ms"),
    [
        (event("r1", user="bob"), 200),
        (event("r1", item="z"), 200),
        (event("r1"), 101 + WINDOW),
        (event("r9"), 200),
    ],
)
def test_an_event_that_is_not_the_lists_counts_nowhere(metric, wrong, at_ms: int) -> None:
    metric.recommended(a_list("r1"), 100)
    metric.happened(wrong, at_ms)
    metric.advance(9000)
    assert counts(metric) == (1, 0, 0)
    assert metric.foreign == 1


def test_an_event_without_a_list_is_nobodys_business(metric) -> None:
    metric.happened(event(None), 100)
    metric.advance(9000)
    assert metric.foreign == 0


def test_an_event_that_is_read_before_its_list_counts(metric) -> None:
    metric.happened(event("r1"), 130)
    metric.recommended(a_list("r1"), 100)
    metric.advance(9000)
    assert counts(metric) == (1, 1, 1)


def test_a_repeated_list_counts_once(metric) -> None:
    metric.recommended(a_list("r1"), 100)
    metric.happened(event("r1"), 150)
    metric.recommended(a_list("r1"), 160)
    metric.advance(9000)
    assert counts(metric) == (1, 1, 1)


def test_a_comparison_starts_with_lists_made_since(metric) -> None:
    for n in range(4):
        metric.recommended(a_list(f"old{n}", user=f"u{n}"), 100)
    metric.begin(500)
    for n in range(6):
        metric.recommended(a_list(f"new{n}", user=f"u{n}"), 500 + n)
        metric.recommended(a_list(f"can{n}", user=f"v{n}", generation="g2"), 500 + n)
        metric.happened(event(f"new{n}", user=f"u{n}"), 600)
    metric.advance(9000)
    assert counts(metric) == (10, 6, 6)
    champion, canary = metric.rate("g1"), metric.rate("g2")
    assert (champion.lists, champion.users, champion.mean) == (6, 6, 1.0)
    assert (canary.lists, canary.users, canary.mean) == (6, 6, 0.0)
    metric.begin(9000)
    assert metric.rate("g1").lists == 0


def test_a_bot_with_a_thousand_lists_weighs_as_much_as_the_cap() -> None:
    metric = LiveMetric(JoinRules(window_ms=WINDOW, user_lists=3))
    for n in range(1000):
        metric.recommended(a_list(f"bot{n}", user="bot"), 100)
        metric.happened(event(f"bot{n}", user="bot"), 110)
    for n in range(3):
        metric.recommended(a_list(f"r{n}", user=f"u{n}"), 100)
    metric.advance(9000)
    assert metric.rate("g1").mean == pytest.approx(3 / 6)


def test_only_seen_lists_count_when_that_is_wanted() -> None:
    metric = LiveMetric(JoinRules(window_ms=WINDOW, shown_only=True))
    for n in range(10):
        metric.recommended(a_list(f"r{n}", user=f"u{n}"), 100)
    metric.happened(event("r1", user="u1", kind=Kind.VIEW), 120)
    metric.happened(event("r2", user="u2"), 120)
    metric.advance(9000)
    assert metric.rate("g1").lists == 2
    assert metric.rate("g1").mean == 0.5


def test_memory_is_bounded() -> None:
    metric = LiveMetric(JoinRules(window_ms=WINDOW, max_open=10))
    for n in range(50):
        metric.recommended(a_list(f"r{n}"), 100)
        metric.happened(event(f"unknown{n}"), 100)
    metric.advance(9000)
    assert counts(metric)[0] == 10
    assert (metric.dropped, metric.foreign) == (40, 50)


def test_explored_lists_are_known_by_their_items(metric) -> None:
    ranked = (RecommendedItem("a", 0.5), RecommendedItem("b", 0.4, propensity=0.8))
    drawn = (RecommendedItem("a", 0.5), RecommendedItem("c", 0.1, 0.2, "explore"))
    metric.recommended(a_list("r1", items=ranked), 100)
    metric.recommended(a_list("r2", items=drawn), 100)
    metric.happened(event("r1"), 110)
    metric.advance(9000)
    total = dict(metric.totals())["g1"]
    assert (total.explored, total.greedy.lists, total.greedy.value) == (1, 2, 1.0)
    assert total.greedy.effective == pytest.approx(1.0)
