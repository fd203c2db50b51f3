"""Which rows are of a category, and which have an attribute.

Knows all of an item's categories, also those that count in no feature. Does not know requests
(``tasks.ranking.lists.eligibility``). Shape: N catalogue rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from streamrec.core.events import Item

Facet = tuple[str, ...]
"""A category (its name), or an attribute (its name and value)."""


class Facets:
    """Rows by facet, kept up to date row by row."""

    def __init__(self) -> None:
        self._rows: dict[Facet, set[int]] = {}
        self._of: dict[int, frozenset[Facet]] = {}
        self._arrays: dict[Facet, NDArray[np.int64]] = {}  # of those that were asked for

    def put(self, row: int, item: Item) -> None:
        """Take the row to be this item from now on."""
        old = self._of.get(row, frozenset())
        new = frozenset([*((name,) for name in item.categories), *item.attributes.items()])
        for facet in old - new:
            self._rows[facet].discard(row)
        for facet in new - old:
            self._rows.setdefault(facet, set()).add(row)
        for facet in old ^ new:
            self._arrays.pop(facet, None)
            if not self._rows[facet]:
                del self._rows[facet]
        self._of[row] = new

    def having(
        self, categories: Iterable[str], attributes: Mapping[str, str], n: int
    ) -> NDArray[np.bool_]:
        """Of the first ``n`` rows, those of any of the categories, if some are given, and with all
        of the attributes: (N,)."""
        wanted = [(name,) for name in categories]
        found_N = self._any(wanted, n) if wanted else np.ones(n, np.bool_)
        for attribute in attributes.items():
            found_N &= self._any([attribute], n)
        return found_N

    def _any(self, facets: Iterable[Facet], n: int) -> NDArray[np.bool_]:
        found_N = np.zeros(n, np.bool_)
        for facet in facets:
            rows = self._array(facet)
            found_N[rows[rows < n]] = True
        return found_N

    def _array(self, facet: Facet) -> NDArray[np.int64]:
        rows = self._rows.get(facet)
        if rows is None:
            return np.zeros(0, np.int64)
        if facet not in self._arrays:
            self._arrays[facet] = np.fromiter(rows, np.int64, len(rows))
        return self._arrays[facet]
