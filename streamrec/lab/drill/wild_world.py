"""Producers as they are found in the wild, and what each of them means to say.

Each producer has users of its own, so that what became of its events can be told apart. A visit
is a list of items that is shown, and what of it was clicked; the producer's habit decides how
that is written, stamped, ordered, repeated or taken back. What should be known in the end
(``Meant``) is kept beside what is sent, from the visits alone: nothing here asks the loop.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from streamrec.core import topics
from streamrec.lab.measures.wild_check import Meant

FILMS = 60
SHOWN = 4
HOUR_MS = 3_600_000
NUMBERED = 1_000
"""Items from here on are whole numbers in the catalogue of the producer of numbers."""


class Outgoing(NamedTuple):
    """One message. ``timestamp_ms``: what the producer says; None: the client's own clock."""

    topic: str
    key: bytes | None
    value: bytes | None
    timestamp_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Visit:
    """What one user was shown, and clicked. ``impression`` names the list."""

    user: str
    impression: str
    shown: tuple[str, ...]
    clicked: tuple[str, ...]
    at_ms: int

    def events(self) -> list[dict[str, Any]]:
        """Views, then clicks, a millisecond apart."""
        views = [self._event("view", item, n) for n, item in enumerate(self.shown)]
        clicks = [self._event("click", item, SHOWN + n) for n, item in enumerate(self.clicked)]
        return views + clicks

    def _event(self, kind: str, item: str, n: int) -> dict[str, Any]:
        return {
            "event_id": f"{self.impression}-{kind}-{item}",
            "user_id": self.user,
            "item_id": item,
            "kind": kind,
            "impression_id": self.impression,
            "occurred_at": self.at_ms + n,
        }


class WildProducer:
    """An ordinary web shop. Others differ from it in one habit.

    ``compression`` and ``transactional`` say how its client is made. ``certain``: all it sends
    has a plain meaning, so that nothing of it may be refused.
    """

    name = "web"
    habit = "JSON, in order, on the right clock"
    compression: str | None = "lz4"
    transactional = False
    certain = True

    def __init__(self, rng: random.Random) -> None:
        self.meant: dict[str, Meant] = {}
        self._rng = rng
        self._count = 0

    def turn(self, now_ms: int) -> list[Outgoing]:
        """One visit, in the order in which it is sent."""
        visit = self._visit(now_ms)
        self._mean(visit)
        return [self._message(event) for event in visit.events()]

    def ends_well(self) -> bool:
        """Whether what this turn sent is committed. Asked once a turn, of transactions."""
        return True

    def again(self) -> list[Outgoing]:
        """What is sent once more, at the end."""
        return []

    def owns(self, user: str) -> bool:
        return user.startswith(f"{self.name}-u")

    def _mean(self, visit: Visit) -> None:
        meant = self.meant.setdefault(visit.user, Meant())
        meant.views += len(visit.shown)
        meant.accepts += len(visit.clicked)
        meant.lists[frozenset(visit.shown)] = frozenset(visit.clicked)

    def _visit(self, now_ms: int) -> Visit:
        self._count += 1
        rng = self._rng
        shown = tuple(self._item(n) for n in rng.sample(range(FILMS), SHOWN))
        clicked = tuple(item for item in shown if rng.random() < 0.3)
        return Visit(self._user(), f"{self.name}-{self._count}", shown, clicked, now_ms)

    def _user(self) -> str:
        return f"{self.name}-u{self._count}"

    def _item(self, n: int) -> str:
        return f"film{n}"

    def _message(self, event: dict[str, Any], timestamp_ms: int | None = None) -> Outgoing:
        value = json.dumps(event).encode()
        return Outgoing(topics.EVENTS, str(event["user_id"]).encode(), value, timestamp_ms)


class Transactional(WildProducer):
    """What an aborted transaction said was never said."""

    name = "transactions"
    habit = "each visit a transaction; one in five is aborted"
    transactional = True

    def turn(self, now_ms: int) -> list[Outgoing]:
        visit = self._visit(now_ms)
        self._aborts = self._count % 5 == 0
        if not self._aborts:
            self._mean(visit)
        return [self._message(event) for event in visit.events()]

    def ends_well(self) -> bool:
        return not self._aborts


class ClockAhead(WildProducer):
    """Whole hours ahead, as a server on local time that says it is UTC; now and then absurd.

    What it says may be taken at another time than it says, or be refused by name.
    """

    name = "clock-ahead"
    habit = "hours ahead; now and then in 2090, at 0, or local time without a zone"
    certain = False

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self._ahead_ms = rng.randrange(1, 24) * HOUR_MS

    def turn(self, now_ms: int) -> list[Outgoing]:
        visit = self._visit(now_ms + self._ahead_ms)
        self._mean(visit)
        return [self._stamped(event, now_ms) for event in visit.events()]

    def _stamped(self, event: dict[str, Any], now_ms: int) -> Outgoing:
        odd = self._rng.randrange(12)
        there_ms = now_ms + self._ahead_ms
        if odd == 0:
            there_ms = round(datetime(2090, 1, 1, tzinfo=UTC).timestamp() * 1000)
            return self._message({**event, "occurred_at": there_ms}, there_ms)
        if odd == 1:
            return self._message({**event, "occurred_at": now_ms}, 0)
        if odd == 2:
            local = datetime.fromtimestamp(there_ms / 1000, UTC).replace(tzinfo=None)
            return self._message({**event, "occurred_at": local.isoformat()})
        return self._message(event, there_ms)


class ClicksFirst(WildProducer):
    """Views are sent in batches by a page that closes, clicks at once."""

    name = "clicks-first"
    habit = "clicks arrive before the views of their list, views in any order"

    def turn(self, now_ms: int) -> list[Outgoing]:
        sent = super().turn(now_ms)
        self._rng.shuffle(sent)
        return sorted(sent, key=lambda message: b'"kind": "view"' in (message.value or b""))


class Connector(WildProducer):
    """Two users with long histories; a restart sends all of it once more, as it was."""

    name = "connector"
    habit = "sends its last hour again, byte for byte"

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self._sent: list[Outgoing] = []

    def turn(self, now_ms: int) -> list[Outgoing]:
        sent = super().turn(now_ms)
        self._sent += sent
        return sent

    def again(self) -> list[Outgoing]:
        return self._sent

    def _user(self) -> str:
        return f"{self.name}-u{self._count % 2}"


class Numbered(WildProducer):
    """Most catalogues' ids."""

    name = "numbers"
    habit = "whole numbers as ids, of users and of items"
    first_user = 7_000_000

    def owns(self, user: str) -> bool:
        return user.isdecimal()

    def _user(self) -> str:
        return str(self.first_user + self._count)

    def _item(self, n: int) -> str:
        return str(NUMBERED + n)

    def _message(self, event: dict[str, Any], timestamp_ms: int | None = None) -> Outgoing:
        numbered = {
            **event,
            "user_id": int(event["user_id"]),
            "item_id": int(event["item_id"]),
        }
        return super()._message(numbered, timestamp_ms)


class Zstd(WildProducer):
    name = "zstd"
    habit = "compressed with zstd"
    compression = "zstd"


class Snappy(WildProducer):
    name = "snappy"
    habit = "compressed with snappy"
    compression = "snappy"


class Envelopes(WildProducer):
    """A sink's converter with schemas enabled."""

    name = "envelopes"
    habit = "Connect's schema and payload around each event, a byte order mark in front"

    def _message(self, event: dict[str, Any], timestamp_ms: int | None = None) -> Outgoing:
        sent = super()._message(event, timestamp_ms)
        schema = {"type": "struct", "optional": False, "name": "click"}
        value = json.dumps({"schema": schema, "payload": event}).encode("utf-8-sig")
        return sent._replace(value=value)


POPULATION: tuple[type[WildProducer], ...] = (
    WildProducer,
    Transactional,
    ClockAhead,
    ClicksFirst,
    Connector,
    Numbered,
    Zstd,
    Snappy,
    Envelopes,
)


def population(seed: int) -> list[WildProducer]:
    """One of each; the same seed gives the same visits, times aside."""
    return [
        kind(random.Random(f"{seed} {kind.name}"))  # noqa: S311 - reproducible, no secret
        for kind in POPULATION
    ]


class CatalogueTopic(NamedTuple):
    """The messages that make the catalogue, those that take items away, and what is left."""

    put: Sequence[Outgoing]
    removed: Sequence[Outgoing]
    left: frozenset[str]
    gone: frozenset[str]


def catalogue() -> CatalogueTopic:
    """Ordinary items, numbered ones, and a table that a connector keeps in step."""
    films = [_film(f"film{n}", f"film{n}".encode()) for n in range(FILMS)]
    numbers = [_film(NUMBERED + n, str(NUMBERED + n).encode()) for n in range(FILMS)]
    rows = [_connected(n, _row(n)) if n % 2 else _changed(n, "c") for n in range(8)]
    removed = [_connected(n, None) if n % 2 else _changed(n, "d") for n in range(4)]
    left = {
        *(f"film{n}" for n in range(FILMS)),
        *(str(NUMBERED + n) for n in range(FILMS)),
        *(f"row{n}" for n in range(4, 8)),
    }
    gone = {f"row{n}" for n in range(4)}
    return CatalogueTopic([*films, *numbers, *rows], removed, frozenset(left), frozenset(gone))


def _film(item_id: str | int, key: bytes) -> Outgoing:
    fields = {"item_id": item_id, "title": f"Film {item_id}", "categories": "drama", "available": 1}
    return Outgoing(topics.ITEMS, key, json.dumps(fields).encode())


def _row(n: int) -> dict[str, Any]:
    attributes = {"year": 1980 + n, "seen": None, "colour": True}
    return {"item_id": f"row{n}", "title": 1980 + n, "attributes": attributes}


def _connected(n: int, row: dict[str, Any] | None) -> Outgoing:
    """Key in JSON quotes, as JsonConverter writes it; value with its schema, or a tombstone."""
    value = None if row is None else {"schema": {"type": "struct"}, "payload": row}
    key = json.dumps(f"row{n}").encode()
    return Outgoing(topics.ITEMS, key, None if value is None else json.dumps(value).encode())


def _changed(n: int, op: str) -> Outgoing:
    """Debezium's event of a row that was created (c) or deleted (d), under its primary key."""
    row = _row(n)
    change = {"before": None, "after": row, "op": "c", "source": {"table": "items"}}
    if op == "d":
        change |= {"before": row, "after": None, "op": "d"}
    key = json.dumps({"item_id": row["item_id"]}).encode()
    return Outgoing(topics.ITEMS, key, json.dumps(change).encode())


def everywhere(now_ms: int, count: int, rng: random.Random) -> Iterator[Outgoing]:
    """Views by passers-by of every partition, so that event time goes on while lists close."""
    for _ in range(count):
        n = rng.randrange(10**9)
        event = Visit(f"passer-{n}", f"pass-{n}", ("film0",), (), now_ms).events()[0]
        yield Outgoing(topics.EVENTS, f"passer-{n}".encode(), json.dumps(event).encode())
