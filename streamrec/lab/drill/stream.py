"""A known stream: the same seed gives the same messages.

Knows users, items and what real topics hold: lists of views and their clicks, clicks from
nowhere, repeated and late events, items nobody knows, people who want to be forgotten, requests,
and messages that are nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from streamrec.core import topics
from streamrec.core.events import WITH_REPLY, Interaction, Item, Kind, Request
from streamrec.infra.wire.kafka import partition_for
from streamrec.ports import Codec

ITEMS = 120
USERS = 240
SHOWN = 5
BEGIN_MS = 1_750_000_000_000
STEP_MS = 4_000
"""Event time between two visits: with the default window, some hundred visits stay open."""

ASKED_IN_WORDS = 3
"""One request in so many."""

TASTES = ("harbours at dawn", "engines and speed", "quiet kitchens", "far planets")
JUNK = (
    b"clicked on something, I think",
    b'{"event_id": "x", "user_id": "u1", "kind": "click", "occurred_at": 881250949}',
    b'{"event_id": "x", "user_id": "u1", "item_id": "i1", "kind": "stare", "occurred_at": 1e9}',
    b"\xc3\x01\x00\x01\x02\x03\x04\x05\x06\x07 nobody's schema",
    None,
)


class Message(NamedTuple):
    """``request_id``: of a request; ``bad``: it must end in the dead letters."""

    topic: str
    key: bytes
    value: bytes | None
    bad: bool = False
    request_id: str | None = None
    wants_reply: bool = False


def catalogue() -> list[Item]:
    return [
        Item(
            f"i{n}",
            f"{TASTES[n % len(TASTES)].capitalize()}, part {n}",
            categories=(TASTES[n % len(TASTES)].split()[0],),
        )
        for n in range(ITEMS)
    ]


def items(codec: Codec) -> Iterator[Message]:
    """The catalogue, and three messages that are no items."""
    for item in catalogue():
        yield Message(topics.ITEMS, item.item_id.encode(), codec.encode(topics.ITEMS, item))
    for n in range(3):
        yield Message(topics.ITEMS, f"junk{n}".encode(), JUNK[0], bad=True)


class DrillStream:
    """Endless; ``partitions`` of the events topic decide what a misplaced event is. ``words``:
    some requests want a reply; all else is the same without them."""

    def __init__(self, seed: int, codec: Codec, partitions: int, *, words: bool = False) -> None:
        self._words = words
        self._rng = random.Random(seed)  # noqa: S311 - reproducible, no secret
        self._codec = codec
        self._partitions = partitions
        self._now_ms = BEGIN_MS
        self._count = 0

    def __iter__(self) -> Iterator[Message]:
        rng = self._rng
        while True:
            self._now_ms += rng.randrange(2 * STEP_MS)
            user = f"u{min(rng.randrange(USERS), rng.randrange(USERS))}"
            sort = rng.random()
            if sort < 0.005:
                yield self._event(user, "", Kind.FORGET)
            elif sort < 0.02:
                yield self._event(user, "", Kind.SEARCH)
            elif sort < 0.03:
                kinds = [Kind.REPLY, rng.choice((Kind.ACCEPT, Kind.REJECT))]
                for kind in rng.sample(kinds, 2):  # which of them comes first nobody promises
                    yield self._event(user, "", kind)
            elif sort < 0.45:
                yield from self._impression(user)
            elif sort < 0.70:
                yield self._event(user, self._liked(user), Kind.CLICK)
            elif sort < 0.85:
                yield from self._viewed_alone(user)
            else:
                kind = rng.choice((Kind.LIKE, Kind.DISLIKE, Kind.PURCHASE, Kind.PLAY))
                yield self._event(user, self._liked(user), kind)
            if rng.random() < 0.25:
                yield self._request(user)
            if rng.random() < 0.02:
                yield self._bad()

    def _impression(self, user: str) -> Iterator[Message]:
        shown = [f"i{n}" for n in self._rng.sample(range(ITEMS), SHOWN)]
        impression = f"p{self._count}"
        for item in shown:
            yield self._event(user, item, Kind.VIEW, impression)
        if self._rng.random() < 0.5:
            yield self._event(user, self._rng.choice(shown), Kind.CLICK, impression)

    def _viewed_alone(self, user: str) -> Iterator[Message]:
        item = self._liked(user)
        yield self._event(user, item, Kind.VIEW)
        if self._rng.random() < 0.5:
            yield self._event(user, item, Kind.CLICK)

    def _event(self, user: str, item: str, kind: Kind, impression: str | None = None) -> Message:
        """Now and then late by minutes, of an unknown item, or with an id seen before."""
        rng = self._rng
        self._count += 1
        repeated = rng.random() < 0.01
        late_ms = rng.randrange(600_000) if rng.random() < 0.02 else 0
        event = Interaction(
            event_id=f"e{self._count - (rng.randrange(1, 8) if repeated else 0)}",
            user_id=user,
            item_id="unheard-of" if item and rng.random() < 0.005 else item,
            kind=kind,
            occurred_at_ms=self._now_ms - late_ms,
            value=round(rng.random(), 2) if kind is Kind.PLAY else None,
            impression_id=impression,
            query="something new" if kind is Kind.SEARCH else None,
            reply_id=f"w{self._now_ms}" if kind in WITH_REPLY else None,
        )
        return Message(topics.EVENTS, user.encode(), self._codec.encode(topics.EVENTS, event))

    def _request(self, user: str) -> Message:
        self._count += 1
        request = Request(f"r{self._count}", user, self._now_ms, k=5)
        if wants := self._words and self._count % ASKED_IN_WORDS == 0:
            talk = f"talk-{user}"
            request = replace(request, query="something new", reply=True, conversation_id=talk)
        value = self._codec.encode(topics.REQUESTS, request)
        return Message(
            topics.REQUESTS,
            user.encode(),
            value,
            request_id=request.request_id,
            wants_reply=wants,
        )

    def _bad(self) -> Message:
        rng = self._rng
        sort = rng.random()
        if sort < 0.2:
            return Message(topics.REQUESTS, b"junk", rng.choice(JUNK), bad=True)
        if sort < 0.4 and self._partitions > 1:
            return self._misplaced()
        return Message(topics.EVENTS, f"junk{rng.randrange(9)}".encode(), rng.choice(JUNK), True)

    def _misplaced(self) -> Message:
        """A good event under the key of somebody who lives in another partition."""
        good = self._event("u1", self._liked("u1"), Kind.CLICK)
        home = partition_for("u1", self._partitions)
        others = (f"u{n}" for n in range(USERS))
        key = next(u for u in others if partition_for(u, self._partitions) != home)
        return good._replace(key=key.encode(), bad=True)

    def _liked(self, user: str) -> str:
        taste = int(user[1:]) % len(TASTES)
        if self._rng.random() < 0.2:
            return f"i{self._rng.randrange(ITEMS)}"
        return f"i{self._rng.randrange(ITEMS // len(TASTES)) * len(TASTES) + taste}"
