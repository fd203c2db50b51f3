"""How new an item is, and how long ago it was last chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamrec.core.state.item_stats import MS_PER_HOUR
from streamrec.tasks.ranking.statistics.declaration import (
    InputColumn,
    InputGroup,
    ItemStatistic,
    if_below_usual,
    if_positive,
    silent,
)
from streamrec.tasks.ranking.statistics.moment import Moment

LONG_AGO = math.log1p(24 * 365)
"""Stands for the hours since something that has never been."""


class Ages(ItemStatistic):
    """Hours of event time, up to the watermark."""

    columns = (
        # log(1 + hours since first seen); 0 when never
        InputColumn("age", InputGroup.AGE, if_below_usual("new here")),
        # 1 when no event has named it
        InputColumn("unseen", InputGroup.AGE, if_positive("new here")),
        # log(1 + hours since it was last accepted); LONG_AGO when never
        InputColumn("since_accept", InputGroup.AGE, silent),
    )

    def items(self, moment: Moment) -> Sequence[NDArray[np.float64]]:
        counts = moment.counts
        first_ms, accepted_ms = counts.first_seen_ms_N, counts.last_accept_ms_N
        age, since = (
            np.log1p(np.maximum(0, counts.watermark_ms - at_ms) / MS_PER_HOUR)
            for at_ms in (first_ms, accepted_ms)
        )
        seen = first_ms > 0
        return [
            np.where(seen, age, 0.0),
            np.where(seen, 0.0, 1.0),
            np.where(accepted_ms > 0, since, LONG_AGO),
        ]
