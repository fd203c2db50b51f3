"""Where a text names an item: titles of one word, of common words, of many scripts."""

from __future__ import annotations

import pytest

from streamrec.core.events import Item, Variant
from streamrec.core.replies.names import Names, outermost

CATALOGUE = (
    Item("alien", "Alien (1979)", categories=("horror",)),
    Item("aliens", "Aliens (1986)"),
    Item("it", "It (2017)"),
    Item("her", "Her (2013)"),
    Item("heat", "Heat (1995)"),
    Item("drama", "Drama"),
    Item("300", "300"),
    Item("i", "I"),
    Item("maze", "Labyrinth, The (1999)", categories=("drama", "romance")),
    Item("again", "You Again"),
    Item("game", "The Game (1997)"),
    Item("wars4", "Star Wars: Episode IV - A New Hope (1977)"),
    Item("ocean", "Ocean's Eleven"),
    Item("amelie", "Amélie (Le fabuleux destin d'Amélie Poulain) (2001)"),
    Item("fast", "Fast & Furious"),
    Item("hero", "英雄", variants=(Variant("v", "Ying Xiong"),)),
    Item("we", "我"),
    Item("haus", "Haus"),
)
NAMES = Names(CATALOGUE)


def named(text: str, language: str = "en") -> set[str]:
    return {item for match in NAMES.named(text, language) for item in match.items}


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("an ALIEN ship", {"alien"}),
        ("alien (1979)", {"alien"}),
        ("aliens everywhere", {"aliens"}),
        ("alienated", set()),
        ("the labyrinth has you", {"maze"}),
        ("a labyrinth", {"maze"}),
        ("Labyrinth, The (1999)", {"maze"}),
        ("fans of star  wars say", {"wars4"}),
        ("Episode IV", set()),
        ("oceans eleven", set()),
        ("ocean’s eleven", {"ocean"}),
        ("AMELIE", {"amelie"}),
        ("fast and furious", {"fast"}),
        ("ying xiong", {"hero"}),
        ("看英雄吧", {"hero"}),
    ],
)
def test_a_word_that_is_not_common_names_it(text: str, items: set[str]) -> None:
    assert named(text) == items


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("try it, she likes her heat", set()),
        ("It is good. Her too! Heat: yes", set()),
        ("you will like It", {"it"}),
        ("I like Heat", {"heat"}),
        ("I like 'heat' a lot", {"heat"}),
        ("“Her” is fine", {"her"}),
        ("heat (1995)", {"heat"}),
        ("heat from 1995", set()),
        ("see you again", set()),
        ("You again", set()),
        ("You Again", {"again"}),
        ("the game", set()),
        ("play The Game now", {"game"}),
        ("the Game", {"game"}),
    ],
)
def test_common_words_name_it_where_they_are_written_as_a_title(text: str, items: set[str]) -> None:
    assert named(text) == items


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("300 people and I watch a Drama", set()),
        ("watch “300”, 'I' and \"Drama\".", {"300", "i", "drama"}),
        ("我喜欢", set()),
        ("《我》", {"we"}),
    ],
)
def test_numbers_kinds_and_single_characters_need_quotation_marks(
    text: str, items: set[str]
) -> None:
    assert named(text) == items


def test_in_german_a_capital_says_nothing_of_one_word() -> None:
    assert named("such It in Berlin", "de") == set()
    assert named("such It in Berlin", "en") == {"it"}
    assert named("spiel The Game", "de") == {"game"}


def test_two_items_of_one_title_are_named_at_once() -> None:
    both = Names([Item("a", "Solaris (1972)"), Item("b", "Solaris (2002)")])
    assert [match.items for match in both.named("solaris")] == [{"a", "b"}]
    years = outermost(both.named("Solaris (2002)"))
    assert [match.items for match in years] == [{"b"}]


def test_what_is_taken_out_or_renamed_is_named_no_more() -> None:
    names = Names(CATALOGUE)
    names.remove("alien")
    names.put(Item("aliens", "Predators"))
    names.remove("never there")
    assert [match.items for match in names.named("alien, aliens, predators, the labyrinth")] == [
        {"aliens"},
        {"maze"},
        {"maze"},
    ]
    assert (len(names), names.kinds[("horror",)]) == (len(CATALOGUE) - 1, 0)


def test_a_title_without_a_word_is_never_named() -> None:
    assert Names([Item("a", "!!!"), Item("b", ""), Item("c", "(2001)")]).named("!!! (2001)") == []
