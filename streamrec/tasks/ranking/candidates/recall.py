"""How many of the exact ten best are among the candidates, on a sample of lists.

One list of ``ONE_OF`` is asked for again, both ways, by the thread that keeps the mirror fresh:
catalogue and statistics stand still for it, and whoever answers waits for nothing. It takes no
more than ``SHARE`` of that thread's time, so that of a large catalogue fewer lists are looked at.

Knows scores. Does not know what a list that falls short means (``streamrec doctor`` says).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from time import perf_counter

import numpy as np

from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import BoolArray, IntArray
from streamrec.tasks.ranking.features import FeatureMaker
from streamrec.tasks.ranking.lists.model_ports import PoolRequest, RankingModel

log = logging.getLogger(__name__)

ONE_OF = 200
SHARE = 0.05
REMEMBERED = 100
"""Lists that the figure is the mean of."""
TOP = 10

Allowed = Callable[[PoolRequest], BoolArray]
"""Which rows may be shown: (N,)."""


class RecallMeter:
    """One thread offers, another measures."""

    def __init__(self, timer: Callable[[], float] = perf_counter) -> None:
        self._timer = timer
        self._seen = 0
        self._offered: tuple[PoolRequest, RankingModel] | None = None
        self._found: deque[float] = deque(maxlen=REMEMBERED)
        self._not_before_s = 0.0

    @property
    def gauges(self) -> dict[str, float]:
        """Nothing before a list was measured."""
        found = tuple(self._found)
        if not found:
            return {}
        return {"recall_at_10": sum(found) / len(found), "recall_lists": float(len(found))}

    def offer(self, asked: PoolRequest, model: RankingModel) -> None:
        """A list that was made from candidates. What was asked for in words is not sampled."""
        self._seen += 1
        if self._offered is None and not asked.query and self._seen % ONE_OF == 1 % ONE_OF:
            self._offered = asked, model

    def measure(self, features: FeatureMaker, allowed: Allowed) -> None:
        """What was offered, if it is time."""
        start_s, offered = self._timer(), self._offered
        if offered is None or start_s < self._not_before_s:
            return
        found = recall(*offered, features, allowed)
        if found is not None:
            self._found.append(found)
        self._offered = None
        end_s = self._timer()
        self._not_before_s = end_s + (end_s - start_s) / SHARE


def recall(
    asked: PoolRequest, model: RankingModel, features: FeatureMaker, allowed: Allowed
) -> float | None:
    """Part of the exact ``TOP`` that candidates find; None where there is nothing to find."""
    candidates = model.candidates([asked], features)
    allowed_N = allowed(asked)
    scores_N = model.exact(asked.user, asked.now_ms, features)
    exact = _best(np.flatnonzero(allowed_N).astype(np.int32), scores_N)
    if not len(exact):
        return None
    return float(np.isin(exact, candidates.rows[0]).mean())


def _best(rows: IntArray, scores_N: FloatArray) -> IntArray:
    keys = scores_N[rows]
    rows, keys = rows[np.isfinite(keys)], keys[np.isfinite(keys)]
    return rows[np.argsort(-keys, kind="stable")[:TOP]]
