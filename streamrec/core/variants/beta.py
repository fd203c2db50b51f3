"""Beta arithmetic of one item's wordings: what is believed of each, and who should be shown which.

Knows arms, their counts and their priors. Does not know texts, where a prior comes from
(``tasks.copy``) or who counts (``core.variants.credit``).

A prior says how often a text like this is clicked: a mean, and a strength in views. Of one
item's arms it knows the ratios better than what they have in common (the picture, the subject, the
place on the page): that follows the item's own counts (docs/adr/0122):

    base = (clicks of all + PSEUDO_CLICKS) / (views that expect a click each + PSEUDO_CLICKS / mean)

Legend: A arms, D draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PSEUDO_CLICKS = 4.0
"""What the prior's common factor weighs beside an item's own clicks."""
SHARPNESS = 4.0
"""Thompson sampling explores for ever; a test has few impressions. Tuned on a first half of tests,
where it made every horizon better, with a prior and without."""
DRAWS = 2_000
LOWEST, HIGHEST = 1e-5, 0.9


@dataclass(frozen=True, slots=True)
class BetaPrior:
    """Of a click rate. ``strength``: views it is worth. Without one: every rate is as likely."""

    mean: float = 0.5
    strength: float = 2.0


UNKNOWN = BetaPrior()


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """Beta(alpha, beta) of each arm, independent of the others: (A,) both."""

    alpha_A: Array
    beta_A: Array

    @property
    def means(self) -> Array:
        """(A,)."""
        return self.alpha_A / (self.alpha_A + self.beta_A)

    def sharpened(self) -> Posterior:
        """What traffic is drawn from: the same means, less doubt (docs/adr/0122)."""
        return Posterior(self.alpha_A * SHARPNESS, self.beta_A * SHARPNESS)

    def draws(self, seed: int, draws: int = DRAWS) -> Array:
        """Click rates that may be true: (D, A)."""
        generator = np.random.default_rng(seed)
        return generator.beta(self.alpha_A, self.beta_A, size=(draws, len(self.alpha_A)))


def posterior(
    mean_A: Array, strength_A: Array, views_A: Array, clicks_A: Array, *, pooled: bool = True
) -> Posterior:
    """What is believed after these counts; without any, the priors themselves.

    ``pooled``: what the arms have in common follows the counts; else each stands for itself. More
    axes may precede that of the arms.
    """
    if pooled:
        mean_1 = mean_A.mean(axis=-1, keepdims=True)
        ratio_A = mean_A / mean_1
        clicks_1 = clicks_A.sum(axis=-1, keepdims=True) + PSEUDO_CLICKS
        expecting_1 = (views_A * ratio_A).sum(axis=-1, keepdims=True) + PSEUDO_CLICKS / mean_1
        base_1 = clicks_1 / expecting_1
        strength_A = strength_A * mean_1 / base_1  # as many clicks as before
        mean_A = np.clip(base_1 * ratio_A, LOWEST, HIGHEST)
    return Posterior(
        mean_A * strength_A + clicks_A, (1.0 - mean_A) * strength_A + (views_A - clicks_A)
    )


def shares(found: Posterior, seed: int, draws: int = DRAWS) -> Array:
    """The traffic that Thompson sampling gives each arm: (A,), sums to 1."""
    best_D = found.sharpened().draws(seed, draws).argmax(axis=1)
    counts_A: Array = np.bincount(best_D, minlength=len(found.alpha_A)).astype(np.float64)
    return counts_A / draws


def expected_losses(found: Posterior, seed: int, draws: int = DRAWS) -> Array:
    """Click rate that is lost, on average, by showing this arm alone from now on: (A,)."""
    rates_DA = found.draws(seed, draws)
    losses_A: Array = (rates_DA.max(axis=1, keepdims=True) - rates_DA).mean(axis=0)
    return losses_A


def intervals(found: Posterior, seed: int, draws: int = DRAWS) -> Array:
    """95 % of what is believed of each arm's click rate: (A, 2)."""
    limits_2A: Array = np.quantile(found.draws(seed, draws), [0.025, 0.975], axis=0)
    return limits_2A.T
