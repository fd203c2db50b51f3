"""Whether groups are served alike: acceptance, lists and exposure of each, beside all others.

A group is of users (by a declared attribute) or of items (by a category or an attribute); who
counts says which. Knows counts. Does not know why two groups differ: a difference is a question,
not a verdict.

- acceptance: accepted / judged, with the score interval (Wilson 1927), and its difference to all
  other groups together with an interval by both score intervals (Newcombe 1998, method 10). Told
  apart: the interval does not hold 0.
- list share: places on lists that are the group's, of all. Fair to what? ``expected`` is the
  group's share of what could have been listed, where the caller knows it.
- exposure share: the same, a place weighing 1 / log2(2 + position), as in DCG (Singh and Joachims
  2018).

Intervals take judgements as independent: with many of few users they are too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from streamrec.core.measures.proportions import wilson

FEWEST = 30
"""Judgements of a group below which nothing is told apart."""


class Bounded(NamedTuple):
    """An estimate and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class GroupCounts:
    """Of one group. ``exposure``: weights of its places (``exposure_at``), summed up."""

    judged: int = 0
    accepted: int = 0
    listed: int = 0
    exposure: float = 0.0

    def __add__(self, other: GroupCounts) -> GroupCounts:
        return GroupCounts(
            self.judged + other.judged,
            self.accepted + other.accepted,
            self.listed + other.listed,
            self.exposure + other.exposure,
        )


@dataclass(frozen=True, slots=True)
class GroupRow:
    """``acceptance``: None where nothing was judged; ``difference``: to all others, None where one
    side has nothing judged. ``exposure_ratio``: exposure share over ``expected``, None where that
    is not known."""

    group: str
    counts: GroupCounts
    acceptance: Bounded | None
    difference: Bounded | None
    told_apart: bool
    list_share: float
    exposure_share: float
    exposure_ratio: float | None


def exposure_at(position: int) -> float:
    """What a place of a list weighs. ``position``: 0-based."""
    return 1.0 / math.log2(2 + position)


def summed(rows: Iterable[tuple[str, GroupCounts]]) -> dict[str, GroupCounts]:
    """Counts by group."""
    found: dict[str, GroupCounts] = {}
    for group, counts in rows:
        found[group] = found.get(group, GroupCounts()) + counts
    return found


def table(
    counts: Mapping[str, GroupCounts], expected: Mapping[str, float] | None = None
) -> list[GroupRow]:
    """A row for each group, the largest first. ``expected``: by group, a share of 1."""
    total = sum(counts.values(), GroupCounts())
    rows = [_row(group, one, total, (expected or {}).get(group)) for group, one in counts.items()]
    return sorted(rows, key=lambda row: (-row.counts.judged, -row.counts.listed, row.group))


def _row(group: str, counts: GroupCounts, total: GroupCounts, expected: float | None) -> GroupRow:
    own = (counts.accepted, counts.judged)
    others = (total.accepted - counts.accepted, total.judged - counts.judged)
    apart = difference(own, others) if own[1] and others[1] else None
    enough = min(own[1], others[1]) >= FEWEST
    share = counts.exposure / total.exposure if total.exposure else 0.0
    return GroupRow(
        group,
        counts,
        Bounded(own[0] / own[1], *wilson(*own)) if own[1] else None,
        apart,
        enough and apart is not None and not apart.low <= 0.0 <= apart.high,
        list_share=counts.listed / total.listed if total.listed else 0.0,
        exposure_share=share,
        exposure_ratio=share / expected if expected else None,
    )


def difference(own: tuple[int, int], others: tuple[int, int]) -> Bounded:
    """Of two shares (hits, of). Raises ValueError where one of them is none."""
    low_1, high_1 = wilson(*own)
    low_2, high_2 = wilson(*others)
    one, other = own[0] / own[1], others[0] / others[1]
    below = math.hypot(one - low_1, high_2 - other)
    above = math.hypot(high_1 - one, other - low_2)
    return Bounded(one - other, one - other - below, one - other + above)
