"""The propensity that is logged is the probability with which it happens."""

from __future__ import annotations

from collections import Counter

import pytest

from streamrec.tasks.ranking.lists.exploration import Exploration, last_slot


@pytest.mark.parametrize(
    ("share", "shortlist", "k", "ranked"),
    [(0.3, 5, 3, 20), (0.5, 4, 3, 5), (1.0, 8, 10, 40), (0.2, 6, 1, 6)],
)
def test_propensities_are_frequencies(share: float, shortlist: int, k: int, ranked: int) -> None:
    rule, lists = Exploration(share, shortlist), 20_000
    shown: Counter[int] = Counter()
    said: dict[int, float] = {}
    for n in range(lists):
        rank, propensity = last_slot(rule, f"user-update:0-{n}", k, ranked)
        shown[rank] += 1
        assert said.setdefault(rank, propensity) == propensity
    assert sum(said.values()) == pytest.approx(1.0), "every item that can be shown was"
    assert sorted(said) == list(range(k - 1, k - 1 + min(shortlist, ranked - k + 1)))
    for rank, propensity in said.items():
        noise = 5 * (propensity * (1 - propensity) / lists) ** 0.5
        assert abs(shown[rank] / lists - propensity) <= noise


def test_the_same_recommendation_is_the_same_draw() -> None:
    rule = Exploration(0.5, 10)
    drawn = [last_slot(rule, f"request:{n}", 5, 50) for n in range(100)]
    assert drawn == [last_slot(rule, f"request:{n}", 5, 50) for n in range(100)]
    assert len({rank for rank, _ in drawn}) > 5


@pytest.mark.parametrize("rule", [Exploration(0.0, 10), Exploration(0.5, 1)])
def test_without_exploration_the_best_are_shown_for_sure(rule: Exploration) -> None:
    assert last_slot(rule, "request:1", 3, 50) == (2, 1.0)


def test_nothing_is_drawn_where_there_is_nothing_to_choose_from() -> None:
    assert last_slot(Exploration(1.0, 10), "request:1", 3, 3) == (2, 1.0)
