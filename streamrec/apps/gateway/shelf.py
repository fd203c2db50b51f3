"""What the gateway knows by itself: catalogue and statistics, as of the last time that Redis
answered. Whatever else is away, it answers from here.

Legend: N catalogue rows, P inputs of pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrec.core import topics
from streamrec.core.events import Item, Source
from streamrec.core.state.catalogue import Catalogue
from streamrec.errors import Unavailable
from streamrec.infra.stores.redis_store import RedisPartitionStore
from streamrec.tasks.ranking.features import ITEM_FEATURES, PAIR_FEATURES
from streamrec.tasks.ranking.lists.state_mirror import Mirror, View

REMEMBERED = 2_000
"""Items of each partition that changed last."""
TOGETHER, LIKE = "chosen-together", "categories-and-words"
POPULAR, LATEST, NOTHING = "popular", "latest", "nothing-known-yet"

Rows = NDArray[np.int64]


class Picked(NamedTuple):
    """``source``: what the first of the items was picked by."""

    items: list[Item]
    source: str


class Shelf:
    """One thread calls ``refresh``, any other the rest.

    ``away``: why what is here may be old; empty: it is not.
    """

    def __init__(self) -> None:
        self.away = "the catalogue has not been read yet"
        self._mirror: Mirror | None = None
        self._store: RedisPartitionStore | None = None
        self._sources: list[Source] = []
        self._version = -1
        self._latest: list[str] = []

    def fill(self, store: RedisPartitionStore, partitions: dict[str, int]) -> None:
        """Before the first ``refresh``. ``partitions``: of the topics "items" and "events"."""
        self._store = store
        self._sources = [Source(topics.ITEMS, n) for n in range(partitions[topics.ITEMS])]
        self._mirror = Mirror(store, partitions)

    def refresh(self) -> None:
        """Raises Unavailable; what was known stays."""
        if self._mirror is None or self._store is None:
            return
        try:
            self._mirror.refresh()
            version = self.catalogue.version
            if version != self._version:
                self._latest = self._changed_last(self._store)
                self._version = version
        except Unavailable as error:
            self.away = str(error)
            raise
        self.away = ""

    @property
    def catalogue(self) -> Catalogue:
        return self._mirror.catalogue if self._mirror else Catalogue()

    def titles(self, item_ids: Iterable[str]) -> dict[str, str]:
        """By id; empty for an item that nobody has described. Never waits."""
        catalogue, found = self.catalogue, {}
        for item_id in item_ids:
            row = catalogue.row(item_id)
            item = None if row is None else catalogue.item(row)
            # a row may have been given to another item just now
            found[item_id] = item.title if item and item.item_id == item_id else ""
        return found

    def popular(self, k: int, category: str = "") -> Picked:
        """By accepted events of late; nothing while nothing is known."""
        return self._pick(lambda view: (_by_popularity(view), POPULAR), k, category)

    def latest(self, k: int, category: str = "") -> Picked:
        """The last that came or changed, then popular ones."""
        return self._pick(self._newest_first, k, category)

    def similar(self, item_id: str, k: int) -> Picked:
        """Chosen together with it, of its categories and words, or popular; never itself."""
        return self._pick(lambda view: _likeness(view, item_id), k, without=item_id)

    def _pick(
        self,
        order: Callable[[View], tuple[Rows, str]],
        k: int,
        category: str = "",
        without: str = "",
    ) -> Picked:
        if self._mirror is None:
            return Picked([], NOTHING)
        with self._mirror.view() as view:
            if not len(view.catalogue):
                return Picked([], NOTHING)
            rows, source = order(view)
            available = view.catalogue.available
            items = (view.catalogue.item(int(row)) for row in rows if available[row])
            fitting = (
                item
                for item in items
                if item.item_id != without and (not category or category in item.categories)
            )
            return Picked(list(islice(fitting, k)), source)

    def _newest_first(self, view: View) -> tuple[Rows, str]:
        newest = view.catalogue.rows(self._latest)
        newest = newest[newest >= 0].astype(np.int64)
        popular = _by_popularity(view)
        return np.concatenate([newest, popular[~np.isin(popular, newest)]]), LATEST

    def _changed_last(self, store: RedisPartitionStore) -> list[str]:
        """Positions of partitions are of about the same time, as keys are spread evenly."""
        found = [one for source in self._sources for one in store.last_changed(source, REMEMBERED)]
        return [item_id for _, item_id in sorted(found, reverse=True)]


def _column(view: View, name: str) -> NDArray[Any]:
    return view.features.item_NI[:, ITEM_FEATURES.index(name)]


def _by_popularity(view: View) -> Rows:
    of_late, ever = _column(view, "accepts_24h"), _column(view, "accepts_50000ev")
    return np.lexsort((-ever, -of_late))


def _likeness(view: View, item_id: str) -> tuple[Rows, str]:
    """What the statistics would say to somebody who has chosen just this item."""
    popular = _by_popularity(view)
    if view.catalogue.row(item_id) is None:
        return popular, POPULAR
    (pairs_PN,) = view.features.catalogue_pair_features([(item_id,)])
    inputs = dict(zip(PAIR_FEATURES, pairs_PN, strict=True))
    together_N = inputs["with_cosine"]
    like_N = inputs["affinity"] + inputs["shared_word"]
    place_N = np.empty(len(popular))
    place_N[popular] = np.arange(len(popular))
    rows = np.lexsort((place_N, -like_N, -together_N))
    best = rows[0] if view.catalogue.item(int(rows[0])).item_id != item_id else rows[1:2]
    source = TOGETHER if together_N[best].any() else LIKE if like_N[best].any() else POPULAR
    return rows, source
