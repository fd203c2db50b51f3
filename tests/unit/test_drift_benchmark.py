"""The taste swap of benchmarks/drift.py, on items made by hand."""

from __future__ import annotations

import numpy as np

from benchmarks.drift import ITEMS as OF_ITEMS
from benchmarks.drift import (
    USERS,
    WINDOW,
    mean,
    partner_items,
    partner_users,
    recovery,
    swapped,
)
from streamrec.core.events import Interaction, Item, Kind

ITEMS = [Item(f"i{n}", f"Item {n}", categories=("war" if n < 3 else "love",)) for n in range(7)]


def clicks(*items: str) -> list[Interaction]:
    return [
        Interaction(f"e{n}", f"u{n % 2}", item, Kind.CLICK, 1_000 + n)
        for n, item in enumerate(items)
    ]


EVENTS = clicks("i0", "i0", "i0", "i1", "i1", "i2", "i3", "i3", "i4")


def test_partners_are_of_the_other_taste_and_as_much_accepted_in_it() -> None:
    partner = partner_items(ITEMS, EVENTS)
    assert partner["i0"] == "i3"
    assert partner["i1"] == "i4"
    assert all(partner[partner[item]] == item for item in partner)
    assert "i6" not in partner  # one item of the larger half is left over


def test_only_the_events_between_are_swapped() -> None:
    changed = swapped(EVENTS, OF_ITEMS, partner_items(ITEMS, EVENTS), 1, 3)
    assert [e.item_id for e in changed[:4]] == ["i0", "i3", "i3", "i1"]
    assert [e.event_id for e in changed] == [e.event_id for e in EVENTS]


def test_swapping_twice_is_nothing() -> None:
    partner = partner_items(ITEMS, EVENTS)
    once = swapped(EVENTS, OF_ITEMS, partner, 0, 9)
    assert swapped(once, OF_ITEMS, partner, 0, 9) == EVENTS


def test_partner_users_like_the_other_kind_and_take_each_others_events() -> None:
    events = [
        Interaction(f"e{n}", user, item, Kind.CLICK, 1_000 + n)
        for n, (user, item) in enumerate(
            [("w1", "i0"), ("w1", "i1"), ("w2", "i0"), ("l1", "i3"), ("l1", "i4"), ("l2", "i3")]
        )
    ]
    partner = partner_users(ITEMS, events)
    assert partner == {"w1": "l1", "l1": "w1", "w2": "l2", "l2": "w2"}
    changed = swapped(events, USERS, partner, 3, 6)
    assert [e.user_id for e in changed] == ["w1", "w1", "w2", "w1", "w1", "w2"]
    assert [e.item_id for e in changed] == [e.item_id for e in events]


def test_recovery_is_counted_from_the_swap() -> None:
    numbers = np.arange(6_000)
    gains = np.where((numbers >= 2_000) & (numbers < 3_000), 0.0, 1.0)
    found = recovery((numbers, gains), 2_000, 6_000, lambda _start, _stop: 1.0)
    assert found is not None
    assert 1_000 + 0.9 * WINDOW <= found <= 1_000 + WINDOW
    halved = np.where(numbers >= 2_000, 0.5, 1.0)
    assert recovery((numbers, halved), 2_000, 6_000, lambda _start, _stop: 1.0) is None


def test_recovery_against_a_run_that_has_fewer_events() -> None:
    numbers = np.arange(6_000)
    hurt = np.where((numbers >= 2_000) & (numbers < 3_000), 0.2, 0.5)
    undisturbed = (numbers[::2], np.where(numbers[::2] >= 2_000, 0.5, 1.0))
    found = recovery(
        (numbers, hurt), 2_000, 6_000, lambda start, stop: mean(undisturbed, start, stop)
    )
    assert found is not None
    assert 1_000 < found <= 1_000 + WINDOW
