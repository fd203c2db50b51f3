"""How good a list was that stood on the topic *before* the user's next click.

Knows the latest list of each user, what is popular, and what a hit is. Feed it in the order of
time; a list counts for a click only when it was there strictly before it.

The baseline answers at the moment of the click itself: the items with most accepted
interactions so far, minus what the user has consumed. So it knows *more* than the served
list, which was made some milliseconds earlier: the comparison errs against us.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from streamrec.core.events import Interaction, Kind

MOST_CONSUMED = 2_000
"""Items of a user that are remembered, where users are counted: as many as its state knows."""


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
    """Items by number of acceptances, kept in order as counts grow; of as many, the first first."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._items: dict[int, dict[str, None]] = {}  # count -> items, in order
        self._ascending: list[int] = []  # counts that some item has

    def accepted(self, item_id: str) -> None:
        count = self._counts.get(item_id, 0)
        self._counts[item_id] = count + 1
        if count:
            del self._items[count][item_id]
            if not self._items[count]:
                del self._items[count], self._ascending[bisect_left(self._ascending, count)]
        if count + 1 not in self._items:
            insort(self._ascending, count + 1)
        self._items.setdefault(count + 1, {})[item_id] = None

    def rank(self, item_id: str, without: Container[str], k: int) -> int | None:
        """The item's 0-based rank among items not in ``without``; None beyond ``k``."""
        rank = 0
        for other in self._in_order():
            if other == item_id:
                return rank
            rank += other not in without
            if rank >= k:
                return None
        return None

    def _in_order(self) -> Iterator[str]:
        for count in reversed(self._ascending):
            yield from self._items[count]


class ListQuality:
    """Ranks of clicked items in the served list and in the most popular one, click by click.

    ``served_ranks`` and ``popular_ranks`` are the reader's: it may empty them.
    """

    def __init__(self, k: int = 10, most_users: int | None = None) -> None:
        """``most_users``: so many are remembered, those who came last; None: all of them."""
        self.served_ranks: list[int | None] = []
        self.popular_ranks: list[int | None] = []
        self._k = k
        self._most_users = most_users
        self._lists: dict[str, Sequence[str]] = {}
        self._consumed: dict[str, dict[str, None]] = {}
        self._popularity = Popularity()

    def recommended(self, user_id: str, item_ids: Sequence[str]) -> None:
        """This list is on the topic now."""
        self._lists.pop(user_id, None)
        self._lists[user_id] = item_ids[: self._k]
        _trim(self._lists, self._most_users)

    def happened(self, event: Interaction) -> None:
        """Score a click by what stood before it, then learn from it."""
        consumed = self._consumed.pop(event.user_id, {})
        self._consumed[event.user_id] = consumed
        _trim(self._consumed, self._most_users)
        if event.accepted:
            served = self._lists.get(event.user_id)
            if served is not None and event.item_id not in consumed:
                at = served.index(event.item_id) if event.item_id in served else None
                self.served_ranks.append(at)
                self.popular_ranks.append(self._popularity.rank(event.item_id, consumed, self._k))
            self._popularity.accepted(event.item_id)
        if event.accepted or event.kind is Kind.DISLIKE or event.impression_id is None:
            consumed[event.item_id] = None
            if self._most_users is not None:
                _trim(consumed, MOST_CONSUMED)


def _trim(kept: dict[str, Any], most: int | None) -> None:
    """Forget whoever came first."""
    while most is not None and len(kept) > most:
        del kept[next(iter(kept))]
