"""Which catalogue rows may be recommended to whom.

Knows availability, what a user has consumed, and a request's filters and candidates. Does
not know scores. Shape: K catalogue rows that can be scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import numpy as np

from streamrec.core.events import Filters
from streamrec.core.state.catalogue import BoolArray, Catalogue, IntArray

NO_FILTERS = Filters()


def eligible(
    catalogue: Catalogue,
    rows: int,
    consumed: Sequence[str],
    filters: Filters = NO_FILTERS,
    candidates: Sequence[str] = (),
) -> BoolArray:
    """Whether each of the first ``rows`` items may be shown: (K,) bool."""
    if candidates:
        allowed_K = np.zeros(rows, np.bool_)
        allowed_K[_within(catalogue, candidates, rows)] = True
        allowed_K &= catalogue.available[:rows]
    else:
        allowed_K = catalogue.available[:rows].copy()
    allowed_K[_within(catalogue, consumed, rows)] = False
    allowed_K[_within(catalogue, filters.exclude_items, rows)] = False
    if filters.categories or filters.attributes:
        allowed_K &= catalogue.having(filters.categories, filters.attributes)[:rows]
    return allowed_K


class Unmet(StrEnum):
    """Why nothing may be shown, whatever a model thinks of it."""

    REFUSED = "refused"
    CATALOGUE = "catalogue"
    CANDIDATES = "candidates"
    FILTERS = "filters"
    CONSUMED = "consumed"

    @property
    def said(self) -> str:
        return _SAID[self]


_SAID = {
    Unmet.REFUSED: "the request was refused",
    Unmet.CATALOGUE: "nothing fits: the catalogue has no available item",
    Unmet.CANDIDATES: "nothing fits: none of the candidates is an available item",
    Unmet.FILTERS: "nothing fits: the filters leave no item",
    Unmet.CONSUMED: "nothing fits: the user has had every item that does",
}


def why_nothing(
    catalogue: Catalogue, rows: int, filters: Filters, candidates: Sequence[str]
) -> Unmet:
    """Why nothing is eligible: the first constraint, in the order of the members, that leaves
    nothing."""
    if not catalogue.available[:rows].any():
        return Unmet.CATALOGUE
    if not eligible(catalogue, rows, (), candidates=candidates).any():
        return Unmet.CANDIDATES
    if not eligible(catalogue, rows, (), filters, candidates).any():
        return Unmet.FILTERS
    return Unmet.CONSUMED


def _within(catalogue: Catalogue, item_ids: Sequence[str], rows: int) -> IntArray:
    found = catalogue.rows(item_ids)
    return found[(found >= 0) & (found < rows)]
