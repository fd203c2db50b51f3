"""What a request that wants a reply asks for, read in the catalogue's own words.

Knows when the words are made: once replies are expected or one was asked for, again where the
catalogue has changed, by whoever refreshes, never by whoever answers. Does not know how a text is
read (``core.understanding``). That a text could not be read costs no list: it is said with it, and
counted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from itertools import islice
from typing import NamedTuple

import numpy as np

from streamrec.core.events import Item
from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import BoolArray, Catalogue
from streamrec.core.understanding.catalogue_words import CatalogueWords
from streamrec.core.understanding.turns import understand
from streamrec.core.understanding.understood import Understood

log = logging.getLogger(__name__)

MADE_EVERY_MS = 60_000
"""A catalogue that always changes is not always read, unless there are twice as many items;
100,000 take seconds."""

WordsOf = Callable[[Iterable[Item]], CatalogueWords]
Reads = Callable[[str, CatalogueWords, Understood | None, Sequence[str]], Understood]

EXPECTED_EVERY_MS = 5_000


class Unread(StrEnum):
    """Why a text was not read, by the name under which it is counted."""

    EARLY = "early"
    NO_WORDS = "no-words"
    FAILED = "failed"

    @property
    def said(self) -> str:
        return f"not read ({_BECAUSE[self]}), so the list is made without it"


_BECAUSE = {
    Unread.EARLY: "the catalogue's words are not learned yet",
    Unread.NO_WORDS: "the catalogue's words could not be made: a serving worker's log says why",
    Unread.FAILED: "reading it failed: a serving worker's log says why",
}


class QueryRead(NamedTuple):
    """``found``: None where nothing was said, or it was not read: ``unread``."""

    found: Understood | None = None
    unread: Unread | None = None


NOTHING = "nothing that may be shown is so, so the list is made without it"


class QueryReader:
    """One thread refreshes, another reads."""

    def __init__(
        self,
        words_of: WordsOf = CatalogueWords.of,
        reads: Reads = understand,
        expected: Callable[[], bool] = lambda: False,
    ) -> None:
        """``expected``: whether somebody is there who answers in words, so that whoever asks first
        is understood, too; asked now and then until it is so."""
        self._words_of, self._reads, self._expected = words_of, reads, expected
        self._wanted = False
        self._looked_ms = -EXPECTED_EVERY_MS
        self._broken = False  # the words could not be made
        self._words: CatalogueWords | None = None
        self._version = -1
        self._made_ms, self._made_of = -MADE_EVERY_MS, 0

    def refresh(self, catalogue: Catalogue, now_ms: int) -> None:
        """From the thread that changes the catalogue, so that it stands still."""
        if not self._wanted and now_ms - self._looked_ms >= EXPECTED_EVERY_MS:
            self._looked_ms, self._wanted = now_ms, self._expected()
        items, passed_ms = len(catalogue), now_ms - self._made_ms
        due = items >= 2 * self._made_of or passed_ms >= MADE_EVERY_MS
        if not (self._wanted and items and due and catalogue.version != self._version):
            return
        self._version, self._made_ms, self._made_of = catalogue.version, now_ms, items
        try:
            self._words = self._words_of(catalogue.item(row) for row in range(len(catalogue)))
            self._broken = False
        except Exception as error:  # the boundary: see the module
            self._broken = True
            log.warning("the catalogue's words could not be made: %s", error, exc_info=True)

    def read(self, turns: Sequence[str], shown: Sequence[Sequence[str]] = ()) -> QueryRead:
        """``turns``: oldest first; ``shown``: before each of them, item ids."""
        if not turns:
            return QueryRead()
        self._wanted = True
        words, found = self._words, None
        if words is None:
            return QueryRead(unread=Unread.NO_WORDS if self._broken else Unread.EARLY)
        try:
            for place, turn in enumerate(turns):
                found = self._reads(turn, words, found, shown[place] if shown else ())
        except Exception as error:  # the boundary: see the module
            log.warning("a query could not be understood: %s", type(error).__name__)
            return QueryRead(unread=Unread.FAILED)
        return QueryRead(found or None)

    def said(self, found: Understood, *, kept: bool) -> str:
        """In words; ``kept``: whether the list keeps to it."""
        words = found.words(self._words.names if self._words else {})
        return words if kept else f"{words}; {NOTHING}"


def admitted(
    allowed_N: BoolArray,
    keys_N: FloatArray,
    item: Callable[[int], Item],
    found: Understood,
    most: int,
) -> BoolArray:
    """Of the allowed rows that are what was asked for, the ``most`` with the highest keys: (N,)."""
    able = np.flatnonzero(allowed_N & np.isfinite(keys_N))
    ordered = able[np.argsort(-keys_N[able], kind="stable")].tolist()
    fitting = (row for row in ordered if found.admits(item(row)))
    admitted_N = np.zeros(len(allowed_N), np.bool_)
    admitted_N[list(islice(fitting, most))] = True
    return admitted_N
