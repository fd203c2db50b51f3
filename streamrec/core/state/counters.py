"""Counters that a statistic brings along: a few numbers of every item, or of every user.

What many statistics read (decayed views and accepts, co-occurrences) is counted by the core for
all of them. A statistic that needs anything else declares a ``Counter``; the fold, which is
handed the declared ones, updates it with every event and stores it as it stores the rest:

- of an item: a row ``s/<name>/<item>`` of the partition; readers add up the partitions;
- of a user: in the user's own record, so that it is forgotten with the user.

A counter that changes what its numbers mean takes another name: records of the old one are left
alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from streamrec.core.events import Interaction
from streamrec.core.state.user_state import UserState

Numbers = tuple[float, ...]
ROWS = "s/"
"""Prefix of the keys of all counters' rows."""


class Owner(StrEnum):
    """Of whom a counter's numbers are."""

    ITEM = "item"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Counter:
    """``width`` numbers, 0 at first, and what an event makes of them.

    ``update`` sees every event of the owner, in order; that of an item does not see the
    acceptances with which one user insists on it (docs/adr/0064). It is a pure function, and what
    it returns is finite: a log gives the same numbers however it is cut into runs.
    """

    name: str
    owner: Owner
    width: int
    update: Callable[[Numbers, Interaction], Numbers]

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name or self.width < 1:
            raise ValueError(f"a counter has a name without '/', and numbers: {self}")

    @property
    def rows(self) -> str:
        """Prefix of the keys of its rows."""
        return f"{ROWS}{self.name}/"

    def of_user(self, user: UserState) -> Numbers:
        """What it has counted of a user."""
        return self._or_zero(user.counted.get(self.name))

    def _or_zero(self, numbers: Sequence[float] | None) -> Numbers:
        if numbers is None or len(numbers) != self.width:
            return (0.0,) * self.width
        return tuple(numbers)


def distinct(declared: Iterable[Counter]) -> tuple[Counter, ...]:
    """Each once, however many share it. Raises ValueError for two of one name."""
    by_name: dict[str, Counter] = {}
    for one in declared:
        if by_name.setdefault(one.name, one) != one:
            raise ValueError(f"two counters are called {one.name!r}")
    return tuple(by_name.values())


class ItemCounters:
    """The declared counters of every item, in one partition. Mutable: the fold owns it."""

    def __init__(self, declared: Sequence[Counter]) -> None:
        self._declared = [one for one in declared if one.owner is Owner.ITEM]
        self._numbers: dict[str, Numbers] = {}  # by key of the row
        self._touched: dict[str, None] = {}  # ordered set

    def load(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        """Rows as ``take_rows`` gave them; others are passed over."""
        self._numbers = {
            key: tuple(record["v"])
            for key, record in rows.items()
            for one in self._declared
            if key.startswith(one.rows) and len(record["v"]) == one.width
        }

    def count(self, event: Interaction) -> None:
        for one in self._declared:
            key = one.rows + event.item_id
            before = self._numbers.get(key, (0.0,) * one.width)
            after = one.update(before, event)
            if after != before:
                self._numbers[key] = after
                self._touched[key] = None

    def drop(self, item_id: str) -> None:
        """Forget what was counted of an item."""
        for key in (one.rows + item_id for one in self._declared):
            if self._numbers.pop(key, None) is not None:
                self._touched[key] = None

    def take_rows(self) -> dict[str, dict[str, Any] | None]:
        """The rows changed since last asked; None: removed."""
        rows = {
            key: {"v": list(self._numbers[key])} if key in self._numbers else None
            for key in self._touched
        }
        self._touched.clear()
        return rows


def count_of_user(user: UserState, event: Interaction, declared: Sequence[Counter]) -> UserState:
    """The user's state once the counters of users have seen ``event``."""
    own = [one for one in declared if one.owner is Owner.USER]
    if not own:
        return user
    counted = {one.name: one.update(one.of_user(user), event) for one in own}
    return user.but(counted={**user.counted, **counted})
