"""Negatives for a click without impression, and how likely each was to be drawn.

Half by popularity^0.75, half uniform, over available items the user has not consumed. The same
(partition, offset) draws the same items from the same statistics.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.statistics import Statistics

POPULARITY_POWER = 0.75
POPULAR_PART = 0.5
POPULARITY_DECAY = "5000ev"


class NegativeSampler:
    """Draws from statistics that stand still; make a new one when they have moved."""

    def __init__(self, statistics: Statistics, catalogue: Catalogue, negatives: int) -> None:
        self._catalogue = catalogue
        self._negatives = negatives
        self._available_N = catalogue.available.copy()
        popularity = statistics.counts().accepts(POPULARITY_DECAY) ** POPULARITY_POWER
        uniform = self._available_N.astype(float)
        popularity = popularity * uniform
        total, open_items = popularity.sum(), uniform.sum()
        part = POPULAR_PART if total > 0 else 0.0
        self._q_N = part * popularity / max(total, 1e-12)
        self._q_N += (1.0 - part) * uniform / max(open_items, 1.0)
        self._cumulative_N = np.cumsum(self._q_N)

    def sample(
        self, partition: int, offset: int, target: int, consumed: Sequence[str]
    ) -> NDArray[np.int64]:
        """Distinct rows, ascending: at most ``negatives``, without the target and consumed."""
        if not len(self._cumulative_N) or self._cumulative_N[-1] <= 0:
            return np.zeros(0, np.int64)
        generator = np.random.default_rng([partition, offset])
        points = generator.random(self._negatives) * self._cumulative_N[-1]
        rows = np.unique(np.searchsorted(self._cumulative_N, points, side="right"))
        forbidden = {target, *(self._catalogue.row(i) for i in consumed)}
        kept = [r for r in rows.tolist() if r not in forbidden and r < len(self._q_N)]
        return np.array(kept, np.int64)

    def log_q(self, rows: NDArray[np.int64]) -> FloatArray:
        """log P(row is among the draws) = log(1 - (1 - q)^negatives)."""
        q = np.clip(self._q_N[rows], 1e-9, 1.0 - 1e-9)
        return np.asarray(np.log(-np.expm1(self._negatives * np.log1p(-q))), np.float32)
