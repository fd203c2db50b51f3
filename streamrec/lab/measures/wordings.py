"""How well scores of wordings foretold which was clicked more, and whether that was luck.

Every measure is a ratio of sums over tests, so a bootstrap over tests needs only the two parts
of each test. Intervals are of paired differences: the same tests are drawn for both.

- pairs: of two arms of a test, the one with the higher score had the higher rate (a tie counts
  half); of all pairs, and of those whose rates differ at 5 % and at 0.1 %;
- pick: rate of the arm with the highest score over the mean arm, less 1; the mean over tests;
- bandit: expected clicks of the first impressions over showing all arms equally, less 1.

Shapes: T tests, A arms of one, R resamples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 2_000
LEVELS = {"all": 0.0, "p05": 1.959964, "p001": 3.290527}
"""Name of a set of pairs: how many standard errors their rates differ, at least."""


class Parts(NamedTuple):
    """A measure, test by test: sum(over_T) / sum(under_T) - less."""

    over_T: Floats
    under_T: Floats
    less: float = 0.0

    def of(self, chosen_T: NDArray[np.bool_]) -> Parts:
        """Of some of the tests."""
        return Parts(self.over_T[chosen_T], self.under_T[chosen_T], self.less)

    @property
    def value(self) -> float | None:
        """None where there is nothing to measure."""
        total = float(self.under_T.sum())
        return float(self.over_T.sum()) / total - self.less if total else None


Measures = Mapping[str, Parts]
"""By dotted name: ``pairs.p05``, ``pick.lift``, ``bandit.300.prior`` …"""


def pair_parts(
    counts: Sequence[tuple[Floats, Floats]], scores: Sequence[Floats]
) -> dict[str, Parts]:
    """``counts``: views and clicks of each test's arms."""
    found = [
        _pairs(views_A, clicks_A, score_A)
        for (views_A, clicks_A), score_A in zip(counts, scores, strict=True)
    ]
    parts = {}
    for name, least in LEVELS.items():
        right_T = np.array([(right_P * (z_P > least)).sum() for z_P, right_P in found])
        number_T = np.array([(z_P > least).sum() for z_P, _ in found], float)
        parts[f"pairs.{name}"] = Parts(right_T, number_T)
    return parts


def pick_parts(
    counts: Sequence[tuple[Floats, Floats]], scores: Sequence[Floats]
) -> dict[str, Parts]:
    """Of what the scores pick, and of what is best in hindsight."""
    rates = [clicks_A / views_A for views_A, clicks_A in counts]
    known = [max(float(rate_A.mean()), 1e-12) for rate_A in rates]
    picked = [
        float(rate_A[score_A == score_A.max()].mean())
        for rate_A, score_A in zip(rates, scores, strict=True)
    ]
    best = [float(rate_A.max()) for rate_A in rates]
    ones_T = np.ones(len(rates))
    return {
        "pick.lift": Parts(np.array(picked) / known - ones_T, ones_T),
        "pick.oracle": Parts(np.array(best) / known - ones_T, ones_T),
    }


def difference(ours: Parts, theirs: Parts, seed: int) -> dict[str, Any] | None:
    """``mean`` of ours less theirs, and ``low`` to ``high``: 95 %, paired over tests."""
    if ours.value is None or theirs.value is None:
        return None
    tests = len(ours.over_T)
    generator = np.random.default_rng(seed)
    times_RT = generator.multinomial(tests, np.full(tests, 1 / tests), size=RESAMPLES)
    drawn_R = _ratio(times_RT, ours) - _ratio(times_RT, theirs)
    drawn_R = drawn_R[np.isfinite(drawn_R)]
    low, high = np.quantile(drawn_R, [0.025, 0.975]) if len(drawn_R) else (math.nan, math.nan)
    return {"mean": ours.value - theirs.value, "low": float(low), "high": float(high)}


def nested(measures: Measures) -> dict[str, Any]:
    """The report's form: ``pairs.p05.accuracy``, ``pick.lift``, ``bandit.300.prior.lift``."""
    report: dict[str, Any] = {"pairs": {}, "pick": {}, "bandit": {}}
    for name, parts in measures.items():
        kind, *rest = name.split(".")
        if kind == "pairs":
            number = int(parts.under_T.sum())
            report["pairs"][rest[0]] = {"n": number, "accuracy": parts.value}
        elif kind == "pick":
            report["pick"][rest[0]] = parts.value
        else:
            report["bandit"].setdefault(rest[0], {})[rest[1]] = {"lift": parts.value}
    return report


def _pairs(views_A: Floats, clicks_A: Floats, score_A: Floats) -> tuple[Floats, Floats]:
    """How far apart the rates of each pair are, in standard errors, and how right its scores."""
    one_P, other_P = np.triu_indices(len(views_A), k=1)
    rate_A = clicks_A / views_A
    pooled_P = (clicks_A[one_P] + clicks_A[other_P]) / (views_A[one_P] + views_A[other_P])
    variance_P = pooled_P * (1 - pooled_P) * (1 / views_A[one_P] + 1 / views_A[other_P])
    gap_P = rate_A[one_P] - rate_A[other_P]
    z_P = np.abs(gap_P) / np.sqrt(np.maximum(variance_P, 1e-30))
    right_P = (1.0 + np.sign(score_A[one_P] - score_A[other_P]) * np.sign(gap_P)) / 2
    return np.where(gap_P == 0, 0.0, z_P), right_P


def _ratio(times_RT: NDArray[np.integer[Any]], parts: Parts) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return (times_RT @ parts.over_T) / (times_RT @ parts.under_T) - parts.less
