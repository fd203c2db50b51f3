"""A query read into what is wanted and what is not, in the catalogue's own words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.understanding import catalogues, score
from streamrec.core.events import Filters, Item
from streamrec.core.understanding.catalogue_words import CatalogueWords, title_and_year
from streamrec.core.understanding.turns import understand
from streamrec.core.understanding.understood import Range, Understood

FILMS = [
    Item("a", "Alien (1979)", categories=("Sci-Fi", "Horror")),
    Item("b", "Matrix, The (1999)", categories=("Action", "Sci-Fi", "Thriller")),
    Item("c", "Babe (1995)", categories=("Children's", "Comedy")),
    Item("d", "Heat (1995)", categories=("Action", "Crime")),
]
KNOWN = CatalogueWords.of(FILMS)


@pytest.mark.parametrize(
    ("half", "floor"), [("worked_on", 0.98), ("held_out", 0.96), ("harder", 0.77)]
)
def test_so_much_is_understood_exactly(half: str, floor: float) -> None:
    found = score(half)
    assert found.exact >= floor * found.queries, "\n".join(found.misses)


@pytest.mark.parametrize("half", ["worked_on", "held_out"])
def test_what_is_said_to_be_understood_is_right(half: str) -> None:
    found = score(half)
    assert sum(found.hits.values()) >= 0.97 * sum(found.said.values())


def test_the_sets_are_large_enough_to_say_anything() -> None:
    assert score("worked_on").queries + score("held_out").queries >= 200


def test_the_year_is_in_the_title_where_no_attribute_says_it() -> None:
    found = understand("science fiction from the 90s", KNOWN)
    assert [item.item_id for item in FILMS if found.admits(item)] == ["b"]
    assert title_and_year("Matrix, The (1999)") == ("The Matrix", 1999)
    assert title_and_year("1984") == ("1984", None)


def test_a_title_of_one_word_needs_a_sign_that_it_is_meant() -> None:
    assert understand("something like heat", KNOWN).like == ("d",)
    assert understand("I loved Heat", KNOWN).like == ("d",)
    assert understand("heat", KNOWN).like == ("d",)
    assert understand("a film about heat and dust", KNOWN).like == ()


def test_what_no_catalogue_has_a_word_for_is_told_and_filters_nothing() -> None:
    found = understand("something cheaper than 20 euros", KNOWN)
    assert not found
    assert found.filters() == Filters()
    assert found.left == ("cheaper than 20 euro",)


def test_in_words_and_as_filters() -> None:
    known = catalogues()["shop"]
    found = understand("black shoes under 100, not Halden, like Norvik Trail Runner", known)
    assert found.words(known.names) == (
        "Shoes; color black; price at most 100; like Norvik Trail Runner; not brand Halden"
    )
    assert found.filters() == Filters(("Shoes",), (), {"color": "black"})
    either = understand("black or red shoes", known)
    assert either.filters() == Filters(("Shoes",))
    shoe = Item("x", "x", categories=("Shoes",), attributes={"color": "red", "price": "$99.90"})
    assert either.admits(shoe)
    assert not found.admits(shoe)
    cheap = replace(found, has=())
    assert cheap.admits(shoe)
    assert not cheap.admits(replace(shoe, attributes={"price": "101"}))
    assert not cheap.admits(replace(shoe, attributes={}))
    assert not cheap.admits(replace(shoe, attributes={"price": "9", "brand": "Halden"}))


def test_what_is_refused_of_a_number() -> None:
    assert understand("nothing older than 1990", KNOWN).ranges == (Range("year", 1990, None),)
    decade = understand("not from the nineties", KNOWN)
    assert decade.ranges == ()
    assert decade.left
    assert understand("the 70s or 80s", KNOWN).ranges == (Range("year", 1970, 1989),)
    assert understand("horror, but newer", KNOWN).words() == "Horror; rather newer"


def test_categories_said_side_by_side_are_wanted_together() -> None:
    both, either = (understand(text, KNOWN) for text in ("sci-fi horror", "sci-fi or horror"))
    assert [item.item_id for item in FILMS if both.admits(item)] == ["a"]
    assert [item.item_id for item in FILMS if either.admits(item)] == ["a", "b"]


def test_not_that_wants_none_of_what_was_shown() -> None:
    first = understand("a thriller from the 90s", KNOWN)
    second = understand("no, not that, something newer", KNOWN, first, shown=("b",))
    assert second == Understood(
        wanted=("Thriller",), ranges=(Range("year", 2000, None),), more=("year",), unlike=("b",)
    )
    assert understand("something newer", KNOWN, first, shown=("b",)).unlike == ()


def test_a_query_that_stands_alone_begins_anew() -> None:
    first = understand("a comedy from the 90s", KNOWN)
    assert understand("crime films", KNOWN, first) == Understood(wanted=("Crime",))


@pytest.mark.parametrize(
    "query",
    ["", " ", "?!", "no", "not", "like", "under", "between 3 and", "£", "1 1 1 1", "no " * 500,
     "\x00\x1b[31m", "half", "half an", "two and a half", "从", "- -", "under -5", "9" * 400,
     "1e999", "like like like", "，。！"],
)  # fmt: skip
def test_no_query_is_a_stumbling_block(query: str) -> None:
    for former in (None, Understood(wanted=("Crime",))):
        understand(query, KNOWN, former)


def test_a_catalogue_of_nothing_understands_nothing() -> None:
    assert not understand("a comedy under 2 hours like Heat", CatalogueWords.of([]))
