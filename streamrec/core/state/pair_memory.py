"""Which items follow which: directed transitions and co-occurrence, by item.

An accepted item changes the rows of the user's last few items, within one partition.

A row forgets in its own time: whenever its weight exceeds ``FULL`` everything in it is
halved, so a busy item follows the taste of the day while a quiet one keeps the little it
has. All weights are dyadic fractions: sums are exact and their JSON is short.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

NEIGHBOURS = 64
"""Entries kept of a row; the lightest goes first."""
WINDOW_WEIGHTS = (1.0, 0.75, 0.5, 0.5, 0.25)
"""Co-occurrence weight of the last item, the one before it, and so on."""
FULL = 256.0


class PairRow:
    """Successors and co-occurrences of one item. Mutable: the fold owns it."""

    __slots__ = ("after", "total", "with_")

    def __init__(self) -> None:
        self.after: dict[str, float] = {}  # weight of "accepted right after this one"
        self.with_: dict[str, float] = {}  # weight of "accepted near this one"; superset of keys
        self.total = 0.0  # sum of with_ since the last halving, evicted entries included

    def add(self, item_id: str, weight: float, *, follows: bool) -> None:
        if item_id not in self.with_ and len(self.with_) >= NEIGHBOURS:
            lightest = min(self.with_, key=self.with_.__getitem__)
            del self.with_[lightest]
            self.after.pop(lightest, None)
        self.with_[item_id] = self.with_.get(item_id, 0.0) + weight
        if follows:
            self.after[item_id] = self.after.get(item_id, 0.0) + 1.0
        self.total += weight
        if self.total > FULL:
            self.total /= 2
            self.with_ = {i: w / 2 for i, w in self.with_.items()}
            self.after = {i: w / 2 for i, w in self.after.items()}

    def to_record(self) -> dict[str, Any]:
        after = [self.after.get(i, 0) for i in self.with_]
        return {"i": list(self.with_), "c": list(self.with_.values()), "t": after, "n": self.total}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> PairRow:
        row = cls()
        row.with_ = dict(zip(record["i"], record["c"], strict=True))
        row.after = {i: w for i, w in zip(record["i"], record["t"], strict=True) if w}
        row.total = record["n"]
        return row


def observe(rows: dict[str, PairRow], item_id: str, history: Sequence[str]) -> list[str]:
    """Remember that ``item_id`` was accepted after ``history`` (newest last).

    Returns the items whose rows changed: the last few of the history, and ``item_id``.
    """
    touched = []
    for distance, weight in enumerate(WINDOW_WEIGHTS[: len(history)]):
        earlier = history[-1 - distance]
        if earlier == item_id:
            continue
        rows.setdefault(earlier, PairRow()).add(item_id, weight, follows=distance == 0)
        rows.setdefault(item_id, PairRow()).add(earlier, weight, follows=False)
        touched.append(earlier)
    return [*touched, item_id] if touched else []
