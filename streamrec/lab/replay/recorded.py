"""A recorded stream, and what there is to predict in it.

Knows the events' future (outcomes of impressions) and each user's state just before each event.

- Every impression (views of one user sharing an ``impression_id``) is predicted when its
  first view comes; its labels are the accepted events that name it, whenever they come.
- Every accepted event outside an impression, by a user with an earlier one or with a query that
  led to it, is predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streamrec.core.events import Interaction, Item, Kind
from streamrec.core.examples import FloatArray
from streamrec.core.state.attribution import led_by
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.user_state import NEW_USER, UserState, consumes


@dataclass(frozen=True, slots=True)
class NextClick:
    """One next-click prediction to make: ``number`` is the event's place in the stream."""

    number: int
    user: UserState
    event: Interaction
    target: int | None  # catalogue row
    earlier_rows: tuple[int, ...]

    @property
    def query(self) -> str:
        """What led to it, in words."""
        return led_by(self.user, self.event)


@dataclass(frozen=True, slots=True)
class ShownList:
    """One impression to rank."""

    number: int
    user_id: str
    user: UserState
    now_ms: int
    item_ids: tuple[str, ...]
    labels_C: FloatArray
    query: str = ""


class RecordedStream:
    """The recorded stream and what the evaluation must know of its future: outcomes."""

    def __init__(self, items: Sequence[Item], events: Sequence[Interaction]) -> None:
        self.items, self.events = items, events
        self._shown: dict[tuple[str, str], dict[str, None]] = {}
        self._accepted: dict[tuple[str, str], set[str]] = {}
        for event in events:
            if event.impression_id is None:
                continue
            key = (event.user_id, event.impression_id)
            if event.kind is Kind.VIEW:
                self._shown.setdefault(key, {})[event.item_id] = None
            elif event.accepted:
                self._accepted.setdefault(key, set()).add(event.item_id)

    def impression(self, event: Interaction) -> tuple[tuple[str, ...], FloatArray] | None:
        """All items and labels of the impression an event belongs to, if it has views."""
        if event.impression_id is None:
            return None
        key = (event.user_id, event.impression_id)
        if key not in self._shown:
            return None
        accepted = self._accepted.get(key, set())
        items = tuple(self._shown[key] | dict.fromkeys(sorted(accepted)))
        return items, np.array([item in accepted for item in items], np.float32)

    def first_at(self, at_ms: int | None) -> int:
        """The number of the first event at or after a time; all of them when it is None."""
        if at_ms is None:
            return 0
        late = (n for n, event in enumerate(self.events) if event.occurred_at_ms >= at_ms)
        return next(late, len(self.events))


class Walk:
    """Goes through a stream once, keeping each user's exact state."""

    def __init__(self, stream: RecordedStream, catalogue: Catalogue) -> None:
        self._stream, self._catalogue = stream, catalogue
        self._users: dict[str, UserState] = {}
        self._seen: set[tuple[str, str]] = set()  # users and event ids
        self._earlier: dict[str, set[int]] = {}
        self._opened: set[tuple[str, str]] = set()

    def advance(self, start: int, stop: int) -> tuple[list[NextClick], list[ShownList]]:
        """What must be predicted, each with the user's state just before its event."""
        wanted: list[NextClick] = []
        shown: list[ShownList] = []
        for number, event in enumerate(self._stream.events[start:stop], start):
            user = self._users.get(event.user_id, NEW_USER)
            if (name := (event.user_id, event.event_id)) in self._seen:
                continue
            self._seen.add(name)
            impression = self._stream.impression(event)
            if impression is not None:
                key = (event.user_id, event.impression_id or "")
                if key not in self._opened:
                    self._opened.add(key)
                    at_ms, query = event.occurred_at_ms, led_by(user, event)
                    shown.append(ShownList(number, event.user_id, user, at_ms, *impression, query))
            elif event.accepted and (user.accepts or led_by(user, event)):
                wanted.append(self._want(number, user, event))
            self._users[event.user_id] = user.after(event) if event.with_item else user.heard(event)
            row = self._catalogue.row(event.item_id)
            if row is not None and consumes(event):
                self._earlier.setdefault(event.user_id, set()).add(row)
        return wanted, shown

    def _want(self, number: int, user: UserState, event: Interaction) -> NextClick:
        earlier = self._earlier.get(event.user_id, ())
        return NextClick(number, user, event, self._catalogue.row(event.item_id), tuple(earlier))
