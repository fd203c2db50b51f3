"""Small seeded streams of raw records, with everything in them that a topic may hold."""

from __future__ import annotations

import random

from streamrec.core.events import Interaction, Item, Kind
from streamrec.loop.ingesting.raw import RawRecord
from tests.harness.codec import wire_codec

START_MS = 1_767_323_045_000
ITEMS = tuple(f"i{number}" for number in range(12))
CODEC = wire_codec()


def catalogue_records() -> list[RawRecord]:
    items = (
        Item(item_id, f"Title {item_id}", categories=("a" if n % 2 else "b",))
        for n, item_id in enumerate(ITEMS)
    )
    return [
        RawRecord(offset, START_MS, item.item_id.encode(), CODEC.encode("items", item))
        for offset, item in enumerate(items)
    ]


def interactions(count: int, seed: int, users: int = 5) -> list[Interaction]:
    """Impressions of three, clicks inside and outside them, likes, plays, repeated ids."""
    rng = random.Random(seed)
    found: list[Interaction] = []
    now_ms = START_MS
    while len(found) < count:
        now_ms += rng.randrange(60_000)
        user, number = f"u{rng.randrange(users)}", len(found)
        if rng.random() < 0.3:
            shown = rng.sample(ITEMS, 3)
            impression = f"imp{number}"
            found += [
                Interaction(f"e{number}v{p}", user, item, Kind.VIEW, now_ms, None, impression, p)
                for p, item in enumerate(shown)
            ]
            if rng.random() < 0.5:
                click = Interaction(
                    f"e{number}c", user, rng.choice(shown), Kind.CLICK, now_ms + 500,
                    impression_id=impression,
                )  # fmt: skip
                found.append(click)
        elif found and rng.random() < 0.1:
            found.append(rng.choice(found[-10:]))  # sent twice by its producer
        else:
            kind = rng.choice([Kind.VIEW, Kind.CLICK, Kind.LIKE, Kind.DISLIKE, Kind.PLAY])
            item = rng.choice([*ITEMS, "unknown"])
            value = rng.random() if kind is Kind.PLAY else None
            found.append(Interaction(f"e{number}", user, item, kind, now_ms, value))
    return found[:count]


def event_records(count: int, seed: int, bad_every: int = 0) -> list[RawRecord]:
    """Consecutive records of one partition; each ``bad_every``-th is refused."""
    records = []
    for offset, event in enumerate(interactions(count, seed)):
        value = CODEC.encode("events", event)
        if bad_every and offset % bad_every == bad_every - 1:
            value = b"\xc3\x01broken" + value
        records.append(RawRecord(offset, event.occurred_at_ms, event.user_id.encode(), value))
    return records
