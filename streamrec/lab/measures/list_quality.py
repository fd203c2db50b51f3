"""How good a list was that stood on the topic *before* the user's next click.

Knows the latest list of each user, what is popular, and what a hit is. Feed it in the order of
time; a list counts for a click only when it was there strictly before it.

The baseline answers at the moment of the click itself: the items with most accepted
interactions so far, minus what the user has consumed. So it knows *more* than the served
list, which was made some milliseconds earlier: the comparison errs against us.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from streamrec.core.events import Interaction, Kind


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over ``n`` clicks: hit rate and NDCG of one relevant item (Järvelin 2002)."""

    hit_rate: float
    ndcg: float
    n: int


def quality(ranks: Sequence[int | None]) -> Quality:
    """From 0-based ranks of the clicked items; None where the list missed it."""
    if not ranks:
        return Quality(0.0, 0.0, 0)
    gains = [1.0 / math.log2(rank + 2) for rank in ranks if rank is not None]
    return Quality(len(gains) / len(ranks), sum(gains) / len(ranks), len(ranks))


class Popularity:
    """Items by number of acceptances, kept in order as counts grow."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._order: list[str] = []
        self._place: dict[str, int] = {}

    def accepted(self, item_id: str) -> None:
        if item_id not in self._counts:
            self._counts[item_id] = 0
            self._place[item_id] = len(self._order)
            self._order.append(item_id)
        self._counts[item_id] += 1
        place = self._place[item_id]
        while place and self._counts[self._order[place - 1]] < self._counts[item_id]:
            other = self._order[place - 1]
            self._order[place], self._place[other] = other, place
            place -= 1
        self._order[place], self._place[item_id] = item_id, place

    def rank(self, item_id: str, without: set[str], k: int) -> int | None:
        """The item's 0-based rank among items not in ``without``; None beyond ``k``."""
        rank = 0
        for other in self._order:
            if other == item_id:
                return rank
            rank += other not in without
            if rank >= k:
                return None
        return None


class ListQuality:
    """Ranks of clicked items in the served list and in the most popular one, click by click."""

    def __init__(self, k: int = 10) -> None:
        self.served_ranks: list[int | None] = []
        self.popular_ranks: list[int | None] = []
        self._k = k
        self._lists: dict[str, Sequence[str]] = {}
        self._consumed: dict[str, set[str]] = {}
        self._popularity = Popularity()

    def recommended(self, user_id: str, item_ids: Sequence[str]) -> None:
        """This list is on the topic now."""
        self._lists[user_id] = item_ids[: self._k]

    def happened(self, event: Interaction) -> None:
        """Score a click by what stood before it, then learn from it."""
        consumed = self._consumed.setdefault(event.user_id, set())
        if event.accepted:
            served = self._lists.get(event.user_id)
            if served is not None and event.item_id not in consumed:
                at = served.index(event.item_id) if event.item_id in served else None
                self.served_ranks.append(at)
                self.popular_ranks.append(self._popularity.rank(event.item_id, consumed, self._k))
            self._popularity.accepted(event.item_id)
        if event.accepted or event.kind is Kind.DISLIKE or event.impression_id is None:
            consumed.add(event.item_id)
