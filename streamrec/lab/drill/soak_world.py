"""A world that stands still only on the whole: items come and go, and so do people.

Knows tastes, a catalogue of a steady size whose oldest item gives way to a new one, and people who
come, look, click and leave for good; some ask to be forgotten. Does not know who answers.

Its time is that of the clock that is handed in: event time, which may run faster than ours.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from streamrec.core import topics
from streamrec.core.events import Interaction, Item, Kind, Request
from streamrec.lab.drill.stream import TASTES, Message
from streamrec.ports import Codec

SHOWN = 5
LIKES, LIKES_ANYWAY = 0.4, 0.05
"""P(click | shown) of something liked, and of anything else."""
FORGOTTEN = 0.1
"""Of those who leave, how many ask to be forgotten."""
K = 10


@dataclass(frozen=True, slots=True)
class WorldSize:
    """``life_ms``: how long an item is in the catalogue, and a person here, by event time."""

    items: int = 400
    people: int = 80
    life_ms: int = 300_000


class Visitor(NamedTuple):
    number: int
    leaves_ms: int

    @property
    def user_id(self) -> str:
        return f"u{self.number}"


class SoakWorld:
    """Endless; the same seed and the same times give the same messages."""

    def __init__(self, seed: int, codec: Codec, size: WorldSize, now_ms: Callable[[], int]) -> None:
        self.came = self.gone = self.visitors = 0  # items put, items removed, people so far
        self._rng = random.Random(seed)  # noqa: S311 - reproducible, no secret
        self._codec = codec
        self._size = size
        self._now_ms = now_ms
        self._items: deque[int] = deque()
        self._people: list[Visitor] = []
        self._count = 0
        self._turned_ms = 0

    def catalogue(self) -> Iterator[Message]:
        """The first items."""
        for _ in range(self._size.items):
            yield self._new_item()

    def __iter__(self) -> Iterator[Message]:
        self._turned_ms = self._now_ms()
        while True:
            now_ms = self._now_ms()
            yield from self._turn_over(now_ms)
            visitor, left = self._visitor(now_ms)
            if left is not None and self._rng.random() < FORGOTTEN:
                yield self._event(left, "", Kind.FORGET, now_ms)
            yield from self._visit(visitor, now_ms)

    def _turn_over(self, now_ms: int) -> Iterator[Message]:
        """The oldest goes, a new one comes, as often as ``life_ms`` wants it."""
        every_ms = self._size.life_ms / self._size.items
        while now_ms - self._turned_ms >= every_ms:
            self._turned_ms += round(every_ms)
            yield Message(topics.ITEMS, f"i{self._items.popleft()}".encode(), None)
            self.gone += 1
            yield self._new_item()

    def _new_item(self) -> Message:
        number = self.came
        self.came += 1
        self._items.append(number)
        taste = TASTES[number % len(TASTES)]
        item = Item(
            f"i{number}", f"{taste.capitalize()}, part {number}", categories=(taste.split()[0],)
        )
        return Message(topics.ITEMS, item.item_id.encode(), self._codec.encode(topics.ITEMS, item))

    def _visitor(self, now_ms: int) -> tuple[Visitor, Visitor | None]:
        """Somebody who is here, and who left their place just now.

        The first in a place stays for less than a life: so they do not all leave together.
        """
        place = self._rng.randrange(self._size.people)
        life_ms = self._size.life_ms
        if place >= len(self._people):
            self._people.append(self._newcomer(now_ms + self._rng.randrange(1, life_ms)))
            place = len(self._people) - 1
        visitor = self._people[place]
        if visitor.leaves_ms > now_ms:
            return visitor, None
        self._people[place] = self._newcomer(now_ms + life_ms)
        return self._people[place], visitor

    def _newcomer(self, leaves_ms: int) -> Visitor:
        self.visitors += 1
        return Visitor(self.visitors, leaves_ms)

    def _visit(self, visitor: Visitor, now_ms: int) -> Iterator[Message]:
        sort = self._rng.random()
        if sort < 0.55:
            yield from self._impression(visitor, now_ms)
        elif sort < 0.8:
            yield self._event(visitor, self._liked(visitor), Kind.CLICK, now_ms)
        else:
            yield self._request(visitor, now_ms)

    def _impression(self, visitor: Visitor, now_ms: int) -> Iterator[Message]:
        shown = [f"i{number}" for number in self._rng.sample(self._items, SHOWN)]
        impression = f"p{self._count}"
        for item in shown:
            yield self._event(visitor, item, Kind.VIEW, now_ms, impression)
        for item in shown:
            likes = LIKES if self._likes(visitor, int(item[1:])) else LIKES_ANYWAY
            if self._rng.random() < likes:
                yield self._event(visitor, item, Kind.CLICK, now_ms, impression)

    def _likes(self, visitor: Visitor, number: int) -> bool:
        return number % len(TASTES) == visitor.number % len(TASTES)

    def _liked(self, visitor: Visitor) -> str:
        """Something of their taste; a small world always has it."""
        liked = [number for number in self._items if self._likes(visitor, number)]
        return f"i{self._rng.choice(liked)}"

    def _event(
        self, visitor: Visitor, item: str, kind: Kind, now_ms: int, impression: str | None = None
    ) -> Message:
        self._count += 1
        event = Interaction(
            f"e{self._count}", visitor.user_id, item, kind, now_ms, impression_id=impression
        )
        value = self._codec.encode(topics.EVENTS, event)
        return Message(topics.EVENTS, visitor.user_id.encode(), value)

    def _request(self, visitor: Visitor, now_ms: int) -> Message:
        self._count += 1
        request = Request(f"r{self._count}", visitor.user_id, now_ms, k=K)
        value = self._codec.encode(topics.REQUESTS, request)
        key = visitor.user_id.encode()
        return Message(topics.REQUESTS, key, value, request_id=request.request_id)
