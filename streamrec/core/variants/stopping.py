"""Whether a test of wordings may end: an answer that may be asked for at any time.

The best arm so far is held against each other one by the sequential test that guards canaries
(``core.release.sequential_test``), each at an equal part of the chance of being wrong once. A view
is a list of one user.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from streamrec.core.release.sequential_test import Rate, TestRules, Verdict, look
from streamrec.core.variants.beta import Array, expected_losses, intervals, shares
from streamrec.core.variants.traffic import Arms

ALPHA = 0.05
MIN_VIEWS = 100
"""Of each arm, before anything is concluded."""


class ArmReport(NamedTuple):
    """One wording. ``low`` to ``high``: 95 % of what is believed of its click rate; ``loss``: click
    rate that is lost on average by stopping now with it."""

    variant_id: str
    views: int
    clicks: int
    mean: float
    low: float
    high: float
    share: float
    loss: float


class ArmsReport(NamedTuple):
    """``winner``: the test may stop, with this one; None: not yet."""

    arms: tuple[ArmReport, ...]
    winner: str | None


def report_of(arms: Arms) -> ArmsReport:
    """What can be said by now."""
    believed = arms.believed
    limits_A2, losses_A = intervals(believed, seed=1), expected_losses(believed, seed=1)
    shares_A, means_A = shares(believed, seed=0), believed.means
    rows = tuple(
        ArmReport(
            variant,
            int(arms.views_A[at]),
            int(arms.clicks_A[at]),
            float(means_A[at]),
            float(limits_A2[at, 0]),
            float(limits_A2[at, 1]),
            float(shares_A[at]),
            float(losses_A[at]),
        )
        for at, variant in enumerate(arms.variants)
    )
    return ArmsReport(rows, _winner(arms))


def _winner(arms: Arms) -> str | None:
    number = len(arms.variants)
    if number < 2 or arms.views_A.min() < 1:
        return None
    best = int(np.argmax(arms.clicks_A / arms.views_A))
    rules = TestRules(alpha=ALPHA / (number - 1), min_lists=MIN_VIEWS)
    ahead = all(
        look(
            _rate(arms.views_A, arms.clicks_A, other),
            _rate(arms.views_A, arms.clicks_A, best),
            rules,
        ).verdict
        is Verdict.BENEFIT
        for other in range(number)
        if other != best
    )
    return arms.variants[best] if ahead else None


def _rate(views_A: Array, clicks_A: Array, at: int) -> Rate:
    views, clicks = float(views_A[at]), float(clicks_A[at])
    mean = clicks / views
    return Rate(views, clicks, int(views), mean, mean * (1.0 - mean) / views)
