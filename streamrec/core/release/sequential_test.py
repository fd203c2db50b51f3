"""Is the canary worse than the champion, or better? An answer that may be asked for at any time.

A test with a fixed sample size is wrong far more often than it says when somebody looks
after every list and stops at the first bad look. The mixture sequential probability ratio
test is not: with theta the difference of the two rates, V the variance of that difference
and tau the standard deviation of differences thought possible,

    Lambda = sqrt(V / (V + tau^2)) exp(tau^2 theta^2 / (2 V (V + tau^2)))

exceeds 1 / alpha with probability alpha at most, over all looks together, when there is no
difference (Robbins 1970; Johari, Koomen, Pekelis & Walsh 2022, "Always valid inference:
continuous monitoring of A/B tests", section 5 for two Bernoulli streams). Turned round, it
gives an interval that holds the true difference at all times.

V is a normal approximation, so a verdict waits for ``min_lists`` and ``MIN_USERS`` in
each arm and ``MIN_CLICKS`` in both together. Lists of one user are not independent: V is
taken over whole users (the sandwich variance of a ratio of sums), and is never smaller than
that of independent lists. A variance that few users or a few busy ones were asked about is
uncertain itself: it is stretched by that of Student's t, n / (n - 2) with n one less than
the effective number of users (Kish 1965). What one user can weigh is capped.

How often it is wrong, and how fast it is right: tests/unit/core/test_sequential_test.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

MIN_CLICKS = 10
MIN_USERS = 5


class Rate(NamedTuple):
    """Share of the lists of one arm that were clicked."""

    lists: float = 0.0  # after the cap
    clicked: float = 0.0
    users: int = 0
    mean: float = 0.0
    user_variance: float = math.inf  # of the mean, over whole users


class Verdict(StrEnum):
    UNDECIDED = "undecided"
    HARM = "harm"
    BENEFIT = "benefit"


@dataclass(frozen=True, slots=True)
class TestRules:
    """``alpha``: chance of a wrong verdict. ``harm``: this part of the champion's rate may go.

    ``effect``: differences of about this part of the rate are expected; a wrong guess costs
    time, never validity.
    """

    __test__ = False  # for pytest

    alpha: float = 0.05
    harm: float = 0.0
    effect: float = 0.5
    min_lists: int = 50


@dataclass(frozen=True, slots=True)
class Look:
    """One look at both arms. ``interval``: of canary minus champion, valid at all times."""

    verdict: Verdict
    champion: Rate
    canary: Rate
    difference: float
    interval: tuple[float, float]
    enough: bool = False  # lists, users and clicks for a verdict

    def __str__(self) -> str:
        canary, champion = self.canary, self.champion
        low, high = self.interval
        return (
            f"clicked {canary.mean:.3f} of {canary.lists:.0f} lists ({canary.users} users) against "
            f"{champion.mean:.3f} of {champion.lists:.0f} ({champion.users}): "
            f"{self.difference:+.3f}, at all times between {low:+.3f} and {high:+.3f}"
        )


def capped_rate(lists_U: ArrayLike, clicked_U: ArrayLike, user_lists: int) -> Rate:
    """Rate over users, each with a list, weighing at most ``user_lists``. Shape: U users."""
    counts_U = np.asarray(lists_U, np.float64)
    if not counts_U.size:
        return Rate()
    weights_U = np.minimum(counts_U, user_lists)
    clicked_weight_U = weights_U * (np.asarray(clicked_U, np.float64) / counts_U)
    lists, clicked, users = float(weights_U.sum()), float(clicked_weight_U.sum()), len(counts_U)
    mean = clicked / lists
    variance = math.inf
    freedom = lists**2 / float(weights_U @ weights_U) - 1  # effective users, less one
    if freedom > 2:
        residuals_U = clicked_weight_U - mean * weights_U
        sandwich = float(residuals_U @ residuals_U) / lists**2 * users / (users - 1)
        variance = sandwich * freedom / (freedom - 2)
    return Rate(lists, clicked, users, mean, variance)


def look(champion: Rate, canary: Rate, rules: TestRules) -> Look:
    """What can be said by now."""
    if not (champion.lists and canary.lists):
        return Look(Verdict.UNDECIDED, champion, canary, 0.0, (-1.0, 1.0))
    pooled = (champion.clicked + canary.clicked + 1.0) / (champion.lists + canary.lists + 2.0)
    difference = canary.mean - champion.mean
    halfwidth = _halfwidth(champion, canary, pooled, 1.0, rules)
    interval = max(-1.0, difference - halfwidth), min(1.0, difference + halfwidth)
    ready = (
        min(champion.lists, canary.lists) >= rules.min_lists
        and min(champion.users, canary.users) >= MIN_USERS
        and champion.clicked + canary.clicked >= MIN_CLICKS
    )
    verdict = Verdict.UNDECIDED
    if ready and interval[0] > 0:
        verdict = Verdict.BENEFIT
    elif ready and _harmful(champion, canary, pooled, rules):
        verdict = Verdict.HARM
    return Look(verdict, champion, canary, difference, interval, ready)


def _harmful(champion: Rate, canary: Rate, pooled: float, rules: TestRules) -> bool:
    """Whether the canary is below what the champion's rate may fall to."""
    kept = 1.0 - rules.harm
    missing = canary.mean - kept * champion.mean
    return missing + _halfwidth(champion, canary, pooled, kept, rules) < 0


def _halfwidth(champion: Rate, canary: Rate, pooled: float, kept: float, rules: TestRules) -> float:
    """Of the interval around ``canary - kept * champion``: where Lambda equals 1 / alpha."""
    variance = _variance(canary, pooled) + kept**2 * _variance(champion, pooled)
    if not math.isfinite(variance):
        return math.inf
    mixing = (rules.effect * pooled) ** 2
    log_term = 2 * math.log(1 / rules.alpha) + math.log((variance + mixing) / variance)
    return math.sqrt(variance * (variance + mixing) / mixing * log_term)


def _variance(rate: Rate, pooled: float) -> float:
    return max(rate.user_variance, pooled * (1.0 - pooled) / rate.lists)
