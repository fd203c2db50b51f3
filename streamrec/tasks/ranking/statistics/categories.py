"""How an item's categories do, and how much the user chooses them.

Legend: M categories of one item, K categories and the padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import IntArray
from streamrec.core.state.last_items import last_items
from streamrec.tasks.ranking.statistics.declaration import (
    InputColumn,
    InputGroup,
    ItemStatistic,
    PairStatistic,
    ReasonInputs,
    if_positive,
    silent,
)
from streamrec.tasks.ranking.statistics.moment import Moment
from streamrec.tasks.ranking.statistics.popularity import RATE_PRIOR, overall_rate

Array = NDArray[np.float64]

DECAY = "5000ev"
TASTE_DECAY = 0.93
"""The n-th newest item of a history weighs this to the n."""
LIFT_PRIOR = np.float32(0.05)
DENSE = 256
"""Up to so many categories, a product with a dense matrix beats many gathers."""


class Membership:
    """How much each item belongs to each category, and sums over either."""

    def __init__(self, moment: Moment) -> None:
        self.categories_NM = moment.catalogue.categories
        self.padding = moment.catalogue.category_count
        real = self.categories_NM != self.padding
        weights = real / np.maximum(real.sum(1, keepdims=True), 1)
        self.weights_NM: FloatArray = np.asarray(weights, np.float32)
        self._dense_NK = self._dense() if self.padding <= DENSE else None
        accepts_N = moment.counts.accepts(DECAY)
        self.share_K = self.sums(accepts_N) / max(float(accepts_N.sum()), 1.0)
        self.share_N = self.means(self.share_K)

    def _dense(self) -> FloatArray:
        n = len(self.categories_NM)
        dense_NK = np.zeros((n, self.padding + 1), np.float32)
        dense_NK[np.arange(n)[:, None], self.categories_NM] = self.weights_NM
        return dense_NK

    def sums(self, values_N: Array) -> Array:
        """Sum of an item column by category, shared out over an item's own. (K,)."""
        if self._dense_NK is not None:
            return np.asarray(values_N.astype(np.float32) @ self._dense_NK, np.float64)
        weighted = values_N[:, None] * self.weights_NM
        length = self.padding + 1
        sums = np.bincount(self.categories_NM.ravel(), weighted.ravel(), minlength=length)
        return np.asarray(sums, np.float64)

    def means(self, values_K: NDArray[np.floating[Any]]) -> FloatArray:
        """Mean of a category column over an item's own. (N,)."""
        if self._dense_NK is not None:
            return np.asarray(self._dense_NK @ values_K.astype(np.float32))
        return np.asarray((values_K[self.categories_NM] * self.weights_NM).sum(1), np.float32)


class CategoryPopularity(ItemStatistic):
    """Of its categories, the mean."""

    columns = (
        # log lift of accepts / views
        InputColumn("category_rate", InputGroup.TASTE, silent),
        # log(1 + 100 × share of all accepted events)
        InputColumn("category_share", InputGroup.TASTE, silent),
    )

    def items(self, moment: Moment) -> Sequence[NDArray[np.floating[Any]]]:
        membership = moment.once(Membership)
        accepts_N, views_N = moment.counts.accepts(DECAY), moment.counts.views(DECAY)
        overall = overall_rate(accepts_N, views_N)
        accepts_K, views_K = membership.sums(accepts_N), membership.sums(views_N)
        smoothed_K = (accepts_K + RATE_PRIOR * overall) / (views_K + RATE_PRIOR)
        lift_K = np.log(smoothed_K / overall)
        lift_K[-1] = 0.0
        return [membership.means(lift_K), np.log1p(100.0 * membership.share_N)]


def _kind(name: str, seen: ReasonInputs) -> str:
    more = if_positive("of a kind you choose more than others do")("affinity_lift", seen)
    return more or if_positive("of a kind you have chosen")(name, seen)


class Affinity(PairStatistic):
    """What its categories are to the user."""

    columns = (
        # mean weight of its categories in the user's history
        InputColumn("affinity", InputGroup.TASTE, _kind),
        # log of that over the categories' share of all accepted events
        InputColumn("affinity_lift", InputGroup.TASTE, silent),
    )

    def __init__(self, moment: Moment) -> None:
        self._membership = moment.once(Membership)

    def pairs(
        self, histories: Sequence[IntArray], rows_T: NDArray[np.int64], request_T: NDArray[np.intp]
    ) -> FloatArray:
        of = self._membership
        tastes_BK = self._tastes(histories)
        categories_TM, weights_TM = of.categories_NM[rows_T], of.weights_NM[rows_T]
        own_T = (tastes_BK[request_T[:, None], categories_TM] * weights_TM).sum(1)
        lift_T = np.log((own_T + LIFT_PRIOR) / (of.share_N[rows_T] + LIFT_PRIOR))
        has_taste_T = (tastes_BK.max(1) > 0)[request_T]
        return np.stack([own_T, np.where(has_taste_T, lift_T, 0.0)], axis=1).astype(np.float32)

    def catalogue(self, histories: Sequence[IntArray], out_BCN: FloatArray) -> None:
        everyone_N = np.log(self._membership.share_N + LIFT_PRIOR)
        for out_CN, taste_K in zip(out_BCN, self._tastes(histories), strict=True):
            if taste_K.max() > 0:
                out_CN[0] = self._membership.means(taste_K)
                np.log(out_CN[0] + LIFT_PRIOR, out=out_CN[1])
                out_CN[1] -= everyone_N

    def _tastes(self, histories: Sequence[IntArray]) -> FloatArray:
        """Share of each category in a history, newest weighing most. (B, K), padding 0."""
        of, length = self._membership, self._membership.padding + 1
        items = last_items(histories)
        weight_P = TASTE_DECAY**items.nth_P
        cells = items.user_P[:, None] * length + of.categories_NM[items.rows_P]
        weights = weight_P[:, None] * of.weights_NM[items.rows_P]
        taste = np.bincount(cells.ravel(), weights.ravel(), minlength=len(histories) * length)
        longest = int(items.lengths().max(initial=0))
        totals = [(TASTE_DECAY ** np.arange(max(1, n))).sum() for n in range(longest + 1)]
        totals_B = np.array(totals)[items.lengths()]
        return np.asarray(taste.reshape(-1, length) / totals_B[:, None], np.float32)
