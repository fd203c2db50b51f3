"""What a catalogue's items can be asked by: categories, values, numbers, titles.

Made once for a version of the catalogue; a look-up costs as much in a large one as in a small one.
Knows items. Does not know what a query says about them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from streamrec.core.events import Item
from streamrec.core.understanding.lexicon import ROLES, NumberRole
from streamrec.core.understanding.spoken import phrase
from streamrec.core.understanding.synonyms import COMPOUNDS, GROUPS

MOST_VALUES = 2_000
"""An attribute with more different texts than that is a description, not a choice."""

MOST_WORDS = 5
"""Of a value or category that somebody would say."""

TITLE_WORDS = 12
NUMBERS = 0.8
"""Share of an attribute's values from which on it holds numbers."""

TITLE_YEAR = "year"
"""What the year in titles like ``Alien (1979)`` is called where no attribute says it."""

_YEAR = re.compile(r"\s*\((\d{4})\)\s*$")
_ARTICLE_LAST = re.compile(r"^(.*), (The|A|An|Der|Die|Das|Le|La|Les|El|Los|Las)$")
_ARTICLES = ("the ", "a ", "an ")
_PARTS = re.compile(r"[&/|>]|\band\b")


@dataclass(frozen=True, slots=True)
class Entry:
    """Something of the catalogue. ``name``: of an attribute; empty for a category."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class CatalogueWords:
    """Phrases (``spoken.phrase``) and what each means here.

    ``entries``: a phrase may mean several at once, romcom two categories. ``titles``: item ids.
    ``numbers``: names of attributes that hold numbers; ``roles``: the one for each role.
    """

    entries: Mapping[str, tuple[Entry, ...]] = field(default_factory=dict)
    titles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    numbers: Mapping[str, str] = field(default_factory=dict)  # phrase of the name: name
    roles: Mapping[NumberRole, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)  # item id: its title

    @classmethod
    def of(cls, items: Iterable[Item]) -> CatalogueWords:
        """Items that cannot be recommended count, too: somebody may want none like them."""
        categories: dict[str, None] = {}
        values: dict[str, Counter[str]] = {}
        titles: dict[str, list[str]] = {}
        names: dict[str, str] = {}
        dated = 0
        for item in items:
            categories |= dict.fromkeys(item.categories)
            for name, value in item.attributes.items():
                values.setdefault(name, Counter())[value] += 1
            title, year = title_and_year(item.title)
            dated += year is not None
            names[item.item_id] = title
            for said in _titles(title):
                titles.setdefault(said, []).append(item.item_id)
        numbers = [name for name, counted in values.items() if _holds_numbers(counted)]
        roles = _roles(numbers)
        if NumberRole.YEAR not in roles and 2 * dated > len(names):
            roles[NumberRole.YEAR] = TITLE_YEAR
        return cls(
            _entries(categories, {n: v for n, v in values.items() if n not in numbers}),
            {said: tuple(ids) for said, ids in titles.items()},
            {phrase(name): name for name in numbers},
            roles,
            names,
        )


def title_and_year(title: str) -> tuple[str, float | None]:
    """``Matrix, The (1999)`` is The Matrix, of 1999."""
    found = _YEAR.search(title)
    name = title[: found.start()] if found else title
    return _ARTICLE_LAST.sub(r"\2 \1", name), float(found.group(1)) if found else None


def number(text: str) -> float | None:
    """What an attribute's text is as a number, if it is one."""
    try:
        return float(text.strip().lstrip("$€£¥").replace(",", ""))
    except ValueError:
        return None


def _titles(title: str) -> set[str]:
    said = phrase(title)
    if not said or said.count(" ") >= TITLE_WORDS:
        return set()
    return {said, *(said.removeprefix(article) for article in _ARTICLES)}


def _holds_numbers(counted: Counter[str]) -> bool:
    """Of different texts, the first thousand."""
    seen = list(counted)[:1_000]
    return sum(number(text) is not None for text in seen) >= NUMBERS * len(seen)


def _roles(names: Iterable[str]) -> dict[NumberRole, str]:
    found: dict[NumberRole, str] = {}
    for name in names:
        for word in [phrase(name), *phrase(name.replace("_", " ")).split()]:
            if word in ROLES:
                found.setdefault(ROLES[word], name)
    return found


def _entries(
    categories: Iterable[str], values: Mapping[str, Counter[str]]
) -> dict[str, tuple[Entry, ...]]:
    """Categories before values; what a phrase means by itself before what it means as a synonym."""
    known = [Entry("", category) for category in categories]
    for name in sorted(values):
        if len(values[name]) <= MOST_VALUES:
            known += [Entry(name, value) for value in values[name]]
    found: dict[str, tuple[Entry, ...]] = {}
    for said, entry in _said(known):
        found.setdefault(said, (entry,))
    for said, parts in COMPOUNDS.items():
        if all(part in found for part in parts):
            found.setdefault(said, tuple(found[part][0] for part in parts))
    return found


def _said(known: Iterable[Entry]) -> Iterator[tuple[str, Entry]]:
    """First the entries' own words, then parts of them, then synonyms."""
    known = list(known)
    own = [(phrase(entry.value), entry) for entry in known]
    own = [(said, entry) for said, entry in own if 0 < len(said.split()) <= MOST_WORDS]
    yield from own
    parts = [
        (phrase(part), entry)
        for _, entry in own
        if not entry.name
        for part in _PARTS.split(entry.value)
    ]
    yield from ((said, entry) for said, entry in parts if said)
    groups = synonyms()
    for said, entry in [*own, *parts]:
        for group in groups.get(said, ()):
            yield from ((other, entry) for other in group)


def synonyms() -> dict[str, list[tuple[str, ...]]]:
    """For each phrase the groups it is in."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for line in GROUPS:
        group = tuple(phrase(word) for word in line.split(","))
        for said in group:
            found.setdefault(said, []).append(group)
    return found
