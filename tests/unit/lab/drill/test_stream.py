"""The drill's stream: known, whole, and with something of everything."""

from __future__ import annotations

from itertools import islice

from streamrec.core.events import Interaction, Kind, Request
from streamrec.errors import Refused
from streamrec.infra.wire.kafka import partition_for
from streamrec.lab.drill.stream import DrillStream, Message, catalogue, items
from tests.harness.codec import wire_codec

CODEC = wire_codec()
PARTITIONS = 4


def some(seed: int, count: int = 4_000) -> list[Message]:
    return list(islice(DrillStream(seed, CODEC, PARTITIONS), count))


def decoded(message: Message) -> Interaction | Request | Refused:
    try:
        value: Interaction | Request = CODEC.decode(message.topic, message.value or b"")
    except Refused as refused:
        return refused
    return value


def test_the_same_seed_sends_the_same() -> None:
    assert some(7) == some(7)
    assert some(7) != some(8)


def test_bad_messages_are_bad_and_all_others_good() -> None:
    for message in some(1):
        value = decoded(message)
        if isinstance(value, Interaction):
            home = partition_for(value.user_id, PARTITIONS)
            misplaced = partition_for(message.key.decode(), PARTITIONS) != home
            assert message.bad == misplaced
        else:
            assert message.bad == isinstance(value, Refused)


def test_there_is_something_of_everything() -> None:
    messages = some(2)
    values = [decoded(message) for message in messages if not message.bad]
    events = [value for value in values if isinstance(value, Interaction)]
    names = {item.item_id for item in catalogue()}
    assert {event.kind for event in events} == set(Kind)
    assert {event.item_id in names for event in events} == {True, False}
    assert {event.impression_id is None for event in events} == {True, False}
    assert len({(e.user_id, e.event_id) for e in events}) < len(events), "no repeated event"
    assert [e.occurred_at_ms for e in events] != sorted(e.occurred_at_ms for e in events)
    requests = [message.request_id for message in messages if message.request_id]
    assert len(requests) == len(set(requests)) > 100
    assert {message.topic for message in messages if message.bad} == {"events", "requests"}
    assert {message.value is None for message in messages if message.bad} == {True, False}


def test_the_catalogue_comes_with_junk() -> None:
    sent = list(items(CODEC))
    good = [CODEC.decode(m.topic, m.value or b"") for m in sent if not m.bad]
    assert good == catalogue()
    assert sum(m.bad for m in sent) == 3
