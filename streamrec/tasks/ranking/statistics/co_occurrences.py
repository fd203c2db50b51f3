"""What others chose after, and together with, the user's last items.

Legend: E (request, item) cells that some pair of items reaches, S sums.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import IntArray
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
        n = len(self._totals_N)
        cell_E, values_ES = self._cells(histories, n)
        cells, slot_T = np.unique(request_T * n + rows_T, return_inverse=True)
        slot_E = np.minimum(np.searchsorted(cells, cell_E), len(cells) - 1)
        hit = cells[slot_E] == cell_E
        sums = [
            np.bincount(slot_E[hit], values_E[hit], minlength=len(cells))[slot_T]
            for values_E in values_ES.T
        ]
        return np.asarray(np.log1p(100.0 * np.stack(sums, axis=1)), np.float32)

    def sharing(self, history: IntArray) -> IntArray:
        last = [row for row in history[-LAST_ITEMS:].tolist() if row >= 0]
        found = [pair.rows_E for row in last for pair in self._neighbours(row)]
        return np.concatenate(found) if found else np.zeros(0, np.int32)

    def catalogue(self, histories: Sequence[IntArray], out_BCN: FloatArray) -> None:
        n = out_BCN.shape[2]
        cell_E, values_ES = self._cells(histories, n)
        cells, slot_E = np.unique(cell_E, return_inverse=True)
        for s, values_E in enumerate(values_ES.T):
            sums = np.bincount(slot_E, values_E, minlength=len(cells))
            out_BCN[cells // n, s, cells % n] = np.log1p(100.0 * sums)

    def _cells(self, histories: Sequence[IntArray], n: int) -> tuple[NDArray[np.int64], FloatArray]:
        """Every (request, item) cell and what it adds to each sum, (E,) and (E, S)."""
        totals = self._totals_N + PRIOR
        pairs: list[Neighbours] = []
        scalars: list[tuple[float, float, float, float]] = []
        for b, rows in enumerate(histories):
            last = [r for r in rows[: -1 - LAST_ITEMS : -1].tolist() if r >= 0]
            norm = sum(DECAY**j for j in range(len(last))) or 1.0
            for j, row in enumerate(last):
                for pair in self._neighbours(row):
                    pairs.append(pair)
                    scalars.append((b, float(j == 0), DECAY**j / norm, totals[row]))
        if not pairs:
            return np.zeros(0, np.int64), np.zeros((0, len(self.columns)), np.float32)
        lengths = [len(pair.rows_E) for pair in pairs]
        request, first, weight, total = np.repeat(np.array(scalars).T, lengths, axis=1)
        rows_E = np.concatenate([pair.rows_E for pair in pairs])
        after = np.concatenate([pair.after_E for pair in pairs]) / total
        together = np.concatenate([pair.with_E for pair in pairs]) / total
        cosine = together * np.sqrt(total / totals[rows_E])
        values = [first * after, weight * after, weight * together, weight * cosine]
        return request.astype(np.int64) * n + rows_E, np.stack(values, axis=1).astype(np.float32)
