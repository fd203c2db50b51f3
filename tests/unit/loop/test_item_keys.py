"""A tombstone removes the item that its key names, whatever wrote the key."""

from __future__ import annotations

import json

import pytest

from streamrec.core.dead_letters import advice
from streamrec.core.events import Item, Source
from streamrec.core.state.catalogue import item_from_record
from streamrec.errors import NotAllowed
from streamrec.loop.ingesting.raw import RawRecord
from tests.fakes.clock import FakeClock
from tests.fakes.publisher import FakePublisher
from tests.fakes.store import FakePartitionStore
from tests.fakes.streams import START_MS
from tests.harness.codec import wire_codec
from tests.unit.loop.ingesting import EVENTS, ITEMS, make_ingest

CODEC = wire_codec()


class Topic:
    """The items topic, and what became of it."""

    def __init__(self) -> None:
        self.store, self.publisher = FakePartitionStore(), FakePublisher()
        self.ingest = make_ingest(self.store, self.publisher)
        self.ingest.take_over(ITEMS)
        self.end = 0

    def send(self, key: bytes | None, value: dict | None) -> None:
        data = None if value is None else json.dumps(value).encode()
        self.ingest.ingest(ITEMS, [RawRecord(self.end, START_MS, key, data)])
        self.end += 1

    @property
    def available(self) -> set[str]:
        rows = self.store.read_rows(ITEMS, 0).rows
        return {name for name, row in rows.items() if item_from_record(row).available}

    @property
    def letters(self):
        return [
            CODEC.decode("dead-letter", value) for value in self.publisher.values("dead-letter")
        ]


@pytest.fixture
def topic():
    made = Topic()
    for name in ("k1", "7", '"odd"', "odd"):
        made.send(name.encode(), {"item_id": name})
    return made


@pytest.mark.parametrize(
    ("key", "gone"),
    [
        (b"k1", "k1"),
        (b'"k1"', "k1"),
        (b'{"id": "k1"}', "k1"),
        (b'{"item_id":7}', "7"),
        (b'{"schema": {"type": "int64"}, "payload": 7}', "7"),
        (b"\x00\x00\x00\x00\x00\x00\x00\x07", "7"),
        (b'"odd"', '"odd"'),  # an item of exactly that name comes first
        (b'{"name":"odd"}', "odd"),
    ],
)
def test_a_converters_key_removes_its_item_and_leaves_no_row(topic, key, gone):
    before = topic.available
    topic.send(key, None)
    assert topic.available == before - {gone}
    assert set(topic.store.read_rows(ITEMS, 0).rows) == before - {gone}
    assert topic.letters == []


@pytest.mark.parametrize(
    "key", [None, b"", b"\xff", b'{"shop": 1, "country": "x"}', b"\x00\x01\x02"]
)
def test_a_key_that_says_nothing_is_a_dead_letter_that_says_what_it_should_be(topic, key):
    before = topic.available
    topic.send(key, None)
    assert topic.available == before
    [letter] = topic.letters
    assert "key" in letter.reason
    assert "--key ITEM_ID" in advice(letter)


@pytest.mark.parametrize("key", [None, b"", b"new", b'"new"', b'{"id":"new"}'])
def test_a_key_that_agrees_with_the_value_or_is_none_is_taken(topic, key):
    topic.send(key, {"item_id": "new"})
    assert "new" in topic.available


@pytest.mark.parametrize("key", [b"other", b'"other"', b'{"id":"other"}', b"\x00\x00\x00\x07"])
def test_a_key_that_disagrees_is_refused(topic, key):
    topic.send(key, {"item_id": "new"})
    assert "new" not in topic.available
    [letter] = topic.letters
    assert letter.code == "invalid-field"
    assert "expected the key to be the item's id" in letter.reason


def keyed_otherwise(topic, age_ms: int) -> FakePublisher:
    """The item k1 is in partition 0; the row of partition 1 is a converter's tombstone of it."""
    other = Source("items", 1)
    topic.ingest.take_over(other)
    topic.ingest.ingest(other, [RawRecord(0, FakeClock().at_ms - age_ms, b'"k1"', None)])
    return topic.publisher


def test_a_removal_in_another_partition_is_sent_on_by_the_items_own_key(topic):
    assert ("items", b"k1", None) in keyed_otherwise(topic, 1_000).acknowledged
    assert topic.letters == []
    topic.send(b"k1", None)  # as it comes back
    assert "k1" not in topic.available


def test_an_old_one_is_told_it_may_have_come_back_since(topic):
    assert ("items", b"k1", None) not in keyed_otherwise(topic, 3_600_000).acknowledged
    [letter] = topic.letters
    assert "whose row is in another partition" in letter.reason
    assert "--key ITEM_ID" in advice(letter)
    assert "k1" in topic.available


def test_where_it_may_not_be_sent_on_it_is_told(topic):
    def refuse(name: str, key: bytes | None) -> bool:
        if name == "items":
            raise NotAllowed("no right to write to items")
        return False

    topic.publisher.lose = refuse
    keyed_otherwise(topic, 1_000)
    [letter] = topic.letters
    assert "no right to write to items" in letter.reason


def test_a_deleted_row_without_its_id_is_named_by_its_key(topic):
    topic.send(b'{"schema": null, "payload": {"id": "k1"}}', {"op": "d", "before": None})
    assert "k1" not in topic.available
    topic.send(None, {"op": "d", "before": {"item_id": 7}})
    assert "7" not in topic.available
    topic.send(b"odd", {"op": "d", "before": {"item_id": 7}})
    assert [letter.code for letter in topic.letters] == ["invalid-field"]


@pytest.mark.parametrize("key", [b'"u1"', b'{"user_id":"u1"}'])
def test_a_users_key_in_a_converters_form_is_told(key):
    publisher = FakePublisher()
    ingest = make_ingest(FakePartitionStore(), publisher, partition_of=lambda user_id: 3)
    ingest.take_over(EVENTS)
    event = {"event_id": "e", "user_id": "u1", "item_id": "i", "kind": "click"}
    value = json.dumps({**event, "occurred_at_ms": START_MS}).encode()
    ingest.ingest(EVENTS, [RawRecord(0, START_MS, key, value)])
    ingest.ingest(EVENTS, [RawRecord(1, START_MS, b"u1", value)])
    reasons = [CODEC.decode("dead-letter", one).reason for one in publisher.values("dead-letter")]
    assert "key.converter=org.apache.kafka.connect.storage.StringConverter" in reasons[0]
    assert "key.converter" not in reasons[1]


def test_the_command_line_names_a_deletion_without_an_id():
    from streamrec.infra.files.json_rows import line_rows
    from streamrec.loop.ingesting.send import RowCheck, send_rows

    bad, publisher = [], FakePublisher()
    lines = [b'{"op": "d", "before": null}', b'{"op": "d", "before": {"item_id": "k1"}}']
    check = RowCheck("items", CODEC, bad.append)
    send_rows(line_rows(lines), "items", check, publisher)
    assert check.report.sent == 1
    assert bad[0].reason == "a deletion that names no item_id"
    [value] = publisher.values("items")
    assert CODEC.decode("items", value) == Item("k1", "", available=False)
