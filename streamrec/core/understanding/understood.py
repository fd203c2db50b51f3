"""What was understood of a query: a structure, in words, as filters.

Knows items. Does not know the words that were said (``reading``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from streamrec.core.events import Filters, Item
from streamrec.core.understanding.catalogue_words import TITLE_YEAR, number, title_and_year
from streamrec.core.understanding.lexicon import ROLES, NumberRole
from streamrec.core.understanding.spoken import phrase

COMPARATIVES = {
    NumberRole.YEAR: ("newer", "older"),
    NumberRole.DURATION: ("longer", "shorter"),
    NumberRole.PRICE: ("dearer", "cheaper"),
    NumberRole.RATING: ("better rated", "worse rated"),
    NumberRole.WEIGHT: ("heavier", "lighter"),
}

Pair = tuple[str, str]
"""An attribute's name and one of its values."""


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers an attribute may be, both ends included; None: no end there."""

    name: str
    low: float | None = None
    high: float | None = None

    @property
    def words(self) -> str:
        if self.low is not None and self.low == self.high:
            return f"{self.name} {self.low:g}"
        if self.low is None:
            return f"{self.name} at most {self.high:g}"
        if self.high is None:
            return f"{self.name} at least {self.low:g}"
        return f"{self.name} {self.low:g} to {self.high:g}"

    def spanning(self, other: Range) -> Range:
        """From the lower low to the higher high: the 70s or 80s."""
        low = None if self.low is None or other.low is None else min(self.low, other.low)
        high = None if self.high is None or other.high is None else max(self.high, other.high)
        return Range(self.name, low, high)

    def admits(self, item: Item) -> bool:
        """An item that does not say is not let through: nobody knows that it fits."""
        text = item.attributes.get(self.name)
        value = number(text) if text is not None else None
        if value is None and self.name == TITLE_YEAR:
            _, value = title_and_year(item.title)
        if value is None:
            return False
        above = self.low is None or value >= self.low
        return above and (self.high is None or value <= self.high)


@dataclass(frozen=True, slots=True)
class Understood:
    """Everything in the catalogue's own spelling.

    ``wanted``: categories, any of them, or all where ``together``. ``has``, ``lacks``: values of
    attributes; several of one name: any of them. ``more``, ``less``: names of attributes that hold
    numbers: rather more of it, less of it. ``like``, ``unlike``: item ids. ``left``: words that
    said something and found nothing here to say it of.
    """

    wanted: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()
    together: bool = False
    has: tuple[Pair, ...] = ()
    lacks: tuple[Pair, ...] = ()
    ranges: tuple[Range, ...] = ()
    more: tuple[str, ...] = ()
    less: tuple[str, ...] = ()
    like: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything was."""
        return self != Understood(left=self.left)

    def filters(self) -> Filters:
        """As much of it as ``Filters`` can say; ``admits`` says the rest."""
        values: dict[str, list[str]] = {}
        for name, value in self.has:
            values.setdefault(name, []).append(value)
        single = {name: several[0] for name, several in values.items() if len(several) == 1}
        return Filters(self.wanted, self.unlike, single)

    def admits(self, item: Item) -> bool:
        """Whether an item is what was asked for; preferences refuse nothing."""
        there = set(item.categories)
        wanted = all if self.together else any
        if self.wanted and not wanted(category in there for category in self.wanted):
            return False
        if item.item_id in self.unlike or there.intersection(self.unwanted):
            return False
        for name in {name for name, _ in self.has}:
            if (name, item.attributes.get(name)) not in self.has:
                return False
        if any(item.attributes.get(name) == value for name, value in self.lacks):
            return False
        return all(one.admits(item) for one in self.ranges)

    def words(self, titles: Mapping[str, str] | None = None) -> str:
        """For people; ``titles``: by item id. Empty where nothing was understood."""
        return "; ".join(self._parts(titles or {}))

    def _parts(self, titles: Mapping[str, str]) -> Iterator[str]:
        def named(ids: tuple[str, ...]) -> str:
            return ", ".join(titles.get(one, one) for one in ids)

        if self.wanted:
            yield (" and " if self.together else " or ").join(self.wanted)
        if self.has:
            yield ", ".join(f"{name} {value}" for name, value in self.has)
        yield from (one.words for one in self.ranges)
        if self.like:
            yield f"like {named(self.like)}"
        if self.unwanted or self.lacks:
            lacks = [f"{name} {value}" for name, value in self.lacks]
            yield f"not {', not '.join([*self.unwanted, *lacks])}"
        if self.unlike:
            yield f"not {named(self.unlike)}"
        yield from (f"rather {_compared(name, 1)}" for name in self.more)
        yield from (f"rather {_compared(name, -1)}" for name in self.less)


def _compared(name: str, way: int) -> str:
    """Newer of a year, cheaper of a price; more or less of what has no word of its own."""
    role = ROLES.get(phrase(name))
    more, less = COMPARATIVES[role] if role else (f"more {name}", f"less {name}")
    return more if way > 0 else less
