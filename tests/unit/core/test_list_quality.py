"""A list counts only for clicks that came after it; the baseline plays by the same rules."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrec.core.events import Interaction, Kind
from streamrec.core.measures.list_quality import ListQuality, Popularity, quality


def event(user: str, item: str, kind: Kind = Kind.CLICK, impression: str | None = None):
    return Interaction(f"{user}-{item}", user, item, kind, 0, impression_id=impression)


def test_quality_is_hit_rate_and_ndcg_of_one_relevant_item() -> None:
    found = quality([0, 3, None, None])
    assert found.n == 4
    assert found.hit_rate == 0.5
    assert found.ndcg == pytest.approx((1 + 1 / math.log2(5)) / 4)
    assert quality([]).n == 0


def test_a_click_without_a_list_before_it_is_not_scored() -> None:
    watched = ListQuality()
    watched.happened(event("ann", "a"))
    watched.recommended("ann", ["b", "c"])
    watched.happened(event("ann", "c"))
    watched.happened(event("ann", "d"))
    assert watched.served_ranks == [1, None]


def test_only_the_latest_list_and_its_first_k_count() -> None:
    watched = ListQuality(k=2)
    watched.recommended("ann", ["a", "b", "c"])
    watched.happened(event("ann", "c"))
    watched.recommended("ann", ["x"])
    watched.happened(event("ann", "a"))
    assert watched.served_ranks == [None, None]


def test_the_popular_list_leaves_out_what_the_user_consumed() -> None:
    watched = ListQuality(k=1)
    for user in ("bob", "cid"):
        watched.happened(event(user, "a"))
    watched.happened(event("bob", "b"))
    watched.recommended("ann", ["z"])
    watched.happened(event("ann", "a"))  # rank 0: most popular
    watched.happened(event("ann", "b"))  # rank 0 now that "a" is consumed
    assert watched.popular_ranks == [0, 0]


def test_views_in_an_impression_consume_nothing_and_other_views_do() -> None:
    watched = ListQuality(k=1)
    watched.happened(event("bob", "a"))
    watched.recommended("ann", ["a"])
    watched.happened(event("ann", "a", Kind.VIEW, impression="i"))
    watched.happened(event("ann", "a", Kind.CLICK, impression="i"))
    watched.recommended("cid", ["a"])
    watched.happened(event("cid", "a", Kind.VIEW))
    watched.happened(event("cid", "a"))  # seen already: nobody may recommend it
    assert watched.served_ranks == [0]


@given(st.lists(st.sampled_from("abcdef")), st.sets(st.sampled_from("abcdef")))
def test_popularity_rank_counts_items_ahead(accepted: list[str], without: set[str]) -> None:
    popularity = Popularity()
    for item in accepted:
        popularity.accepted(item)
    for item in set(accepted) - without:
        others = [other for other in set(accepted) - without if other != item]
        more = sum(accepted.count(other) > accepted.count(item) for other in others)
        equal = sum(accepted.count(other) == accepted.count(item) for other in others)
        rank = popularity.rank(item, without, k=100)
        assert rank is not None
        assert more <= rank <= more + equal
        assert popularity.rank(item, without, k=max(1, more)) is None or more == 0


def test_of_many_users_those_who_came_last_are_remembered() -> None:
    watched = ListQuality(most_users=2)
    for user in ("ann", "bob", "cid"):
        watched.recommended(user, ["a"])
    for user in ("ann", "bob", "cid"):
        watched.happened(event(user, "a"))
    assert watched.served_ranks == [0, 0]


def test_of_as_many_clicks_the_item_that_had_them_first_is_more_popular() -> None:
    popularity = Popularity()
    for item in ("a", "b", "b", "a", "c"):
        popularity.accepted(item)
    assert [popularity.rank(item, set(), 10) for item in "bac"] == [0, 1, 2]
