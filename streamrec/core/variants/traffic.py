"""Which wording a user gets: Thompson sampling over what the counts leave open.

Knows an item's wordings, their counts and the user. Does not know where counts or former
assignments are kept.

The draw is a hash of user, item and period, so that asking again gives the same answer as long as
beliefs are the same; that it stays the same while they move, an assignment that is kept sees to
(``infra.stores.assignments``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from streamrec.core.events import Item
from streamrec.core.release.canary import position
from streamrec.core.variants.beta import UNKNOWN, Array, BetaPrior, Posterior, posterior, shares
from streamrec.core.variants.credit import counts_of


class Assigned(NamedTuple):
    """A wording, and how likely it was to be drawn."""

    variant_id: str
    propensity: float


class Arms(NamedTuple):
    """An item's wordings, their counts, and what is believed of them: (A,) each."""

    variants: tuple[str, ...]
    views_A: Array
    clicks_A: Array
    believed: Posterior


PriorsOf = Callable[[Item], Sequence[BetaPrior] | None]
"""What is expected of an item's wordings before anybody saw them; None: nobody can tell."""


def arms_of(item: Item, tables: Sequence[Array], priors: Sequence[BetaPrior] | None = None) -> Arms:
    """``tables``: what each partition has counted of the item (``credit.CREDIT``).

    ``priors``: of each wording. What they have in common follows the counts.
    """
    variants = tuple(variant.variant_id for variant in item.variants)
    views_A, clicks_A = counts_of(variants, tables)
    begun = priors or [UNKNOWN] * len(variants)
    mean_A = np.array([one.mean for one in begun])
    strength_A = np.array([one.strength for one in begun])
    believed = posterior(mean_A, strength_A, views_A, clicks_A, pooled=priors is not None)
    return Arms(variants, views_A, clicks_A, believed)


class WordingTraffic:
    """Shares of traffic by item, drawn again only when what is believed of it has changed."""

    def __init__(self, priors: PriorsOf = lambda _: None) -> None:
        self._priors = priors
        self._drawn: dict[str, tuple[tuple[object, ...], Array]] = {}

    def assign(self, user_id: str, item: Item, tables: Sequence[Array], period: int) -> Assigned:
        """For an item that has variants."""
        arms = arms_of(item, tables, self._priors(item))
        shares_A = self._shares(item.item_id, arms)
        place = position(f"wording {period} {item.item_id}", user_id)
        at = min(int(np.searchsorted(np.cumsum(shares_A), place, side="right")), len(shares_A) - 1)
        if not shares_A[at]:
            at = int(shares_A.argmax())
        return Assigned(arms.variants[at], float(shares_A[at]))

    def _shares(self, item_id: str, arms: Arms) -> Array:
        believed = arms.believed
        key = (arms.variants, believed.alpha_A.tobytes(), believed.beta_A.tobytes())
        found = self._drawn.get(item_id)
        if found is None or found[0] != key:
            found = self._drawn[item_id] = (key, shares(arms.believed, seed=0))
        return found[1]
