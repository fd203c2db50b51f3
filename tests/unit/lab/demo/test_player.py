"""The player keeps its rate, and forgives a long pause instead of flooding."""

from __future__ import annotations

from streamrec.core import topics
from streamrec.core.events import Interaction, Kind
from streamrec.errors import Refused
from streamrec.lab.demo.player import JUNK, Player
from tests.fakes.publisher import FakePublisher
from tests.harness.codec import wire_codec

EVENTS = [Interaction(str(n), f"u{n % 7}", "i", Kind.CLICK, 881_250_949_000) for n in range(1_000)]


def player(publisher: FakePublisher, rate: float = 100, junk_every: int = 10_000) -> Player:
    return Player(EVENTS, wire_codec(), publisher, rate, junk_every)


def test_sends_what_is_due_in_order() -> None:
    publisher = FakePublisher()
    played = player(publisher)
    for elapsed_s in (0.1, 0.1, 0.25, 0.5):
        played.play(elapsed_s)
    ids = [wire_codec().decode(topics.EVENTS, v).event_id for v in publisher.values(topics.EVENTS)]
    assert ids == [str(n) for n in range(50)]
    assert publisher.acknowledged[3][1] == b"u3"


def test_a_pause_is_not_caught_up_in_one_flood() -> None:
    publisher = FakePublisher()
    played = player(publisher)
    played.play(5.0)
    assert played.sent == 50, "half a second's worth"
    played.play(5.1)
    assert played.sent == 60


def test_ends_with_the_stream() -> None:
    played = player(FakePublisher(), rate=1e6)
    played.play(1.0)
    assert played.finished
    played.play(2.0)
    assert played.sent == len(EVENTS)


def test_junk_is_mixed_in_and_all_of_it_is_refused() -> None:
    publisher = FakePublisher()
    played = player(publisher, rate=1e6, junk_every=100)
    played.play(1.0)
    values = publisher.values(topics.EVENTS)
    assert played.sent == len(values) == len(EVENTS) + len(JUNK)
    assert [v for v in values if v in JUNK] == list(JUNK)
    refused = 0
    for value in JUNK:
        try:
            wire_codec().decode(topics.EVENTS, value)
        except Refused:
            refused += 1
    assert refused == len(JUNK)
