"""Which items and categories a text names."""

from __future__ import annotations

import numpy as np
import pytest

from streamrec.core.events import Item
from streamrec.core.state.catalogue import Catalogue

TITLES = [
    "Back to the Future",
    "The Shining (1980)",
    "The Shining Path",
    "Up (2009)",
    "Amélie Poulain (2001)",
    "It Follows (2014)",
]


@pytest.fixture
def films() -> Catalogue:
    catalogue = Catalogue()
    catalogue.put(Item(title, title, categories=("comedy", "sci-fi")) for title in TITLES)
    catalogue.put([Item("war", "A film", categories=("war", "romance"))])
    return catalogue


def named(films: Catalogue, text: str) -> list[str]:
    return films.ids(np.array(films.named(text), int))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("something like back to the FUTURE, please", ["Back to the Future"]),
        ("I loved The Shining", ["The Shining (1980)"]),
        ("The Shining (1980)!", ["The Shining (1980)"]),
        ("the shining path is another", ["The Shining Path"]),
        ("what is up?", []),
        ("Up (2009) was good", []),
        ("AMÉLIE poulain", ["Amélie Poulain (2001)"]),
        ("it follows that nothing is meant", ["It Follows (2014)"]),  # names are no understanding
        ("The Shining, it follows, the shining", ["It Follows (2014)", "The Shining (1980)"]),
        ("", []),
    ],
)
def test_items_are_named_by_their_titles_the_last_mention_last(
    films: Catalogue, text: str, expected: list[str]
) -> None:
    assert named(films, text) == expected


def test_a_title_that_changed_is_read_again(films: Catalogue) -> None:
    assert named(films, "the shining")
    films.put([Item("The Shining (1980)", "Another title")])
    assert named(films, "the shining") == []
    assert named(films, "is it another title?") == ["The Shining (1980)"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a comedy", ["comedy"]),
        ("funny comedies", ["comedy"]),
        ("some sci fi, or scifi", ["sci-fi"]),
        ("Sci-Fi", ["sci-fi"]),
        ("a war film", ["war"]),
        ("a warm film", []),
        ("romantic", []),
        ("romances", ["romance"]),
    ],
)
def test_categories_are_named_by_how_they_begin(
    films: Catalogue, text: str, expected: list[str]
) -> None:
    numbers = {name: n for n, name in enumerate(("comedy", "sci-fi", "war", "romance"))}
    assert films.categories_named(text) == [numbers[one] for one in expected]
