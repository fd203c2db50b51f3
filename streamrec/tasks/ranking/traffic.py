"""A window of recent traffic in a few numbers, as its training examples show it.

Knows whose examples they were, what was accepted, and how that agrees with what the same
users liked before. Does not know what is usual (``tasks.ranking.drift``), models, or the clock.

The numbers, each in [0, 1] ([-1, 1] for ``agreement``) or in nats:

- ``top_item``: share of the acceptances that one item has; a bot clicking one item.
- ``top_user``: share of the examples that one user has; a burst from few accounts.
- ``new_users``: share of the examples of users with no history; a burst from fresh accounts.
- ``click_rate``: share of the examples in which something was accepted.
- ``agreement``: how much more the accepted items belong to the categories of the user's own
  history than the refused ones of the same list, as a part of the most that this list allows;
  flipped labels turn its sign. Of lists of one taste nothing can be said.
- ``categories``: Jensen-Shannon divergence (Lin 1991, nats) of the accepted categories from
  the usual ones. Only where those are known.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from streamrec.core.examples import FloatArray
from streamrec.tasks.ranking.examples import RankingExample
from streamrec.tasks.ranking.features import FEATURES

CategoriesOf = Callable[[str], Sequence[str]]
"""Categories of an item; none for an item nobody has described."""

_AFFINITY = FEATURES.index("affinity")
_CONTRAST = 0.2
"""A list whose items belong to the user's categories more alike than this says nothing."""
_LISTS = 5
"""Fewer lists with a contrast say nothing about a window."""


@dataclass(slots=True)
class Traffic:
    """Sums over the examples of a window."""

    examples: int = 0
    with_accept: int = 0
    new: int = 0
    users: Counter[str] = field(default_factory=Counter)
    items: Counter[str] = field(default_factory=Counter)
    categories: Counter[str] = field(default_factory=Counter)
    agreements: list[float] = field(default_factory=list)

    def add(self, example: RankingExample, categories_of: CategoriesOf) -> None:
        accepted_C = example.labels_C > 0
        self.examples += 1
        self.users[example.user_id] += 1
        self.new += not example.history
        if not accepted_C.any():
            return
        self.with_accept += 1
        for place in np.flatnonzero(accepted_C):
            item = example.candidates[place]
            self.items[item] += 1
            self.categories.update(categories_of(item))
        if example.history and not accepted_C.all():
            self._agree(example.stats_CF[:, _AFFINITY], accepted_C)

    def _agree(self, affinity_C: FloatArray, accepted_C: NDArray[np.bool_]) -> None:
        spread = float(affinity_C.max() - affinity_C.min())
        if spread >= _CONTRAST:
            more = affinity_C[accepted_C].mean() - affinity_C[~accepted_C].mean()
            self.agreements.append(float(more) / spread)

    def numbers(self, usual: Mapping[str, float] | None = None) -> dict[str, float]:
        """See the module; ``usual``: weights of the usual categories."""
        found = {
            "top_item": _top_share(self.items),
            "top_user": _top_share(self.users),
            "new_users": self.new / max(1, self.examples),
            "click_rate": self.with_accept / max(1, self.examples),
        }
        if len(self.agreements) >= _LISTS:
            found["agreement"] = float(np.mean(self.agreements))
        if usual and self.categories:
            found["categories"] = divergence(self.categories, usual)
        return found


def divergence(ours: Mapping[str, float], theirs: Mapping[str, float]) -> float:
    """Jensen-Shannon divergence of two weightings, in nats: 0 (alike) to log 2 (disjoint)."""
    a, b = sum(ours.values()), sum(theirs.values())
    total = 0.0
    for name in ours.keys() | theirs.keys():
        p, q = ours.get(name, 0.0) / a, theirs.get(name, 0.0) / b
        m = (p + q) / 2
        total += sum(x * math.log(x / m) / 2 for x in (p, q) if x > 0)
    return total


def _top_share(counts: Counter[str]) -> float:
    total = counts.total()
    return max(counts.values()) / total if total else 0.0
