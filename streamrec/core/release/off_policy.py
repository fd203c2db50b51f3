"""What a generation would be worth without exploring, from lists that were made exploring.

A logged list was shown with probability p (the product of its items' propensities); the
policy asked about would show it with probability q. Its weight is w = q / p and with r its
outcome:

- value: sum(w r) / sum(w), SNIPS (Swaminathan & Joachims 2015, "The self-normalized
  estimator for counterfactual learning");
- effective sample size: sum(w)^2 / sum(w^2) (Kong 1992; Owen, "Monte Carlo theory, methods
  and examples", chapter 9): an estimate from 1,000 lists with an effective size of 12 is an
  estimate from 12 lists;
- standard error: the delta method's for a ratio, sqrt(sum(w^2 (r - value)^2)) / sum(w).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class Snips:
    """Running sums over lists; one addition a list, however many there are."""

    lists: int = 0
    _w: float = 0.0
    _ww: float = 0.0
    _wr: float = 0.0
    _wwr: float = 0.0
    _wwrr: float = 0.0

    def add(self, weight: float, outcome: float) -> None:
        """``weight``: q / p, not negative."""
        self.lists += 1
        self._w += weight
        self._ww += weight * weight
        self._wr += weight * outcome
        self._wwr += weight * weight * outcome
        self._wwrr += weight * weight * outcome * outcome

    @property
    def value(self) -> float | None:
        """None while no list has a weight."""
        return self._wr / self._w if self._w else None

    @property
    def effective(self) -> float:
        """Effective sample size, in lists."""
        return self._w * self._w / self._ww if self._ww else 0.0

    @property
    def standard_error(self) -> float | None:
        value = self.value
        if value is None:
            return None
        squares = self._wwrr - 2 * value * self._wwr + value * value * self._ww
        return math.sqrt(max(0.0, squares)) / self._w


def greedy_weight(propensities: Sequence[float], *, explored: bool) -> float:
    """Weight of a list for the same generation's policy without exploration.

    That policy shows the best items for sure: an explored list never.

    Raises:
        ValueError: for a propensity that is not in (0, 1].
    """
    if not all(0.0 < p <= 1.0 for p in propensities):
        raise ValueError(f"a propensity is not in (0, 1]: {list(propensities)}")
    return 0.0 if explored else 1.0 / math.prod(propensities)
