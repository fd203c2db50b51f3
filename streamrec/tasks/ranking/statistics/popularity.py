"""How often an item is chosen and seen of late."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamrec.core.state.item_stats import DECAYS
from streamrec.tasks.ranking.statistics.declaration import (
    InputColumn,
    InputGroup,
    ItemStatistic,
    if_above_usual,
    silent,
)
from streamrec.tasks.ranking.statistics.moment import Moment

Array = NDArray[np.float64]

RATE_PRIOR = 20.0
VIEWS = ("500ev", "50000ev", "24h")
RATES = ("5000ev", "50000ev", "24h")


class Accepts(ItemStatistic):
    """log(1 + decayed accepted events)."""

    columns = tuple(
        InputColumn(f"accepts_{decay}", InputGroup.POPULARITY, if_above_usual("popular now"))
        for decay in DECAYS
    )

    def items(self, moment: Moment) -> Sequence[Array]:
        return list(np.log1p(moment.counts.accepts_ND).T)  # one for each of DECAYS


class Views(ItemStatistic):
    """log(1 + decayed exposures)."""

    columns = tuple(InputColumn(f"views_{decay}", InputGroup.POPULARITY, silent) for decay in VIEWS)

    def items(self, moment: Moment) -> Sequence[Array]:
        return [np.log1p(moment.counts.views(decay)) for decay in VIEWS]


class Rates(ItemStatistic):
    """Log lift of accepts / views over that of all items, with a prior."""

    columns = tuple(InputColumn(f"rate_{decay}", InputGroup.POPULARITY, silent) for decay in RATES)

    def items(self, moment: Moment) -> Sequence[Array]:
        counts = moment.counts
        return [_log_lift(counts.accepts(decay), counts.views(decay)) for decay in RATES]


def overall_rate(accepts_N: Array, views_N: Array) -> float:
    """Accepts / views of all items together."""
    return (float(accepts_N.sum()) + 1.0) / (float(views_N.sum()) + 2.0)


def _log_lift(accepts_N: Array, views_N: Array) -> Array:
    overall = overall_rate(accepts_N, views_N)
    smoothed = (accepts_N + RATE_PRIOR * overall) / (views_N + RATE_PRIOR)
    return np.asarray(np.log(smoothed / overall))
