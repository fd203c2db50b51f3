"""What a user asked in words: remembered, bounded, forgotten, and led by."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from streamrec.core.events import Interaction, Item, Kind
from streamrec.core.examples import Example
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.fold import Located
from streamrec.core.state.statistics import Statistics
from streamrec.core.state.user_state import (
    LEADS_MS,
    NEW_USER,
    SEARCH_CHARS,
    SEARCHES,
    Search,
    UserState,
)
from streamrec.core.tasks import RANKING
from streamrec.tasks.ranking.example_maker import RankingRules, ranking_fold
from streamrec.tasks.ranking.examples import RankingExample, from_fields, to_fields

WINDOW_MS = 1_000


def event(kind: Kind, at_ms: int, item: str = "", **more: str) -> Interaction:
    return Interaction(f"{kind}-{item}-{at_ms}", "ann", item, kind, at_ms, **more)


def search(query: str, at_ms: int) -> Interaction:
    return event(Kind.SEARCH, at_ms, query=query)


class Folded:
    """One user's events, and the examples that came of them."""

    def __init__(self, *events: Interaction) -> None:
        catalogue = Catalogue()
        catalogue.put([Item(f"i{n}", f"Item {n}") for n in range(20)])
        rules = RankingRules(1, attribution_window_ms=WINDOW_MS, sampled_negatives=5)
        fold = ranking_fold(0, rules, catalogue, Statistics(catalogue))
        self.examples: list[Example] = []
        for offset, one in enumerate(events):
            run = [Located(offset, one.occurred_at_ms, one)]
            fold.put_users(dict.fromkeys(fold.missing_users(run)))
            self.examples += fold.apply(run, now_ms=0).examples[RANKING]
        self.user: UserState = fold.user("ann")

    @property
    def queries(self) -> list[str]:
        return [one.query for one in self.examples if isinstance(one, RankingExample)]


def test_the_last_searches_stay_in_order_of_time_and_each_once() -> None:
    asked = [search(f"q{n}", 100 * n) for n in range(1, SEARCHES + 4)]
    user = Folded(*asked, search("q9", 5_000), search("late", 4_000)).user
    assert [one.query for one in user.searches[-2:]] == ["late", "q9"]
    assert len(user.searches) == SEARCHES
    assert sum(one.query == "q9" for one in user.searches) == 1


def test_of_a_long_one_the_end_is_kept() -> None:
    [kept] = Folded(search("x" * SEARCH_CHARS + " bees", 1)).user.searches
    assert len(kept.query) == SEARCH_CHARS
    assert kept.query.endswith(" bees")


def test_they_outlive_a_takeover_and_cost_nothing_where_there_are_none() -> None:
    user = Folded(search("bees", 100)).user
    record = json.loads(json.dumps(user.to_record()))
    assert UserState.from_record(record) == user
    assert user.searches == (Search(100, "bees"),)
    assert "q" not in NEW_USER.to_record()


def test_they_are_forgotten_with_their_user() -> None:
    assert Folded(search("bees", 100), event(Kind.FORGET, 200)).user == NEW_USER


def test_a_click_carries_its_own_words_or_those_of_a_search_shortly_before() -> None:
    folded = Folded(
        event(Kind.CLICK, 50, "i1"),
        search("bees", 100),
        event(Kind.CLICK, 200, "i2"),
        event(Kind.CLICK, 300, "i3", query="a quiet film"),
        event(Kind.CLICK, 101 + LEADS_MS, "i4"),
    )
    assert folded.queries == ["", "bees", "a quiet film", ""]


def test_an_impression_carries_the_words_it_was_opened_with() -> None:
    shown = [event(Kind.VIEW, 100 + n, f"i{n}", impression_id="p", query="bees") for n in (1, 2)]
    clicked = event(Kind.CLICK, 150, "i2", impression_id="p")
    folded = Folded(*shown, clicked, event(Kind.VIEW, 9_000, "i9"))
    assert folded.queries == ["bees"]
    [example] = folded.examples
    assert example.labels_C.tolist() == [0.0, 1.0]


def test_a_click_tells_the_words_that_its_views_did_not() -> None:
    shown = event(Kind.VIEW, 100, "i1", impression_id="p")
    clicked = event(Kind.CLICK, 150, "i1", impression_id="p", query="bees")
    assert Folded(shown, clicked, event(Kind.VIEW, 9_000, "i9")).queries == ["bees"]


def test_words_wait_with_their_view_across_a_takeover() -> None:
    user = Folded(search("bees", 100), event(Kind.VIEW, 200, "i1")).user
    [waiting] = UserState.from_record(json.loads(json.dumps(user.to_record()))).pending
    assert waiting.query == "bees"


@pytest.mark.parametrize("query", ["", "bees"])
def test_an_example_says_them_on_the_wire(query: str) -> None:
    [example] = Folded(event(Kind.CLICK, 50, "i1")).examples
    made = replace(example, query=query)
    assert from_fields(to_fields(made)).query == query
