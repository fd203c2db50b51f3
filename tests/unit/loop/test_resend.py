from __future__ import annotations

import pytest

from streamrec.core.dead_letters import DeadLetterPosition, DeadLetterRecord, Origin
from streamrec.core.events import DeadLetter, Interaction, Item, Kind
from streamrec.errors import TooLarge, Unavailable, UserError
from streamrec.loop.ingesting.resend import Change, Resender, by_destination
from tests.fakes.clock import FakeClock
from tests.fakes.dead_letters import FakeProducer, FakeResendLedger
from tests.harness.codec import wire_codec

CODEC = wire_codec()
EVENT = Interaction("e1", "ann", "i1", Kind.CLICK, 1_767_323_045_000)
GOOD = CODEC.encode("events", EVENT)


def letter(value=GOOD, key=b"ann", topic="events", code="unknown-schema", reason="no schema"):
    return DeadLetterRecord(
        DeadLetterPosition(0, 17), DeadLetter(topic, 2, 44, key, value, code, reason, 1_000)
    )


@pytest.fixture
def outlet() -> FakeProducer:
    return FakeProducer()


@pytest.fixture
def resender(outlet: FakeProducer) -> Resender:
    clock = FakeClock()
    return Resender(outlet.send, FakeResendLedger(), CODEC, clock, "ann@here", len)


def test_key_and_value_go_out_as_they_came_and_say_what_they_are(resender, outlet):
    done = resender.resend(letter())
    assert outlet.sent == [
        (
            "events",
            b"ann",
            GOOD,
            {
                "streamrec-resend-of": "0:17",
                "streamrec-first-refused": "events:2:44",
                "streamrec-resent-by": "ann@here",
            },
        )
    ]
    assert done.to == Origin("events", 0, 101)
    assert resender.ledger.all() == {DeadLetterPosition(0, 17): done}
    assert by_destination(resender.ledger.all()) == {done.to: done}


def test_it_is_never_sent_twice_without_a_word(resender, outlet):
    resender.resend(letter())
    with pytest.raises(UserError, match=r"already resent to events:0:101 by ann@here.*--again"):
        resender.resend(letter())
    assert len(outlet.sent) == 1
    again = resender.resend(letter(), again=True)
    assert resender.ledger.all()[DeadLetterPosition(0, 17)] == again


def test_a_crash_while_sending_leaves_a_perhaps(resender, outlet):
    outlet.fails = Unavailable("Kafka is away")
    with pytest.raises(Unavailable):
        resender.resend(letter())
    outlet.fails = None
    with pytest.raises(UserError, match="may have been sent"):
        resender.resend(letter())
    resender.resend(letter(), again=True)
    assert len(outlet.sent) == 1


def test_what_a_broker_refuses_was_not_sent(resender, outlet):
    outlet.fails = TooLarge("too large")
    with pytest.raises(TooLarge):
        resender.resend(letter())
    assert resender.ledger.all() == {}


def test_what_would_be_refused_again_is_not_sent(resender, outlet):
    bad = letter(b'{"event_id": "1"}', code="invalid-field")
    with pytest.raises(UserError, match="would refuse it again: kind is missing"):
        resender.resend(bad)
    assert outlet.sent == []
    assert resender.ledger.all() == {}
    resender.resend(bad, check=False)
    resender.resend(bad, Change(GOOD), again=True)
    assert [value for _, _, value, _ in outlet.sent] == [b'{"event_id": "1"}', GOOD]


@pytest.mark.parametrize("key", [None, b"", b"anne", b"\xff"])
def test_a_key_that_misses_the_users_partition_is_told(resender, outlet, key):
    with pytest.raises(UserError, match="give --key ann"):
        resender.resend(letter(key=key))
    resender.resend(letter(key=key), Change(key=b"ann"))
    assert outlet.sent[0][:3] == ("events", b"ann", GOOD)


def test_a_value_that_was_not_kept_has_to_be_given(resender, outlet):
    lost = letter(None, code="too-large", reason="too large for a dead letter, read it at …")
    with pytest.raises(UserError, match=r"not kept .*--value-file"):
        resender.resend(lost)
    resender.resend(lost, Change(GOOD))
    assert len(outlet.sent) == 1


def test_a_null_value_removes_an_item_and_may_be_resent(resender, outlet):
    resender.resend(letter(None, key=b"i1", topic="items", code="malformed"))
    assert outlet.sent[0][:3] == ("items", b"i1", None)
    item = CODEC.encode("items", Item("i1", "title"))
    resender.resend(letter(item, topic="items", key=b"i1"), again=True)
    assert outlet.sent[1][2] == item


def test_an_items_key_that_names_another_is_not_sent(resender, outlet):
    item = CODEC.encode("items", Item("i1", "title"))
    for bad in (letter(item, key=b"i2", topic="items"), letter(None, key=None, topic="items")):
        with pytest.raises(UserError, match="--key"):
            resender.resend(bad)
    resender.resend(letter(item, key=b"i2", topic="items"), Change(key=b'"i1"'))
    assert [sent[1] for sent in outlet.sent] == [b'"i1"']
