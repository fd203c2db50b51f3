"""Now and then the last slot goes to an item that is only nearly good enough.

Knows which slot is drawn, from what, and with which probability. Does not know scores.

A list of k items over a ranking: its first k - 1 slots are the best items. With probability
``share`` the last slot is drawn uniformly from a shortlist, the items ranked k-th to
(k + shortlist - 1)-th; otherwise it is the k-th item. The propensity of what is shown there
is therefore ``share / S + (1 - share) * [it is the k-th]`` with S items on the shortlist,
and that of every other slot is 1.

The draw is a hash of the recommendation id: answering again after a crash gives the same
list again, and nobody has to keep a generator's state.
"""

from __future__ import annotations

from dataclasses import dataclass

from streamrec.core.release.canary import position


@dataclass(frozen=True, slots=True)
class Exploration:
    """``share`` of the lists whose last slot is drawn from ``shortlist`` items."""

    share: float = 0.0
    shortlist: int = 20

    @property
    def reach(self) -> int:
        """Ranked items needed beyond a list's own."""
        return self.shortlist - 1 if self.share else 0


NO_EXPLORATION = Exploration()


def last_slot(rule: Exploration, recommendation_id: str, k: int, ranked: int) -> tuple[int, float]:
    """Rank (0-based) of the item in the last of k slots, and its propensity.

    ``ranked``: items to choose from, at least k, the best k first.
    """
    short = min(rule.shortlist, ranked - k + 1)
    if not rule.share or short < 2:
        return k - 1, 1.0
    drawn = 0
    if position("explore", recommendation_id) < rule.share:
        drawn = int(position("slot", recommendation_id) * short)
    return k - 1 + drawn, rule.share / short + (0.0 if drawn else 1.0 - rule.share)
