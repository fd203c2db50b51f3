"""An item's statistic against what is usual among the user's last items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import IntArray
from streamrec.core.state.last_items import last_items
from streamrec.tasks.ranking.statistics.ages import Ages
from streamrec.tasks.ranking.statistics.declaration import (
    InputColumn,
    InputGroup,
    ItemStatistic,
    PairStatistic,
    silent,
)
from streamrec.tasks.ranking.statistics.moment import Moment
from streamrec.tasks.ranking.statistics.popularity import Accepts

LAST_ITEMS = 12


class Gap(PairStatistic):
    """Its value minus the mean of the user's last items; 0 for a user who has none."""

    of: ClassVar[tuple[type[ItemStatistic], str]]

    def __init__(self, moment: Moment) -> None:
        statistic, name = self.of
        self._values_N = moment.once(statistic).column(name)

    def pairs(
        self, histories: Sequence[IntArray], rows_T: NDArray[np.int64], request_T: NDArray[np.intp]
    ) -> FloatArray:
        usual_B, has_B = self._usual(histories)
        gap_T = (self._values_N[rows_T] - usual_B[request_T]) * has_B[request_T]
        return np.asarray(gap_T[:, None])

    def catalogue(self, histories: Sequence[IntArray], out_BCN: FloatArray) -> None:
        usual_B, has_B = self._usual(histories)
        np.subtract(self._values_N, usual_B[:, None], out=out_BCN[:, 0])
        out_BCN[:, 0] *= has_B[:, None]

    def _usual(self, histories: Sequence[IntArray]) -> tuple[FloatArray, FloatArray]:
        """The mean of each user's last items (B,), and 1 where there are any."""
        usual_B, has_B = np.zeros((2, len(histories)), np.float32)
        last = last_items(histories, LAST_ITEMS)
        for length in np.unique(last.lengths()[last.lengths() > 0]).tolist():
            users = np.flatnonzero(last.lengths() == length)
            oldest_first = np.arange(length)[::-1]
            rows = last.rows_P[last.starts_B[users, None] + oldest_first]
            usual_B[users], has_B[users] = self._values_N[rows].mean(axis=1), 1.0
        return usual_B, has_B


class PopularityGap(Gap):
    columns = (InputColumn("popularity_gap", InputGroup.POPULARITY, silent),)
    of = (Accepts, "accepts_5000ev")


class AgeGap(Gap):
    columns = (InputColumn("age_gap", InputGroup.AGE, silent),)
    of = (Ages, "age")
