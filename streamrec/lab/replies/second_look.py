"""Whether a reply names what it may not: a second opinion on what was rendered and checked.

Shares no code with those who render and check replies (``core.replies``): titles here are plain
words in a row, looked for in what is left of a text when the titles it may name are taken out.

- Two words or more: named where each word of four letters or more has a capital; else the text
  holds the same words, and a person has to look ("how does that sound").
- One word: named where it has a capital and begins no sentence.
- What is a category as well ("Adventure") is never sure: a person has to look.

Does not know parts of titles, misspelt ones, or what is said of an item.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

from streamrec.core.events import Item

_YEAR = re.compile(r"\s*\(\d{4}\)\s*$")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_GAP = " 0gap0 "
"""A word that no title has."""
_STARTS = re.compile(r"(?:^|[.!?…:])[^\w]*$")
_LONG = 4
_MOST = 12


class SecondLook(NamedTuple):
    """``named``: titles that it must not have. ``alike``: such, if they were meant."""

    named: tuple[str, ...]
    alike: tuple[str, ...]


class Titles:
    """Of a whole catalogue."""

    def __init__(self, items: Iterable[Item]) -> None:
        items = list(items)
        titles = [_words(_YEAR.sub("", item.title)) for item in items]
        self._known = {words for words in titles if words}
        self._kinds = {_words(kind) for item in items for kind in item.categories}

    def look(self, text: str, allowed: Iterable[str]) -> SecondLook:
        """``allowed``: the titles that this text may have."""
        rest = unicodedata.normalize("NFC", text)
        for title in sorted({*allowed}, key=len, reverse=True):
            for said in (title, _YEAR.sub("", title)):
                if said.strip():
                    pattern = re.escape(unicodedata.normalize("NFC", said.strip()))
                    rest = re.sub(rf"(?<!\w){pattern}(?!\w)", _GAP, rest, flags=re.I)
        named, alike = [], []
        found = [*_WORD.finditer(rest)]
        for first, one in enumerate(found):
            starts = bool(_STARTS.search(rest[: one.start()]))
            for end in range(first + 1, min(len(found), first + _MOST) + 1):
                words = [word[0] for word in found[first:end]]
                plain = _words(" ".join(words))
                if plain not in self._known:
                    continue
                capital = _capital(words, starts=starts)
                if capital and plain not in self._kinds:
                    named.append(" ".join(words))
                elif capital or len(words) > 1:
                    alike.append(" ".join(words))
        return SecondLook(tuple(named), tuple(alike))


def _capital(said: list[str], *, starts: bool) -> bool:
    if len(said) == 1:
        return not starts and said[0][0].isupper() and said[0] != "I"
    return all(word[0].isupper() for word in said if len(word) >= _LONG) and said[0][0].isupper()


def _words(text: str) -> tuple[str, ...]:
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return tuple(word.casefold() for word in _WORD.findall(bare))
