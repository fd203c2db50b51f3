"""Which items and which categories a text names: "something like Back to the Future", "a comedy".

Knows words (``core.state.words``' letters, in their order). A title is named where all its words
stand in the text one after the other; a year in brackets at its end need not. One word alone is
too often a word like any other to be a name. Of a category its beginning is enough ("comedies").

Legend: N catalogue rows.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from itertools import pairwise

_WORD = re.compile(r"\w+")
_YEAR = re.compile(r"\s*\(\d{4}\)\s*$")
LONGEST_NAME = 12
"""Words."""
LEAST_WORDS, LEAST_CHARS = 2, 7
"""Of a name: less is not told from what people say anyway."""
LONGEST_BEGINNING = 6
"""Of a category, letters that must be the same."""

Words = tuple[str, ...]


class NamedItems:
    """Names by row; a title that changes is read again."""

    def __init__(self) -> None:
        self._names: dict[int, tuple[Words, ...]] = {}
        self._rows: dict[Words, set[int]] = {}

    def put(self, row: int, title: str) -> None:
        for name in self._names.pop(row, ()):
            self._rows[name].discard(row)
        names = names_of(title)
        if names:
            self._names[row] = names
        for name in names:
            self._rows.setdefault(name, set()).add(row)

    def named(self, text: str) -> list[int]:
        """Rows of the items that a text names, in order of their last mention. Of names that
        overlap the longest counts."""
        words, at = split(text), 0
        found: dict[int, None] = {}
        while at < len(words):
            size = self._longest(words, at)
            for row in sorted(self._rows.get(words[at : at + size], ())):
                found.pop(row, None)
                found[row] = None
            at += size or 1
        return list(found)

    def _longest(self, words: Words, at: int) -> int:
        """Words of the longest name that begins here; 0 where none does."""
        most = min(LONGEST_NAME, len(words) - at)
        sizes = range(most, LEAST_WORDS - 1, -1)
        return next((size for size in sizes if self._rows.get(words[at : at + size])), 0)


def names_of(title: str) -> tuple[Words, ...]:
    """What an item is called in a text: by its title, with and without the year."""
    names = {split(title), split(_YEAR.sub("", title))}
    return tuple(sorted(name for name in names if _tells(name)))


def _tells(name: Words) -> bool:
    enough = LEAST_WORDS <= len(name) <= LONGEST_NAME
    return enough and sum(map(len, name)) >= LEAST_CHARS


def split(text: str) -> Words:
    """Words in their order; letter case and width do not count."""
    return tuple(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def categories_named(text: str, categories: Iterable[str]) -> list[str]:
    """Those of some categories that a text names."""
    words = split(text)
    heard = {*words, *("".join(pair) for pair in pairwise(words))}
    return [one for one in categories if _heard("".join(split(one)), heard)]


def _heard(category: str, heard: set[str]) -> bool:
    if not category:
        return False
    begins = category[: max(3, min(LONGEST_BEGINNING, len(category) - 1))]
    return category in heard or (len(begins) > 3 and any(word.startswith(begins) for word in heard))
