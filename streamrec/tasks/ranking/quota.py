"""What any one source may weigh in what is learned: weights of examples, in their order.

Kept of the last ``window`` examples: whose they were, which items they speak for or against,
and the weight each was given.

The rule: an example gets the largest weight, at most 1, with which no user weighs more than
``user_share`` and no item more than ``item_share`` of any ``window`` consecutive examples
(of ``window``, not of their total weight: a lone user is not silenced, only bounded). So a
user below the quota always weighs 1, and one above it weighs as much as is left.

The weights are a function of the examples before, in order, and nothing else: with the arrays
of ``state`` in a checkpoint, a resumed learner gives the same ones. Users and items are kept
as 64-bit hashes: a checkpoint holds no ids. Two ids with one hash would share a quota.

Shapes: W window, B examples, T items of an example that are remembered.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrec.core.examples import FloatArray
from streamrec.tasks.ranking.examples import ExampleKind, RankingExample

TARGETS = 4
"""Items of one example that count: of an impression with more clicks, the first."""

LEAST = 1e-6
"""A smaller weight is none: rounding leaves no crumbs."""


@dataclass(frozen=True, slots=True)
class QuotaRules:
    """Shares of ``window`` examples; a share of 1 bounds nothing."""

    window: int = 2_048
    user_share: float = 0.125
    item_share: float = 0.25


class _Weighed(NamedTuple):
    user: int
    items: tuple[int, ...]
    weight: float


class Quota:
    """The window, and what each user and item weighs in it."""

    def __init__(self, rules: QuotaRules) -> None:
        self._user_cap = rules.user_share * rules.window
        self._item_cap = rules.item_share * rules.window
        self._window: deque[_Weighed] = deque()
        self._length = rules.window
        self._users: defaultdict[int, float] = defaultdict(float)
        self._items: defaultdict[int, float] = defaultdict(float)
        self.limited = 0  # examples that weighed less than 1, since this process started

    def weigh(self, examples: Sequence[RankingExample]) -> FloatArray:
        """Weights in [0, 1], one an example: (B,). The examples enter the window."""
        return np.array([self._weigh(example) for example in examples], np.float32)

    def _weigh(self, example: RankingExample) -> float:
        if len(self._window) == self._length:
            self._forget(self._window.popleft())
        user = _hash(example.user_id)
        items = tuple(dict.fromkeys(_hash(item) for item in _targets(example)))
        left = [self._user_cap - self._users[user]]
        left += [self._item_cap - self._items[item] for item in items]
        weight = float(np.float32(min(1.0, *left)))  # as a checkpoint keeps it
        weight = weight if weight > LEAST else 0.0
        self._count(_Weighed(user, items, weight))
        self.limited += weight < 1.0
        return weight

    def _count(self, weighed: _Weighed) -> None:
        self._window.append(weighed)
        self._users[weighed.user] += weighed.weight
        for item in weighed.items:
            self._items[item] += weighed.weight

    def _forget(self, weighed: _Weighed) -> None:
        _take(self._users, weighed.user, weighed.weight)
        for item in weighed.items:
            _take(self._items, item, weighed.weight)

    def state(self) -> dict[str, NDArray[Any]]:
        """The window, oldest first: users (W,), items (W, T) with 0 where there are fewer."""
        items_WT = np.zeros((len(self._window), TARGETS), np.int64)
        for w, weighed in enumerate(self._window):
            items_WT[w, : len(weighed.items)] = weighed.items
        return {
            "user": np.array([w.user for w in self._window], np.int64),
            "items": items_WT,
            "weight": np.array([w.weight for w in self._window], np.float32),
        }

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """As ``state`` gave it; a checkpoint without one is an empty window."""
        self._window.clear()
        self._users.clear()
        self._items.clear()
        if not state:
            return
        columns = (state["user"].tolist(), state["items"].tolist(), state["weight"].tolist())
        for user, items, weight in list(zip(*columns, strict=True))[-self._length :]:
            self._count(_Weighed(user, tuple(item for item in items if item), weight))


def _targets(example: RankingExample) -> tuple[str, ...]:
    """The accepted items; of an item shown alone and left, that one."""
    if example.kind is ExampleKind.VIEW:
        return example.candidates[:1]
    accepted = np.flatnonzero(example.labels_C > 0)[:TARGETS].tolist()
    return tuple(example.candidates[c] for c in accepted)


def _hash(name: str) -> int:
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True) or 1


def _take(totals: defaultdict[int, float], key: int, weight: float) -> None:
    totals[key] -= weight
    if totals[key] <= LEAST:
        del totals[key]
