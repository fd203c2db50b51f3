"""What a bandit would have got out of recorded tests, simulated at the rates they found.

Each impression goes to the arm whose drawn rate is highest (Thompson 1933), the posterior moves
with what is clicked. Expected clicks are counted, so that luck plays no part in the sum.

A posterior is looked up anew after at most a tenth of the impressions so far, as serving workers
see counts a second late.

Shapes: N tests of one number of arms A, R repetitions, M impressions of one look, H horizons.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamrec.core.variants.beta import posterior

Floats = NDArray[np.float64]

HORIZONS = (100, 300, 1_000, 3_000)
REPEATS = 6


def thompson_clicks(
    rates: Sequence[Floats], priors: Sequence[tuple[Floats, Floats]], *, pooled: bool, seed: int
) -> Floats:
    """Expected clicks of each test within the first impressions: (tests, H).

    ``rates``: (A,) of each test; ``priors``: mean and strength of each of its arms.
    """
    clicks_NH = np.zeros((len(rates), len(HORIZONS)))
    for arms in sorted({len(rate_A) for rate_A in rates}):
        places = [n for n, rate_A in enumerate(rates) if len(rate_A) == arms]
        clicks_NH[places] = _simulated(
            np.stack([rates[n] for n in places]),
            np.stack([priors[n][0] for n in places]),
            np.stack([priors[n][1] for n in places]),
            pooled=pooled,
            generator=np.random.default_rng([seed, arms]),
        )
    return clicks_NH


def uniform_clicks(rates: Sequence[Floats]) -> Floats:
    """The same where all arms are shown equally."""
    return np.outer([rate_A.mean() for rate_A in rates], HORIZONS)


def _simulated(
    rate_NA: Floats,
    mean_NA: Floats,
    strength_NA: Floats,
    *,
    pooled: bool,
    generator: np.random.Generator,
) -> Floats:
    rate_RNA = np.broadcast_to(rate_NA, (REPEATS, *rate_NA.shape))
    views_RNA, clicks_RNA = np.zeros(rate_RNA.shape), np.zeros(rate_RNA.shape)
    seen, found = 0, []
    for horizon in HORIZONS:
        while seen < horizon:
            size = min(horizon - seen, max(5, seen // 10))
            now = posterior(mean_NA, strength_NA, views_RNA, clicks_RNA, pooled=pooled).sharpened()
            drawn_MRNA = generator.beta(now.alpha_A, now.beta_A, size=(size, *rate_RNA.shape))
            best_MRN = drawn_MRNA.argmax(axis=-1)
            shown_RNA = (best_MRN[..., None] == np.arange(rate_NA.shape[1])).sum(axis=0)
            views_RNA += shown_RNA
            clicks_RNA += generator.binomial(shown_RNA, rate_RNA)
            seen += size
        found.append((views_RNA * rate_RNA).sum(axis=-1).mean(axis=0))
    return np.stack(found, axis=1)
