"""What is known of one user: a pure function of the user's events.

The history, searches, what was consumed, activity, what was shown and still waits for its outcome
(``Pending``), which impressions no longer do, what was done with items lately (``Decided``), what
declared counters have counted, and replies (``core.state.replies``).

Sizes are bounded, so a record stays readable and writable in one piece however long a
user has been around.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from streamrec.core.events import Interaction, Kind
from streamrec.core.examples import FloatArray
from streamrec.core.state.replies import NO_REPLIES, OpenReply, Replies

HISTORY = 50
CONSUMED = 2_000
CLOSED = 32
DECIDED = 32
SEARCHES, SEARCH_CHARS = 8, 1_000
"""Searches of a user that are remembered, and how much of each: its end."""
LEADS_MS = 10 * 60_000
"""What a user does so soon after a search is taken to come of it."""


class Search(NamedTuple):
    """What a user asked in words."""

    at_ms: int
    query: str


class Shown:
    """One item shown, with the features logged then. ``stats_F`` is set once, by the fold."""

    __slots__ = ("item_id", "stats_F")

    def __init__(self, item_id: str, stats_F: FloatArray | None = None) -> None:
        self.item_id = item_id
        self.stats_F = stats_F


@dataclass(frozen=True, slots=True)
class Pending:
    """Items shown together (or one shown alone), waiting for their outcome.

    History and user features are those before the first of them was shown. ``early``: items of
    the impression that were accepted before anybody said that they were shown. ``clock_ms``: what
    the partition's clock said then, where that was far behind ``opened_at_ms``; else 0. ``query``:
    the words that led to it; "" without any.
    """

    impression_id: str | None  # None: one item, viewed outside any impression
    opened_at_ms: int
    history: tuple[str, ...]
    user_U: tuple[float, ...]
    shown: tuple[Shown, ...]
    accepted: tuple[str, ...] = ()
    early: tuple[Shown, ...] = ()
    clock_ms: int = 0
    query: str = ""

    @property
    def key(self) -> str:
        """Names it among the user's pendings."""
        if self.impression_id is None:
            return "v" + self.shown[0].item_id
        return "i" + self.impression_id

    def to_record(self) -> dict[str, Any]:
        return {
            "i": self.impression_id,
            "t": self.opened_at_ms,
            "h": list(self.history),
            "u": list(self.user_U),
            "s": [s.item_id for s in self.shown],
            "f": _pack([s.stats_F for s in self.shown]),
            "a": list(self.accepted),
            **_shown_record("e", "ef", self.early),
            **({"w": self.clock_ms} if self.clock_ms else {}),
            **({"q": self.query} if self.query else {}),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Pending:
        return cls(
            impression_id=record["i"],
            opened_at_ms=record["t"],
            history=tuple(record["h"]),
            user_U=tuple(record["u"]),
            shown=_shown_from(record["s"], record["f"]),
            accepted=tuple(record["a"]),
            early=_shown_from(record.get("e", ()), record.get("ef", "")),
            clock_ms=record.get("w", 0),
            query=record.get("q", ""),
        )


@dataclass(frozen=True, slots=True)
class Decided:
    """An item that a user did something with outside any impression, and that may be viewed yet.

    ``accepts``: of the user, before it. ``unseen``: it was accepted and no view of it has come;
    ``shown`` then holds the features logged before.
    """

    shown: Shown
    at_ms: int
    accepts: int
    unseen: bool


@dataclass(frozen=True, slots=True)
class UserState:
    """See the module. ``history`` holds accepted items, newest last; times run beside it."""

    history: tuple[str, ...] = ()
    history_ms: tuple[int, ...] = ()
    consumed: tuple[str, ...] = ()  # never recommended again to this user
    views: int = 0
    accepts: int = 0
    first_seen_ms: int = 0
    last_seen_ms: int = 0
    ids_from_ms: int = 0  # partition time from which on all its event ids are remembered
    ids_until_ms: int = 0  # events up to this time may have been counted before that
    recent_events: tuple[str, ...] = ()  # ids that version 0.1 kept here
    pending: tuple[Pending, ...] = ()
    closed: tuple[str, ...] = ()  # impressions whose clicks come too late, newest last
    decided: tuple[Decided, ...] = ()  # within the attribution window, newest last
    counted: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # by declared counter
    searches: tuple[Search, ...] = ()  # newest last
    replies: Replies = NO_REPLIES

    def after(self, event: Interaction) -> UserState:
        """The state once ``event`` has happened, ``pending`` aside (``core.state.attribution``)."""
        accepted = event.accepted
        history, history_ms = self.history, self.history_ms
        if accepted:
            history = (*history, event.item_id)[-HISTORY:]
            history_ms = (*history_ms, event.occurred_at_ms)[-HISTORY:]
        return self.but(
            history=history,
            history_ms=history_ms,
            consumed=self._consumed_after(event) if consumes(event) else self.consumed,
            views=self.views + (event.kind is Kind.VIEW),
            accepts=self.accepts + accepted,
            **self._heard(event),
        )

    def but(self, **changes: Any) -> UserState:
        """``dataclasses.replace`` in a third of its time: every event asks for it.

        Raises TypeError for what is no field.
        """
        if not changes.keys() <= _NAMES:
            raise TypeError(f"no field of a user's state: {sorted(changes.keys() - _NAMES)}")
        changed_or: Any = changes.get
        return UserState(*map(changed_or, _FIELDS, _values(self)))

    def heard(self, event: Interaction) -> UserState:
        """The state once its user is known to have been there."""
        return self.but(**self._heard(event))

    def _heard(self, event: Interaction) -> dict[str, Any]:
        return {
            "first_seen_ms": self.first_seen_ms or event.occurred_at_ms,
            "last_seen_ms": max(self.last_seen_ms, event.occurred_at_ms),
            "searches": self._searches_after(event),
        }

    def asked(self, at_ms: int) -> str:
        """The words of the last search, if that was shortly before; else ""."""
        last = next((one for one in reversed(self.searches) if one.at_ms <= at_ms), None)
        return "" if last is None or last.at_ms < at_ms - LEADS_MS else last.query

    @property
    def last_active_ms(self) -> int:
        """When it was last seen, or last opened what still waits."""
        return max(self.last_seen_ms, *(one.opened_at_ms for one in self.waiting), 0)

    def accepted_at_ms(self, item_id: str) -> int:
        """When it was last accepted, as far as the history goes; 0: not at all."""
        pairs = zip(self.history, self.history_ms, strict=False)  # version 0.1 kept no times
        return max((at_ms for item, at_ms in pairs if item == item_id), default=0)

    @property
    def waiting(self) -> tuple[Pending | OpenReply, ...]:
        """What waits for an outcome."""
        return (*self.pending, *self.replies.open)

    def remembered(self, watermark_ms: int, horizon_ms: int) -> UserState:
        """With the marks that tell which of its events ``core.state.known_ids`` may not know."""
        if self.ids_from_ms and watermark_ms < self.ids_from_ms + horizon_ms:
            return self
        return self.but(ids_from_ms=watermark_ms, ids_until_ms=self.last_seen_ms)

    def without(self, gone: Sequence[Pending]) -> UserState:
        """These pendings are over; the impressions among them will be known as closed."""
        kept = tuple(p for p in self.pending if all(p is not other for other in gone))
        closed = [p.impression_id for p in gone if p.impression_id is not None]
        return self.but(pending=kept, closed=(*self.closed, *closed)[-CLOSED:])

    def _consumed_after(self, event: Interaction) -> tuple[str, ...]:
        if event.item_id in self.consumed:
            return self.consumed
        return (*self.consumed, event.item_id)[-CONSUMED:]

    def _searches_after(self, event: Interaction) -> tuple[Search, ...]:
        """In their order of time; asked again, it is the last one."""
        if event.kind is not Kind.SEARCH or not event.query:
            return self.searches
        made = Search(event.occurred_at_ms, words(event.query))
        kept = [one for one in self.searches if one.query != made.query]
        return tuple(sorted([*kept, made], key=lambda one: one.at_ms)[-SEARCHES:])

    def to_record(self) -> dict[str, Any]:
        counted = {name: list(numbers) for name, numbers in self.counted.items()}
        return {
            "h": list(self.history),
            "ht": list(self.history_ms),
            "c": list(self.consumed),
            "n": [self.views, self.accepts],
            "s": [self.first_seen_ms, self.last_seen_ms],
            "m": [self.ids_from_ms, self.ids_until_ms],
            "e": list(self.recent_events),
            "p": [p.to_record() for p in self.pending],
            "x": list(self.closed),
            **_decided_record(self.decided),
            **({"k": counted} if counted else {}),
            **({"q": [list(one) for one in self.searches]} if self.searches else {}),
            **self.replies.to_record(),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> UserState:
        ids_from_ms, ids_until_ms = record.get("m", (0, 0))
        return cls(
            history=tuple(record["h"]),
            history_ms=tuple(record["ht"]),
            consumed=tuple(record["c"]),
            views=record["n"][0],
            accepts=record["n"][1],
            first_seen_ms=record["s"][0],
            last_seen_ms=record["s"][1],
            ids_from_ms=ids_from_ms,
            ids_until_ms=ids_until_ms,
            recent_events=tuple(record["e"]),
            pending=tuple(Pending.from_record(p) for p in record["p"]),
            closed=tuple(record.get("x", ())),  # older records do not say
            decided=_decided_from(record),
            counted={name: tuple(numbers) for name, numbers in record.get("k", {}).items()},
            searches=tuple(Search(at_ms, query) for at_ms, query in record.get("q", ())),
            replies=Replies.from_record(record),
        )


_FIELDS = tuple(one.name for one in fields(UserState))
_NAMES = frozenset(_FIELDS)
_values = attrgetter(*_FIELDS)
NEW_USER = UserState()


def words(query: str | None) -> str:
    """What is kept of a query: its end, where a conversation says what is wanted now."""
    return (query or "").strip()[-SEARCH_CHARS:]


def consumes(event: Interaction) -> bool:
    """Whether the item should not be recommended to this user again.

    Accepted, disliked and played items, and items viewed outside an impression. Items merely
    shown in an impression may be shown again.
    """
    return event.kind is not Kind.VIEW or event.impression_id is None


def _shown_record(names: str, features: str, shown: Sequence[Shown]) -> dict[str, Any]:
    if not shown:
        return {}
    return {names: [s.item_id for s in shown], features: _pack([s.stats_F for s in shown])}


def _shown_from(names: Sequence[str], features: str) -> tuple[Shown, ...]:
    return tuple(map(Shown, names, _unpack(features, len(names))))


def _decided_record(decided: Sequence[Decided]) -> dict[str, Any]:
    if not decided:
        return {}
    logged = [d.shown.stats_F if d.unseen else None for d in decided]
    return {
        "d": [[d.shown.item_id, d.at_ms, d.accepts, int(d.unseen)] for d in decided],
        "df": ["" if f is None else _pack([f]) for f in logged],
    }


def _decided_from(record: Mapping[str, Any]) -> tuple[Decided, ...]:
    return tuple(
        Decided(Shown(item, _unpack(features, 1)[0]), at_ms, accepts, bool(unseen))
        for (item, at_ms, accepts, unseen), features in zip(
            record.get("d", ()), record.get("df", ()), strict=True
        )
    )


def _pack(stats: Sequence[FloatArray | None]) -> str:
    if not stats or stats[0] is None:
        return ""
    rows = (s.astype("<f4", copy=False).tobytes() for s in stats if s is not None)
    return base64.b64encode(b"".join(rows)).decode()


def _unpack(text: str, rows: int) -> list[FloatArray | None]:
    if not text:
        return [None] * rows
    return list(np.frombuffer(base64.b64decode(text), "<f4").reshape(rows, -1))
