"""Is model A better than model B, or was it luck?

A paired bootstrap over users, given one number per scored event, for both.

Events of one user are not independent (a user who is easy to please is so all the time),
so whole users are drawn, with replacement (Efron & Tibshirani 1993, chapter 8). Drawing
the same users for both models keeps the comparison paired.

Shapes: E scored events, U users, R resamples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEVEL = 0.95
"""Coverage of the intervals."""

_DRAWS_AT_ONCE = 4_000_000
"""Bounds memory: resamples are made in chunks of about this many drawn users."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A against B. ``ratio`` and its interval are NaN where B's mean is not above zero."""

    mean_a: float
    mean_b: float
    difference: float  # mean over events of A - B
    difference_interval: tuple[float, float]  # 95 %, percentile
    ratio: float  # mean of A / mean of B
    ratio_interval: tuple[float, float]
    p_value: float  # two-sided: A and B equal
    events: int
    users: int

    @property
    def significant(self) -> bool:
        """Whether the difference is significant at 5 %."""
        return self.p_value < 1.0 - LEVEL


def paired_bootstrap(
    users_E: NDArray[np.integer[Any]],
    a_E: NDArray[np.floating[Any]],
    b_E: NDArray[np.floating[Any]],
    generator: np.random.Generator,
    resamples: int = 10_000,
) -> Comparison:
    """Compare two models' metric over the same events by drawing users.

    ``users_E`` says whose event it is, by any whole number. The p-value is twice the
    smaller share of resamples on either side of no difference, counting the ties on both
    and the data itself once (Davison & Hinkley 1997, section 4.2), so it is never zero.

    Raises:
        ValueError: on no events, unequal lengths, or a metric that is not finite.
    """
    if not users_E.size or not users_E.shape == a_E.shape == b_E.shape:
        raise ValueError("a comparison needs the same events, at least one, from both models")
    if not (np.isfinite(a_E).all() and np.isfinite(b_E).all()):
        raise ValueError("a metric is not finite: a ranking with NaN scores must not be compared")
    sums_UK = _sums_by_user(users_E, a_E, b_E)
    a, b, events = sums_UK.sum(axis=0)
    drawn_RK = _resample(sums_UK, resamples, generator)
    means_a_R, means_b_R = drawn_RK[:, 0] / drawn_RK[:, 2], drawn_RK[:, 1] / drawn_RK[:, 2]
    differences_R = _settle(means_a_R - means_b_R)
    return Comparison(
        mean_a=float(a / events),
        mean_b=float(b / events),
        difference=float((a - b) / events),
        difference_interval=_interval(differences_R),
        ratio=float(a / b) if b > 0 else float("nan"),
        ratio_interval=_ratio_interval(means_a_R, means_b_R),
        p_value=_two_sided(differences_R),
        events=int(events),
        users=len(sums_UK),
    )


def _sums_by_user(
    users_E: NDArray[np.integer[Any]],
    a_E: NDArray[np.floating[Any]],
    b_E: NDArray[np.floating[Any]],
) -> Floats:
    """Columns: sum of A, sum of B, number of events. Shape (U, 3)."""
    _, index_E = np.unique(users_E, return_inverse=True)
    columns = [np.bincount(index_E, weights) for weights in (a_E, b_E, np.ones(len(index_E)))]
    return np.stack(columns, axis=1)


def _resample(sums_UK: Floats, resamples: int, generator: np.random.Generator) -> Floats:
    """Sums over U users drawn with replacement, R times. Shape (R, 3)."""
    users = len(sums_UK)
    chunk = max(1, _DRAWS_AT_ONCE // users)
    parts = []
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        drawn = generator.integers(users, size=(rows, users), dtype=np.int32)
        drawn += np.arange(rows, dtype=np.int32)[:, None] * users
        times_RU = np.bincount(drawn.ravel(), minlength=rows * users).reshape(rows, users)
        parts.append(times_RU.astype(np.float64) @ sums_UK)
    return np.concatenate(parts)


def _settle(differences_R: Floats) -> Floats:
    """Rounding noise of equal means is no difference."""
    return np.where(np.abs(differences_R) < 1e-12, 0.0, differences_R)


def _two_sided(differences_R: Floats) -> float:
    below = 1 + np.count_nonzero(differences_R <= 0)
    above = 1 + np.count_nonzero(differences_R >= 0)
    return float(min(1.0, 2.0 * min(below, above) / (1 + len(differences_R))))


def _interval(values_R: Floats) -> tuple[float, float]:
    tail = (1.0 - LEVEL) / 2
    low, high = np.quantile(values_R, [tail, 1.0 - tail])
    return float(low), float(high)


def _ratio_interval(means_a_R: Floats, means_b_R: Floats) -> tuple[float, float]:
    if not (means_b_R > 0).all():
        return float("nan"), float("nan")
    return _interval(means_a_R / means_b_R)
