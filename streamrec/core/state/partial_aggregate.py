"""One partition's partial aggregate of the item statistics, counted event by event.

It has two times: its clock (events counted) and its watermark (the latest event time). How counts
decay says ``core.state.item_stats``, how pairs forget ``core.state.pair_memory``, what else is
counted ``core.state.counters``; ``core.state.statistics`` adds up the partitions.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from streamrec.core.events import Interaction
from streamrec.core.state.counters import Counter, ItemCounters
from streamrec.core.state.item_stats import PartialItemCounts, partition_half_lives
from streamrec.core.state.pair_memory import PairRow, observe


class PartialAggregate:
    """Item counts and pairs of one partition. Mutable: the fold owns it."""

    def __init__(self, partitions: int, repeats: int, counters: Sequence[Counter] = ()) -> None:
        """``partitions`` and ``repeats`` as in ``core.state.fold.FoldRules``."""
        self.watermark_ms = 0
        self._clock = 0
        self._half_lives = partition_half_lives(partitions)
        self._repeats = repeats
        self._items: dict[str, PartialItemCounts] = {}
        self._pairs: dict[str, PairRow] = {}
        self._counters = ItemCounters(counters)
        self._by_age: list[tuple[int, str]] = []  # a heap: each item once, when it was touched
        self._touched_items: dict[str, None] = {}  # ordered sets
        self._touched_pairs: dict[str, None] = {}

    def load(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        """Rows as ``take_rows`` gave them, all of them; those of others are passed over."""
        self._items = {
            key[2:]: PartialItemCounts.from_record(r)
            for key, r in rows.items()
            if key.startswith("i/")
        }
        self._pairs = {
            key[2:]: PairRow.from_record(r) for key, r in rows.items() if key.startswith("n/")
        }
        self._by_age = [(item.at_ms, item_id) for item_id, item in self._items.items()]
        heapq.heapify(self._by_age)
        self._counters.load(rows)
        if "c" in rows:
            self._clock, self.watermark_ms = rows["c"]["n"], rows["c"]["t"]

    def count(self, event: Interaction, history: Sequence[str], *, exposed: bool) -> bool:
        """Count an event of a user who had accepted ``history``. ``exposed``: it shows the item.

        Whether declared counters have counted it.

        An item the user has accepted ``repeats`` times lately is not lifted by accepting it once
        more (docs/adr/0064).
        """
        self._clock += 1
        insistent = history.count(event.item_id) >= self._repeats
        accept = event.accepted and not insistent
        item = self._items.get(event.item_id)
        if item is None:
            item = self._items[event.item_id] = PartialItemCounts()
            heapq.heappush(self._by_age, (self.watermark_ms, event.item_id))
        item.touch(
            self._clock,
            self.watermark_ms,
            self._half_lives,
            view=exposed and not (event.accepted and insistent),
            accept=accept,
        )
        self._touched_items[event.item_id] = None
        counted = accept or not event.accepted
        if counted:
            self._counters.count(event)
        if accept:
            kept = [item for item in history if item in self._items]
            self._touched_pairs |= dict.fromkeys(observe(self._pairs, event.item_id, kept))
        return counted

    def reap(self, until_ms: int, limit: int) -> int:
        """Forget items not touched after ``until_ms``, the oldest first; how many."""
        reaped = 0
        while reaped < limit and self._by_age and self._by_age[0][0] <= until_ms:
            at_ms, item_id = heapq.heappop(self._by_age)
            touched_ms = self._items[item_id].at_ms
            if touched_ms > at_ms:
                heapq.heappush(self._by_age, (touched_ms, item_id))
                continue
            self._drop(item_id)
            reaped += 1
        return reaped

    def _drop(self, item_id: str) -> None:
        del self._items[item_id]
        self._touched_items[item_id] = None
        if self._pairs.pop(item_id, None) is not None:
            self._touched_pairs[item_id] = None
        self._counters.drop(item_id)

    def take_rows(
        self, event_clock: Mapping[str, Any] = MappingProxyType({})
    ) -> dict[str, dict[str, Any] | None]:
        """The rows changed since last asked, and the two times; None: removed.

        ``event_clock``: what else is to be known of the second one.
        """
        times = {"n": self._clock, "t": self.watermark_ms, "k": dict(event_clock)}
        rows: dict[str, dict[str, Any] | None] = {"c": times}
        rows |= {f"i/{item}": _record(self._items.get(item)) for item in self._touched_items}
        rows |= {f"n/{item}": _record(self._pairs.get(item)) for item in self._touched_pairs}
        rows |= self._counters.take_rows()
        self._touched_items.clear()
        self._touched_pairs.clear()
        return rows


def _record(row: PartialItemCounts | PairRow | None) -> dict[str, Any] | None:
    return None if row is None else row.to_record()
