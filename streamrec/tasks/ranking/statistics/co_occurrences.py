"""What others chose after, and together with, the user's last items.

Legend: P pairs of (request, one of its last items), E (request, item) cells that these reach, H
some of them, S sums.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import IntArray
from streamrec.core.state.last_items import last_items
from streamrec.core.state.statistics import Neighbours
from streamrec.tasks.ranking.statistics.declaration import (
    InputColumn,
    InputGroup,
    PairStatistic,
    if_positive,
    silent,
)
from streamrec.tasks.ranking.statistics.moment import Moment

LAST_ITEMS = 12
"""How many of the user's last items are asked for co-occurrences."""
DECAY = 0.8
PRIOR = 2.0
"""Weight added to a row's total: a pair seen once is not yet a certainty."""
POWERS = np.array([DECAY**j for j in range(LAST_ITEMS)])
NORMS = np.array([1.0, *(sum(DECAY**j for j in range(n + 1)) for n in range(LAST_ITEMS))])
"""Their sums, by how many items there are."""
CELLS = 1 << 18
"""(request, item) cells that are looked up at once."""
NOWHERE = -1
NOBODY = Neighbours(np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(0, np.float32))

GROUP = InputGroup.CO_OCCURRENCES


class CoOccurrences(PairStatistic):
    """log(1 + 100 × a sum over pairs of (one of the user's last items, this item))."""

    columns = (
        # P(accepted right after the user's last item)
        InputColumn("after_last", GROUP, if_positive("often follows {last}")),
        # the same, mean over the last items, newest weighing most
        InputColumn("after_recent", GROUP, if_positive("often follows what you chose")),
        # share of co-occurrences with the last items
        InputColumn(
            "with_recent",
            GROUP,
            if_positive("often chosen together with what you chose"),
        ),
        # cosine-normalised co-occurrence, item-kNN's score
        InputColumn("with_cosine", GROUP, silent),
    )

    def __init__(self, moment: Moment) -> None:
        self._totals_N = moment.statistics.pair_totals()
        self._neighbours = moment.statistics.neighbours

    def pairs(
        self, histories: Sequence[IntArray], rows_T: NDArray[np.int64], request_T: NDArray[np.intp]
    ) -> FloatArray:
        n, some = len(self._totals_N), max(1, CELLS // len(self._totals_N))
        pairs = _Pairs(histories, self._neighbours, self._totals_N)
        sums_TS = np.zeros((len(rows_T), len(self.columns)))
        by_request_T = np.argsort(request_T, kind="stable")
        starts_B = np.searchsorted(request_T[by_request_T], np.arange(len(histories) + 1))
        slot = np.full(min(some, len(histories)) * n, NOWHERE, np.int32) if n <= CELLS else None
        for first in range(0, len(histories), some):  # so many that their cells stay in a cache
            last = min(first + some, len(histories))
            own_T = by_request_T[starts_B[first] : starts_B[last]]
            cell_T = (request_T[own_T] - first) * n + rows_T[own_T]
            sums_TS[own_T] = _sums(pairs, pairs.reached(first, last), cell_T, slot)
        return np.log1p(100.0 * sums_TS).astype(np.float32)

    def sharing(self, history: IntArray) -> IntArray:
        last = [row for row in history[-LAST_ITEMS:].tolist() if row >= 0]
        found = [pair.rows_E for row in last for pair in self._neighbours(row)]
        return np.concatenate(found) if found else np.zeros(0, np.int32)

    def catalogue(self, histories: Sequence[IntArray], out_BCN: FloatArray) -> None:
        n = out_BCN.shape[2]
        pairs = _Pairs(histories, self._neighbours, self._totals_N)
        reached = pairs.reached(0, len(histories))
        cells, slot_E = np.unique(reached.cell_E, return_inverse=True)
        for s, values_E in enumerate(pairs.values(reached, slice(None)).T):
            sums = np.bincount(slot_E, values_E, minlength=len(cells))
            out_BCN[cells // n, s, cells % n] = np.log1p(100.0 * sums)


def _sums(
    pairs: _Pairs, reached: _Reached, cell_T: NDArray[np.int64], slot: NDArray[np.int32] | None
) -> NDArray[np.float64]:
    """Of the cells asked for, (T, S). ``slot``: of every cell, ``NOWHERE`` now and after; None:
    they are too many, and searched for."""
    if not len(cell_T):
        return np.zeros((0, len(CoOccurrences.columns)))
    slot_T: NDArray[np.integer[Any]]
    slot_E: NDArray[np.integer[Any]]
    if slot is None:
        cells, slot_T = np.unique(cell_T, return_inverse=True)
        slot_E = np.minimum(np.searchsorted(cells, reached.cell_E), len(cells) - 1)
        hit_E = np.flatnonzero(cells[slot_E] == reached.cell_E)
    else:
        slot[cell_T] = np.arange(len(cell_T))  # a repeated candidate: one slot, read by both
        slot_T, slot_E = slot[cell_T], slot[reached.cell_E]
        slot[cell_T] = NOWHERE
        hit_E = np.flatnonzero(slot_E != NOWHERE)
    sums = [
        np.bincount(slot_E[hit_E], values_H, minlength=len(cell_T))[slot_T]
        for values_H in pairs.values(reached, hit_E).T
    ]
    return np.stack(sums, axis=1)


class _Reached(NamedTuple):
    """Cells that pairs reach: request by request, newest item first."""

    cell_E: NDArray[np.int64]
    entry_E: NDArray[np.int64]
    pair_E: NDArray[np.int64]


class _Pairs:
    """The last items of every request; neighbours of each item are laid out once."""

    def __init__(
        self,
        histories: Sequence[IntArray],
        neighbours: Callable[[int], list[Neighbours]],
        totals_N: NDArray[np.float64],
    ) -> None:
        self._last = last_items(histories, LAST_ITEMS)
        rows, self._item_P = np.unique(self._last.rows_P, return_inverse=True)
        found = [neighbours(row) for row in rows.tolist()]
        laid = [one for of_item in found for one in of_item] or [NOBODY]
        self._rows = np.concatenate([one.rows_E for one in laid])
        self._after = np.concatenate([one.after_E for one in laid])
        self._with = np.concatenate([one.with_E for one in laid])
        self._ends = np.cumsum([0, *(sum(len(one.rows_E) for one in each) for each in found)])
        self._totals_N = totals_N
        self._first_P = (self._last.nth_P == 0).astype(float)
        norms_P = NORMS[self._last.lengths()][self._last.user_P]
        self._weight_P = POWERS[self._last.nth_P] / norms_P
        self._total_P = totals_N[self._last.rows_P] + PRIOR

    def reached(self, first: int, last: int) -> _Reached:
        """By requests ``first`` to ``last``; their cells are counted from ``first``'s."""
        pair = np.arange(*self._last.starts_B[[first, last]])
        item = self._item_P[pair]
        start, lengths = self._ends[item], self._ends[item + 1] - self._ends[item]
        pair_E = np.repeat(pair, lengths)
        entry_E = np.arange(len(pair_E)) + np.repeat(start - np.cumsum(lengths) + lengths, lengths)
        cells_P = (self._last.user_P - first) * len(self._totals_N)
        return _Reached(cells_P[pair_E] + self._rows[entry_E], entry_E, pair_E)

    def values(self, reached: _Reached, some: NDArray[np.intp] | slice) -> FloatArray:
        """What some of the cells add to each sum, (H, S)."""
        entry, pair = reached.entry_E[some], reached.pair_E[some]
        first, weight, total = self._first_P[pair], self._weight_P[pair], self._total_P[pair]
        after, together = self._after[entry] / total, self._with[entry] / total
        cosine = together * np.sqrt(total / (self._totals_N[self._rows[entry]] + PRIOR))
        values = [first * after, weight * after, weight * together, weight * cosine]
        return np.stack(values, axis=1).astype(np.float32)
