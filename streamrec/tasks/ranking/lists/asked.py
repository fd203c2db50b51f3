"""What a request that wants a reply asks for, read in the catalogue's own words.

Knows when the words are made: once a reply was asked for, again where the catalogue has changed,
by whoever refreshes, never by whoever answers. Does not know how a text is read
(``core.understanding``). That a text could not be read costs no list.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import numpy as np

from streamrec.core.events import Item
from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import BoolArray, Catalogue
from streamrec.core.understanding.catalogue_words import CatalogueWords
from streamrec.core.understanding.turns import understand
from streamrec.core.understanding.understood import Understood

log = logging.getLogger(__name__)

MADE_EVERY_MS = 60_000
"""A catalogue that always changes is not always read; 100,000 items take seconds."""

WordsOf = Callable[[Iterable[Item]], CatalogueWords]
Reads = Callable[[str, CatalogueWords, Understood | None], Understood]

NOTHING = "nothing that may be shown is so, so the list is made without it"


class QueryReader:
    """One thread refreshes, another reads."""

    def __init__(self, words_of: WordsOf = CatalogueWords.of, reads: Reads = understand) -> None:
        self._words_of, self._reads = words_of, reads
        self._wanted = False
        self._words: CatalogueWords | None = None
        self._version = -1
        self._made_ms = -MADE_EVERY_MS

    def refresh(self, catalogue: Catalogue, now_ms: int) -> None:
        """From the thread that changes the catalogue, so that it stands still."""
        old = catalogue.version != self._version and now_ms - self._made_ms >= MADE_EVERY_MS
        if not (self._wanted and old):
            return
        self._version, self._made_ms = catalogue.version, now_ms
        try:
            self._words = self._words_of(catalogue.item(row) for row in range(len(catalogue)))
        except Exception as error:  # the boundary: see the module
            log.warning("the catalogue's words could not be made: %s", error, exc_info=True)

    def read(self, turns: Sequence[str]) -> Understood | None:
        """``turns``: oldest first. None before the words are there, and where nothing was said."""
        self._wanted = self._wanted or bool(turns)
        words, found = self._words, None
        if words is None:
            return None
        try:
            for turn in turns:
                found = self._reads(turn, words, found)
        except Exception as error:  # the boundary: see the module
            log.warning("a query could not be understood: %s", type(error).__name__)
            return None
        return found or None

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
