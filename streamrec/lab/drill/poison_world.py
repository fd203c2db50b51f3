"""People with known tastes, and those who attack them: what the poison drill sends.

Knows what everybody truly likes, so that a list can be judged without asking a model.

Honest people look at the list they last got and click what they like; without a list they
click something they like, or ask for one. Turncoats are honest until told otherwise: then they
click what they do not like (flipped labels). Their lists are not judged.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from enum import StrEnum

from streamrec.core.events import Interaction, Item, Kind, Recommendation, Request

TASTES = (
    ("harbour", "boats sails tide lighthouse gulls anchor"),
    ("engines", "racing cars torque circuit garage speed"),
    ("kitchens", "bread butter recipes oven garlic soup"),
    ("planets", "orbit comet telescope rocket galaxy moon"),
    ("gardens", "roses soil pruning orchard seeds bees"),
    ("chess", "openings endgame knights tournament grandmaster board"),
)
PER_TASTE = 150
PEOPLE, TURNCOATS = 75, 15
SEEN = 5
"""Items of a list that somebody looks at."""
LIKES, LIKES_ANYWAY = 0.4, 0.03
"""P(click | looked at) of something liked, and of anything else."""
STUFFED = Item(
    "stuffed",
    " ".join(words for _, words in TASTES),
    " ".join(f"best {name} {words}" for name, words in TASTES),
    categories=tuple(name for name, _ in TASTES),
)
"""An item whose text is everything anybody may look for."""


class Attack(StrEnum):
    """What the attackers do; ``ALL`` at once by default."""

    ALL = "all"
    BURST = "burst"  # a few accounts click what nobody in their lists likes
    ONE_ITEM = "one-item"  # bots click one item again and again
    FLIPS = "flips"  # turncoats click what they do not like
    KEYWORDS = "keywords"  # an item's text is full of keywords


def catalogue() -> list[Item]:
    """Titles share words within a taste, as texts of one subject do."""
    rng = random.Random(0)  # noqa: S311 - reproducible, no secret
    items = []
    for number in range(PER_TASTE):
        for name, words in TASTES:
            title = " ".join(rng.sample(words.split(), 3))
            items.append(Item(f"{name}-{number}", f"{title} {number}", categories=(name,)))
    return items


def likes(user: str, item_id: str) -> bool:
    """The truth."""
    return item_id.rpartition("-")[0] == TASTES[int(user[1:]) % len(TASTES)][0]


def honest(user: str) -> bool:
    """Whether this is somebody whose lists are judged."""
    return user[0] == "u" and int(user[1:]) >= TURNCOATS


class World:
    """Everybody; the same seed and the same lists give the same behaviour."""

    def __init__(self, seed: int) -> None:
        self.turned = False
        self._rng = random.Random(seed)  # noqa: S311 - reproducible, no secret
        self._lists: dict[str, Recommendation] = {}
        self._events = 0

    def shown(self, answer: Recommendation) -> None:
        """Somebody got a list."""
        if answer.user_id[0] == "u" and answer.items:
            self._lists[answer.user_id] = answer

    def visit(self, now_ms: int) -> Iterator[Interaction | Request]:
        """Somebody, by chance, comes by."""
        user = f"u{self._rng.randrange(PEOPLE)}"
        answer = self._lists.pop(user, None)
        if answer is not None:
            yield from self._look_at(user, answer, now_ms)
            yield self._ask(user, now_ms)
        elif self._rng.random() < 0.5:
            yield self._event(user, self._liked(user), Kind.CLICK, now_ms)
        else:
            yield self._ask(user, now_ms)

    def attack(self, kind: Attack, now_ms: int) -> Iterator[Interaction]:
        """One round of the attackers."""
        rng = self._rng
        if kind in (Attack.ALL, Attack.ONE_ITEM):
            for _ in range(3):
                yield self._event(f"bot{rng.randrange(4)}", "chess-0", Kind.CLICK, now_ms)
        if kind in (Attack.ALL, Attack.BURST):
            for _ in range(4):
                name, _words = rng.choice(TASTES)
                item = f"{name}-{rng.randrange(PER_TASTE)}"
                yield self._event(f"burst{rng.randrange(3)}", item, Kind.CLICK, now_ms)
        if kind in (Attack.ALL, Attack.KEYWORDS):
            yield self._event(f"shill{rng.randrange(4)}", STUFFED.item_id, Kind.CLICK, now_ms)

    def _look_at(self, user: str, answer: Recommendation, now_ms: int) -> Iterator[Interaction]:
        name = answer.recommendation_id
        items = [item.item_id for item in answer.items[:SEEN]]
        for position, item in enumerate(items):
            yield self._event(user, item, Kind.VIEW, now_ms, on=(name, position))
        flips = self.turned and int(user[1:]) < TURNCOATS
        for position, item in enumerate(items):
            liked = likes(user, item) != flips
            if self._rng.random() < (LIKES if liked else LIKES_ANYWAY):
                yield self._event(user, item, Kind.CLICK, now_ms, on=(name, position))

    def _ask(self, user: str, now_ms: int) -> Request:
        self._events += 1
        return Request(f"r{self._events}", user, now_ms)

    def _liked(self, user: str) -> str:
        taste = int(user[1:]) % len(TASTES)
        if self.turned and int(user[1:]) < TURNCOATS:
            taste = (taste + 1 + self._rng.randrange(len(TASTES) - 1)) % len(TASTES)
        return f"{TASTES[taste][0]}-{self._rng.randrange(PER_TASTE)}"

    def _event(
        self,
        user: str,
        item: str,
        kind: Kind,
        now_ms: int,
        *,
        on: tuple[str, int] | None = None,
    ) -> Interaction:
        """``on``: a list and a place on it."""
        recommendation, position = on or (None, None)
        self._events += 1
        return Interaction(
            f"e{self._events}",
            user,
            item,
            kind,
            now_ms,
            impression_id=recommendation,
            position=position,
            recommendation_id=recommendation,
        )


def hits(user: str, items: Sequence[str]) -> float:
    """Share of what somebody would look at that they truly like."""
    seen = items[:SEEN]
    return sum(likes(user, item) for item in seen) / len(seen)
