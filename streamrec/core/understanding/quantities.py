"""Amounts, and what they bound: under two hours, $30 to $60, from the 90s, size 44.

Knows numbers, units and comparisons. Does not know what is not wanted (``reading``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from streamrec.core.understanding.catalogue_words import CatalogueWords
from streamrec.core.understanding.lexicon import (
    CUES,
    DECADES,
    FILLERS,
    MONEY,
    NUMBERS,
    ROLES,
    THAN,
    UNITS,
    Cue,
    NumberRole,
)
from streamrec.core.understanding.spoken import SpokenToken
from streamrec.core.understanding.understood import Range

LONGEST_PHRASE = 6
FIRST_YEAR, LAST_YEAR = 1880, 2100
ABOUT = 0.1
HALVES = frozenset({"half", "halb", "halbe", "demi", "demy", "media", "半"})
LINKS = frozenset({"and", "und", "et", "y"})
COMPARED = (Cue.BELOW, Cue.ABOVE, Cue.ABOUT, Cue.BEFORE, Cue.AFTER, Cue.SINCE)


@dataclass(frozen=True, slots=True)
class Amount:
    """``end``: of its tokens. ``spelled``: a word that may mean something else."""

    value: float
    end: int
    role: NumberRole | None = None
    spelled: bool = False

    @property
    def year(self) -> bool:
        in_range = FIRST_YEAR <= self.value <= LAST_YEAR
        return self.role is None and in_range and self.value == int(self.value)


@dataclass(frozen=True, slots=True)
class Bound:
    """What was said about a number; ``name``: of the attribute, where that was said."""

    end: int
    low: float | None = None
    high: float | None = None
    role: NumberRole | None = None
    name: str = ""

    def turned(self) -> Bound | None:
        """Not that: not under 100 is at least 100, not older than 1960 is 1960 or later.

        None where that is no single range: not from the nineties.
        """
        if self.low is not None and self.high is not None:
            return None
        step = 1.0 if self.role is NumberRole.YEAR else 0.0
        low = None if self.high is None else self.high + step
        return replace(self, low=low, high=None if self.low is None else self.low - step)


class Quantities:
    """Of one query and one catalogue."""

    def __init__(self, query: Sequence[SpokenToken], known: CatalogueWords) -> None:
        self._query, self._numbers, self._roles = query, known.numbers, known.roles
        self._words = [token.word for token in query]

    def cue(self, at: int, *wanted: Cue) -> tuple[Cue, int] | None:
        """The longest phrase here that is one of these, and where it ends."""
        for end in range(min(len(self._words), at + LONGEST_PHRASE), at, -1):
            cues = CUES.get(" ".join(self._words[at:end]), set())
            for one in wanted:
                if one in cues:
                    return one, end
        return None

    def bound(self, at: int) -> Bound | None:
        """What begins here."""
        name, role, start = self._named(at)
        found = (
            self._decade(start)
            or self._span(start)
            or self._compared(start)
            or self._amount_first(start, named=bool(name or role))
        )
        if found is None:
            return None
        return replace(found, name=name, role=role or found.role)

    def range(self, bound: Bound) -> Range | None:
        """In the catalogue's own terms; None where it holds no such number."""
        name, roles = bound.name, self._roles
        if not name and bound.role is not None:
            name = roles.get(bound.role, "")
        elif not name:
            name = roles.get(NumberRole.PRICE, "")
        return Range(name, bound.low, bound.high) if name else None

    def _named(self, at: int) -> tuple[str, NumberRole | None, int]:
        """The attribute that is named before a number: size 42, rating of 7."""
        word = self._words[at] if at < len(self._words) else ""
        name, role = self._numbers.get(word, ""), ROLES.get(word)
        if not name and (role is None or role not in self._roles):
            return "", None, at
        after = at + 1
        while after < len(self._words) and self._words[after] in FILLERS | {":", "of"}:
            after += 1
        return name or self._roles[ROLES[word]], role, after

    def _decade(self, at: int) -> Bound | None:
        """Early 90s, the eighties, aus den 60ern, años 90, 90年代."""
        opened = self.cue(at, Cue.FROM)
        at = self._past_fillers(opened[1]) if opened else at
        part = self.cue(at, Cue.EARLY, Cue.LATE)
        start = self._past_fillers(part[1] if part else at)
        before = self.cue(start, Cue.DECADE)
        year, end = self._decade_year(before[1] if before else start, marked=before is not None)
        if year is None:
            return None
        early, late = part is not None and part[0] is Cue.EARLY, part and part[0] is Cue.LATE
        low, high = year + 5 * bool(late), year + (4 if early else 9)
        return Bound(end, float(low), float(high), NumberRole.YEAR)

    def _decade_year(self, at: int, *, marked: bool) -> tuple[int | None, int]:
        token = self._query[at] if at < len(self._query) else SpokenToken("")
        if token.plural and token.word in DECADES:
            return DECADES[token.word], at + 1
        if not token.word.isdigit() or len(token.word) not in (2, 4) or token.word[-1] != "0":
            return None, at
        after = self.cue(at + 1, Cue.DECADE)
        if not marked and after is None:
            return None, at
        year = int(token.word)
        year += 0 if year > 99 else 1900 if year >= 30 else 2000
        return year, after[1] if after else at + 1

    def _span(self, at: int) -> Bound | None:
        """Between 30 and 60; from 1990 to 1995; 40 to 60 euros."""
        opened = self.cue(at, Cue.BETWEEN, Cue.FROM)
        first = self._amount(self._past_fillers(opened[1]) if opened else at)
        link = self.cue(first.end, Cue.TO) if first else None
        if first is None or link is None or (opened is None and first.spelled):
            return None
        joined = self._words[first.end] in LINKS
        if joined and (opened is None or opened[0] is not Cue.BETWEEN):
            return None
        second = self._amount(link[1])
        if second is None or second.value < first.value:
            return None
        role = (
            second.role or first.role or (NumberRole.YEAR if first.year and second.year else None)
        )
        value = first.value
        if first.role is None and second.role is NumberRole.DURATION:
            value *= 60 if "hour" in self._words[link[1] : second.end] else 1
        return Bound(second.end, value, second.value, role)

    def _compared(self, at: int) -> Bound | None:
        """Under two hours; cheaper than 20; before 1970."""
        if (than := self._than(at)) is not None:
            (role, way), end = than
            amount = self._amount(end)
            return self._toward(amount, way, role, strict=True) if amount else None
        found = self.cue(at, *COMPARED)
        amount = self._amount(self._past_fillers(found[1])) if found else None
        if found is None or amount is None:
            return None
        return self._by_cue(found[0], amount)

    def _by_cue(self, cue: Cue, amount: Amount) -> Bound | None:
        strict = cue in (Cue.BEFORE, Cue.AFTER, Cue.BELOW, Cue.ABOVE)
        if cue is Cue.ABOUT:
            return self._around(amount)
        if cue in (Cue.BEFORE, Cue.AFTER, Cue.SINCE) and not amount.year:
            return None
        way = -1 if cue in (Cue.BEFORE, Cue.BELOW) else 1
        return self._toward(amount, way, None, strict=strict)

    def _amount_first(self, at: int, *, named: bool) -> Bound | None:
        """Two hours at most; $20; in 1992; after a name, any number."""
        opened = self.cue(at, Cue.FROM)
        amount = self._amount(self._past_fillers(opened[1]) if opened else at)
        if amount is None:
            return None
        after = self.cue(amount.end, Cue.OR_LESS, Cue.OR_MORE)
        if after is not None and not (amount.spelled and amount.role is None):
            way = -1 if after[0] is Cue.OR_LESS else 1
            found = self._toward(amount, way, None, strict=False)
            return replace(found, end=after[1])
        if amount.year and NumberRole.YEAR in self._roles:
            return Bound(amount.end, amount.value, amount.value, NumberRole.YEAR)
        if named:
            return Bound(amount.end, amount.value, amount.value, amount.role)
        return self._bare(amount) if opened is None else None

    def _bare(self, amount: Amount) -> Bound | None:
        """With a unit alone: so much money at most, so many stars at least, about so long."""
        if amount.role is None:
            return None
        if amount.role is NumberRole.DURATION:
            return self._around(amount)
        way = 1 if amount.role is NumberRole.RATING else -1
        return self._toward(amount, way, None, strict=False)

    def _around(self, amount: Amount) -> Bound:
        role = NumberRole.YEAR if amount.year else amount.role
        spread = 2 if amount.year else amount.value * ABOUT
        low, high = round(amount.value - spread, 6), round(amount.value + spread, 6)
        return Bound(amount.end, low, high, role)

    def _toward(self, amount: Amount, way: int, role: NumberRole | None, *, strict: bool) -> Bound:
        """From an amount on; a year that is compared with strictly is left out."""
        role = amount.role or role or (NumberRole.YEAR if amount.year and self._years else None)
        value = amount.value + way * (strict and role is NumberRole.YEAR)
        return Bound(amount.end, value if way > 0 else None, value if way < 0 else None, role)

    @property
    def _years(self) -> bool:
        return NumberRole.PRICE not in self._roles

    def _than(self, at: int) -> tuple[tuple[NumberRole, int], int] | None:
        for end in range(min(len(self._words), at + LONGEST_PHRASE), at, -1):
            if (found := THAN.get(" ".join(self._words[at:end]))) is not None:
                return found, end
        return None

    def _amount(self, at: int) -> Amount | None:
        """A number with its unit, before or after it."""
        words = self._words
        if at < len(words) and words[at] in MONEY:
            value, end, _ = self._number(at + 1)
            return Amount(value, end, NumberRole.PRICE) if value is not None else None
        if at + 1 < len(words) and words[at] in HALVES:  # half an hour
            after = at + 1 + (words[at + 1] in ("a", "an"))
            unit = self._unit(after)
            return Amount(unit[0][1] / 2, unit[1], unit[0][0]) if unit else None
        value, end, spelled = self._number(at)
        if value is None:
            return None
        value, end = self._and_a_half(value, end)
        unit = self._unit(end)
        if unit is None:
            article = words[at] in ("a", "an", "un", "une", "una", "eine", "einer")
            return None if article and spelled else Amount(value, end, None, spelled)
        (role, size), end = unit
        extra, end = self._minutes(end) if size == 60 else (0.0, end)
        return Amount(value * size + extra, end, role)

    def _number(self, at: int) -> tuple[float | None, int, bool]:
        """Its value, where it ends, and whether it was spelled."""
        word = self._words[at] if at < len(self._words) else ""
        if word[:1].isdigit():
            return float(word.replace(",", ".")), at + 1, False
        total, end = 0, at
        while end < len(self._words) and (found := NUMBERS.get(self._words[end])):
            grows = found in (10, 100) and total and self._words[end] in ("hundred", "百", "十")
            total = total * found if grows else total + found
            end += 1
        return (float(total), end, True) if end > at else (None, at, False)

    def _and_a_half(self, value: float, end: int) -> tuple[float, int]:
        """Two and a half hours."""
        rest = self._words[end : end + 3]
        if len(rest) == 3 and rest[0] in LINKS and rest[1] in ("a", "an") and rest[2] in HALVES:
            return value + 0.5, end + 3
        return value, end

    def _minutes(self, at: int) -> tuple[float, int]:
        """What follows hours: and a half, 45 minutes, 30 (of 1h30)."""
        start = at + (at < len(self._words) and self._words[at] in LINKS)
        rest = self._words[start : start + 2]
        if rest and rest[0] in HALVES:
            return 30.0, start + 1
        if len(rest) == 2 and rest[0] in ("a", "an") and rest[1] in HALVES:
            return 30.0, start + 2
        value, end, spelled = self._number(start)
        unit = self._unit(end)
        minutes = unit is not None and unit[0] == (NumberRole.DURATION, 1.0)
        if value is None or not (minutes or (start == at and not spelled and value < 60)):
            return 0.0, at
        return value, unit[1] if minutes and unit else end

    def _unit(self, at: int) -> tuple[tuple[NumberRole, float], int] | None:
        for end in range(min(len(self._words), at + 3), at, -1):
            if (found := UNITS.get(" ".join(self._words[at:end]))) is not None:
                return found, end
        return None

    def _past_fillers(self, at: int) -> int:
        while at < len(self._words) and self._words[at] in ("the", "den", "les", "los", "de", "a"):
            if self._words[at] == "a" and self._amount(at) is not None:
                break
            at += 1
        return at
