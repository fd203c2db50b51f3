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

_GAMMA = np.uint64(0x9E3779B97F4A7C15)


class NegativeSampler:
    """Draws from statistics that stand still; make a new one when they have moved."""

    def __init__(
        self, statistics: Statistics, catalogue: Catalogue, negatives: int, kept: int | None = None
    ) -> None:
        """``negatives``: draws; ``kept``: of what they find, by chance; None: all of it."""
        self._catalogue = catalogue
        self._negatives = negatives
        self._kept = kept or negatives
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
        self,
        partition: int,
        offsets: Sequence[int],
        targets: Sequence[int],
        consumed: Sequence[Sequence[str]],
    ) -> list[tuple[NDArray[np.int64], float]]:
        """For each of K events distinct rows, ascending, without its target and consumed items; and
        the share that they are of those that were drawn."""
        if not len(self._cumulative_N) or self._cumulative_N[-1] <= 0:
            return [(np.zeros(0, np.int64), 1.0) for _ in offsets]
        points_KM = uniform(partition, offsets, 2 * self._negatives)
        chances_KM = points_KM[:, self._negatives :]
        points_KM = np.sort(points_KM[:, : self._negatives], axis=1) * self._cumulative_N[-1]
        rows_KM = np.searchsorted(self._cumulative_N, points_KM, side="right")
        allowed_KM = rows_KM < len(self._q_N)
        allowed_KM[:, 1:] &= rows_KM[:, 1:] != rows_KM[:, :-1]
        self._forbid(rows_KM, allowed_KM, targets, consumed)
        kept_KM, allowed_K = self._some(allowed_KM, chances_KM), allowed_KM.sum(1).tolist()
        return [
            (rows_M[kept_M], min(1.0, self._kept / max(1, allowed)))
            for rows_M, kept_M, allowed in zip(rows_KM, kept_KM, allowed_K, strict=True)
        ]

    def _forbid(
        self,
        rows_KM: NDArray[np.int64],
        allowed_KM: NDArray[np.bool_],
        targets: Sequence[int],
        consumed: Sequence[Sequence[str]],
    ) -> None:
        """Of each event its own target and items."""
        forbidden_N = np.zeros(len(self._q_N) + 1, bool)  # the last one: of unknown items
        for k, (target, items) in enumerate(zip(targets, consumed, strict=True)):
            own = self._catalogue.rows(items)
            forbidden_N[own] = forbidden_N[target] = True
            allowed_KM[k] &= ~forbidden_N[rows_KM[k]]
            forbidden_N[own] = forbidden_N[target] = False

    def _some(
        self, allowed_KM: NDArray[np.bool_], chances_KM: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """At most as many as are kept, each row with the same chance: the n-th that is allowed has
        the n-th."""
        if self._kept >= allowed_KM.shape[1]:
            return allowed_KM
        nth_KM = np.maximum(np.cumsum(allowed_KM, axis=1) - 1, 0)
        own_KM = np.where(allowed_KM, np.take_along_axis(chances_KM, nth_KM, axis=1), 2.0)
        last_K = np.partition(own_KM, self._kept - 1, axis=1)[:, self._kept - 1]
        return allowed_KM & (own_KM <= last_K[:, None])

    def log_q(self, rows: NDArray[np.int64]) -> FloatArray:
        """log P(row is among the draws) = log(1 - (1 - q)^negatives)."""
        q = np.clip(self._q_N[rows], 1e-9, 1.0 - 1e-9)
        return np.asarray(np.log(-np.expm1(self._negatives * np.log1p(-q))), np.float32)


def uniform(partition: int, offsets: Sequence[int], count: int) -> NDArray[np.float64]:
    """Numbers in [0, 1) that follow from partition, offset and place alone: (len(offsets), count).

    SplitMix64 (Steele, Lea & Flood 2014), each offset a stream of its own.
    """
    seeds_K = np.asarray(offsets, np.uint64) + _mixed(np.array([partition], np.uint64))
    steps_M = np.arange(1, count + 1, dtype=np.uint64) * _GAMMA
    mixed_KM = _mixed(_mixed(seeds_K)[:, None] + steps_M)
    return np.asarray((mixed_KM >> np.uint64(11)) * 2.0**-53, np.float64)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64: every bit of a value moves half of all bits."""
    values = values + _GAMMA
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
