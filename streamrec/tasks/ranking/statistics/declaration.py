"""What a live statistic declares: its columns, their groups and reasons, its counter, its value.

A statistic is a class. Its value depends on the item alone (``ItemStatistic``), on user and item
(``PairStatistic``) or on the user alone (``UserStatistic``). Whatever else the house must know of
it follows from ``columns`` and ``counter``: the names and the order of features, the head's inputs,
the groups of an explanation, the words of a reason, what the fold counts and stores.

Every value is finite, log-scaled where it counts something, and 0 where nothing is known.

Legend: N catalogue rows, B users, T candidates of all of them together, C columns of one
statistic, D inputs of the head, G groups.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import IntArray
from streamrec.core.state.counters import Counter
from streamrec.core.state.user_state import UserState
from streamrec.tasks.ranking.statistics.moment import Moment

LONGEST_TITLE = 60


class InputGroup(StrEnum):
    """Groups of inputs that are explained together, in the order of every (…, G) array."""

    about: str  # what the inputs tell, in words

    def __new__(cls, name: str, about: str) -> InputGroup:
        group = str.__new__(cls, name)
        group._value_, group.about = name, about
        return group

    TEXT = "text", "its text is like what the user chose"
    CO_OCCURRENCES = (
        "co-occurrences",
        "what others chose after, and together with, the user's last items",
    )
    TASTE = "taste", "how its categories do, and how much the user chooses them"
    POPULARITY = "popularity", "how often it was chosen and seen of late"
    AGE = "age", "how new it is, and how long ago it was last chosen"
    USER = "user", "how active the user is: the same for every item"


@dataclass(frozen=True, slots=True, eq=False)
class ReasonInputs:
    """What is known of one item of one list. ``nearest``, ``last``: titles, if any."""

    parts_G: FloatArray
    raw_D: FloatArray  # inputs as they were computed
    standard_D: FloatArray  # as the head sees them: 0 is usual
    at: Mapping[str, int]  # position of an input by name
    nearest: str | None  # of the user's items, the one whose text is closest
    last: str | None  # the user's last item

    def raw(self, name: str) -> float:
        """An input as it was computed; 0 when the head has no such input."""
        at = self.at.get(name)
        return 0.0 if at is None else float(self.raw_D[at])

    def standard(self, name: str) -> float:
        """An input as the head sees it; 0 when it has none."""
        at = self.at.get(name)
        return 0.0 if at is None else float(self.standard_D[at])


Reason = Callable[[str, ReasonInputs], str]
"""What may be said of an item when a column's group is the largest part of its score.

Given the column's name. Empty when the numbers do not bear the words out: none is better than a
wrong one.
"""


@dataclass(frozen=True, slots=True)
class InputColumn:
    """One input of the head. ``name`` is for ever: weights and stored features are named by it."""

    name: str
    group: InputGroup
    reason: Reason


def silent(name: str, seen: ReasonInputs) -> str:
    """A reason for nothing."""
    del name, seen
    return ""


def if_positive(words: str) -> Reason:
    """Where the input is above 0. ``{last}`` and ``{nearest}`` stand for titles, which must be."""
    return lambda name, seen: _filled(words, seen) if seen.raw(name) > 0 else ""


def if_above_usual(words: str) -> Reason:
    """Where the head sees more than the mean."""
    return lambda name, seen: _filled(words, seen) if seen.standard(name) > 0 else ""


def if_below_usual(words: str) -> Reason:
    """Where the head sees less than the mean."""
    return lambda name, seen: _filled(words, seen) if seen.standard(name) < 0 else ""


def _filled(words: str, seen: ReasonInputs) -> str:
    for place, title in (("{last}", seen.last), ("{nearest}", seen.nearest)):
        if place in words:
            return "" if title is None else words.replace(place, _short(title))
    return words


def _short(title: str) -> str:
    return title if len(title) <= LONGEST_TITLE else title[: LONGEST_TITLE - 1] + "…"


class Statistic(ABC):
    """What all have. One object of it lives as long as its moment."""

    columns: ClassVar[tuple[InputColumn, ...]]
    counter: ClassVar[Counter | None] = None
    """What it counts, beside what the core counts for all of them."""


class ItemStatistic(Statistic):
    """Depends on the item alone: computed of every item, once a moment."""

    def __init__(self, moment: Moment) -> None:
        self.values = self.items(moment)
        if len(self.values) != len(self.columns):
            raise ValueError(f"{type(self).__name__}: {len(self.columns)} columns are declared")

    @abstractmethod
    def items(self, moment: Moment) -> Sequence[NDArray[np.floating[Any]]]:
        """The value for the whole catalogue, from which that for a pair is taken: (N,) a column."""

    def column(self, name: str) -> FloatArray:
        """(N,). Raises KeyError for a name that it does not declare."""
        values = {one.name: value for one, value in zip(self.columns, self.values, strict=True)}
        return values[name].astype(np.float32)


class PairStatistic(Statistic):
    """Depends on what the user accepted, and on the item.

    ``histories``: catalogue rows of each user's accepted items, newest last, UNKNOWN among them.
    """

    def __init__(self, moment: Moment) -> None:
        """Here belongs what does not depend on the user. It keeps what it needs of the moment."""

    @abstractmethod
    def pairs(
        self, histories: Sequence[IntArray], rows_T: NDArray[np.int64], request_T: NDArray[np.intp]
    ) -> FloatArray:
        """The value for pairs: of known rows, ``request_T`` says whose each is. (T, C) float32."""

    def sharing(self, history: IntArray) -> IntArray:
        """Catalogue rows that it lifts for a history, where these are few: they are candidates
        wherever not every item is scored. In any order, with repetitions."""
        del history
        return np.zeros(0, np.int32)

    def catalogue(self, histories: Sequence[IntArray], out_BCN: FloatArray) -> None:
        """The value for the whole catalogue, written over zeros.

        Derived. One that overrides it with something faster is held equal to ``pairs`` by
        tests/property/tasks/test_statistics.py.
        """
        n = out_BCN.shape[2]
        rows_T, first_T = np.arange(n, dtype=np.int64), np.zeros(n, np.intp)
        for history, out_CN in zip(histories, out_BCN, strict=True):
            out_CN[:] = self.pairs([history], rows_T, first_T).T


class UserStatistic(Statistic):
    """Depends on the user alone: computed with every event, so as plain floats."""

    @staticmethod
    @abstractmethod
    def user(user: UserState, now_ms: int) -> tuple[float, ...]:
        """One number for each column."""
