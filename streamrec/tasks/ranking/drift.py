"""Is this still the traffic we know? Raises an alarm when it is not, and takes it back.

What follows from an alarm says ``loop.training.alarm``.

A window of traffic is a few numbers, as its training examples show it:

- ``top_item``: share of the acceptances that one item has; a bot clicking one item.
- ``top_user``: share of the examples that one user has; a burst from few accounts.
- ``new_users``: share of the examples of users with no history; a burst from fresh accounts.
- ``click_rate``: share of the examples in which something was accepted.
- ``agreement``: how much more the accepted items belong to the categories of the user's own
  history than the refused ones of the same list, as a part of the most that this list allows;
  flipped labels turn its sign. Of lists of one taste nothing can be said.
- ``categories``: Jensen-Shannon divergence (Lin 1991, nats) of the accepted categories from
  the usual ones. Only where those are known.

They are in [0, 1] ([-1, 1] for ``agreement``) or in nats.

Every ``window`` examples make a window. How many deviations a number lies on the dangerous side
of the median of the reference windows is its *distance*. The deviation is 1.4826 × the median
absolute one, which a few odd windows do not move: a stream that is full of bursts has a large
one, a quiet one a small one. It is never so small that a difference below ``MATTERS`` would be
more than ``ALLOWANCE``.

Distances beyond ``ALLOWANCE`` add up, number by number, and what stays below it takes the sum
back down: a cumulative sum (Page 1954), which sees a little for long as well as much at once.
The alarm is raised when a sum reaches ``z``. One window adds at most ``AT_ONCE`` of that: one
burst is no attack. The alarm ends after ``calm`` windows in a row with every distance within the
allowance. While a sum is above 0 no window becomes reference, so that an attack does not
become usual by going on. What does become usual, a person can say (``accept``).

Until there are ``reference`` windows nothing is strange: a loop that has just begun changes its
own traffic by getting better.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

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

MATTERS = {
    "top_item": 0.06,
    "top_user": 0.10,
    "new_users": 0.15,
    "click_rate": 0.15,
    "agreement": 0.2,
    "categories": 0.04,
}
"""A smaller difference from the usual is nobody's business."""
DOWNWARD = frozenset({"click_rate", "agreement"})
"""Numbers of which more is no danger: that is what learning is for. Of the others, less."""
ALLOWANCE = 2.0
"""So many deviations from the usual are nothing to add up."""
AT_ONCE = 0.75
"""Part of the alarm that one window can be."""
LEAST_KNOWN = 8
"""Reference windows that must have a number at all."""


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


@dataclass(frozen=True, slots=True)
class ShiftRules:
    """``window`` in examples (0: no alarm), ``z`` in deviations, the others in windows."""

    window: int = 200
    reference: int = 50
    z: float = 6.0
    calm: int = 5


@dataclass(frozen=True, slots=True)
class ShiftCompared:
    """One number of a window beside what is usual."""

    name: str
    value: float
    usual: float
    scale: float

    @property
    def distance(self) -> float:
        """In deviations, to the dangerous side."""
        away = self.value - self.usual
        return (-away if self.name in DOWNWARD else away) / self.scale

    def __str__(self) -> str:
        return f"{self.name} {self.value:.3f} instead of {self.usual:.3f} ±{self.scale:.3f}"


@dataclass(slots=True)
class _Window:
    numbers: dict[str, float]
    categories: Mapping[str, float]
    strange: tuple[ShiftCompared, ...] = ()  # beyond the allowance


@dataclass(slots=True)
class ShiftWatch:
    """See the module."""

    rules: ShiftRules
    categories_of: CategoriesOf
    alarm: tuple[ShiftCompared, ...] = ()  # why, while there is one
    windows: int = 0
    calm: int = 0  # windows in a row with nothing strange
    newest: dict[str, float] = field(default_factory=dict)  # the numbers of the last window
    _traffic: Traffic = field(default_factory=Traffic)
    _reference: deque[_Window] = field(default_factory=deque)
    _recent: deque[_Window] = field(default_factory=deque)  # not, or not yet, reference
    _sums: dict[str, float] = field(default_factory=dict)  # of distances beyond the allowance

    def observe(self, examples: Sequence[RankingExample]) -> bool:
        """Take in examples, in order; whether the alarm was raised or ended by them."""
        before = bool(self.alarm)
        for example in examples if self.rules.window else ():
            self._traffic.add(example, self.categories_of)
            if self._traffic.examples >= self.rules.window:
                self._close()
        return bool(self.alarm) != before

    def accept(self) -> None:
        """Somebody says that this is usual now: the last windows are the reference."""
        self.alarm, self.calm = (), 0
        self._reference.clear()
        self._reference.extend(self._recent)
        self._recent.clear()
        self._sums.clear()

    def _close(self) -> None:
        traffic, self._traffic = self._traffic, Traffic()
        usual = self._usual_categories()
        window = _Window(traffic.numbers(usual), traffic.categories)
        compared = self._compared(window.numbers)
        window.strange = tuple(one for one in compared if one.distance > ALLOWANCE)
        self.windows += 1
        self.newest = window.numbers
        self.calm = 0 if window.strange else self.calm + 1
        self._recent.append(window)
        if self.alarm:
            self._maybe_end()
        else:
            self._add_up(compared)
            self.alarm = tuple(s for s in window.strange if self._sums[s.name] >= self.rules.z)
            self._make_reference()

    def _add_up(self, compared: Sequence[ShiftCompared]) -> None:
        """A number of which this window says nothing is as usual in it."""
        distances = dict.fromkeys(self._sums, 0.0) | {one.name: one.distance for one in compared}
        for name, distance in distances.items():
            more = min(distance - ALLOWANCE, AT_ONCE * self.rules.z)
            self._sums[name] = max(0.0, self._sums.get(name, 0.0) + more)

    def _make_reference(self) -> None:
        """What is above suspicion is usual; and so is, in the end, what never became an alarm."""
        suspicious = self.rules.reference if any(self._sums.values()) else 0
        while len(self._recent) > suspicious:
            self._reference.append(self._recent.popleft())
        while len(self._reference) > self.rules.reference:
            self._reference.popleft()

    def _maybe_end(self) -> None:
        while len(self._recent) > self.rules.reference:
            self._recent.popleft()
        if self.calm >= self.rules.calm:
            self.alarm = ()
            calm = list(self._recent)[-self.rules.calm :]
            self._recent.clear()
            self._sums.clear()
            self._reference.extend(calm)

    def _usual_categories(self) -> dict[str, float]:
        total: Counter[str] = Counter()
        for window in self._reference:
            total.update(window.categories)
        return dict(total)

    def _compared(self, numbers: Mapping[str, float]) -> list[ShiftCompared]:
        """Every number; nothing while too little is known."""
        found: list[ShiftCompared] = []
        if len(self._reference) < self.rules.reference:
            return found
        for name, value in numbers.items():
            before = [w.numbers[name] for w in self._reference if name in w.numbers]
            if len(before) >= LEAST_KNOWN:
                usual = median(before)
                scale = 1.4826 * median(abs(x - usual) for x in before)
                found.append(
                    ShiftCompared(name, value, usual, max(scale, MATTERS[name] / ALLOWANCE))
                )
        return found

    # -- resuming ---------------------------------------------------------------------

    def to_record(self) -> dict[str, Any]:
        """JSON-able; no user's name is in it. The window being filled is not kept."""
        return {
            "alarm": [[s.name, s.value, s.usual, s.scale] for s in self.alarm],
            "windows": self.windows,
            "calm": self.calm,
            "sums": dict(self._sums),
            "reference": [[w.numbers, dict(w.categories)] for w in self._reference],
        }

    def load(self, record: Mapping[str, Any]) -> None:
        """As ``to_record`` gave it."""
        self.alarm = tuple(ShiftCompared(*fields) for fields in record["alarm"])
        self.windows, self.calm = record["windows"], record["calm"]
        self._sums = dict(record.get("sums", {}))  # none in a record of 2026-11
        self._reference = deque(_Window(*fields) for fields in record["reference"])


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
