"""What is accepted, what is refused, and what the refusal says."""

import json

import pytest

import schemas
from streamrec.core.events import Interaction, Item, Kind, Request
from streamrec.errors import InvalidField, Malformed, TooLarge, Unavailable, UnknownSchema
from streamrec.infra.wire.codec import WireCodec, fingerprint
from streamrec.infra.wire.schema_registry import SchemaRegistry
from tests.harness.codec import wire_codec
from tests.harness.wire import schema_registry, written

CLICK = {
    "event_id": "e1",
    "user_id": "u1",
    "item_id": "i1",
    "kind": "click",
    "occurred_at": "2026-01-02T03:04:05.678Z",
}
CLICK_MS = 1_767_323_045_678


@pytest.fixture(scope="module")
def codec() -> WireCodec:
    return wire_codec()


def as_json(**changes) -> bytes:
    fields = {**CLICK, **changes}
    return json.dumps({k: v for k, v in fields.items() if v is not ...}).encode()


def test_json_event(codec):
    assert codec.decode("events", as_json(position=2, value=1)) == Interaction(
        "e1", "u1", "i1", Kind.CLICK, CLICK_MS, value=1.0, position=2
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"occurred_at": CLICK_MS},
        {"occurred_at": CLICK_MS / 1000},
        {"occurred_at": "2026-01-02T04:04:05.678+01:00"},
        {"occurred_at": "2026-01-02T03:04:05.678"},
        {"occurred_at": ..., "occurred_at_ms": CLICK_MS},
    ],
)
def test_times_in_json(codec, changes):
    assert codec.decode("events", as_json(**changes)).occurred_at_ms == CLICK_MS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"user_id": ...}, "user_id is missing; expected a string of 1 to 256 bytes"),
        ({"user_id": ""}, "user_id is ''"),
        ({"item_id": 7.5}, "item_id is 7.5; expected a string"),
        ({"item_id": True}, "item_id is True; expected a string"),
        ({"event_id": "é" * 129}, "event_id is 'éé"),
        ({"kind": "stare"}, "kind is 'stare'; expected one of view, click, like"),
        ({"kind": None}, "kind is missing"),
        ({"kind": ["click"]}, "kind is ['click']"),
        ({"value": "5"}, "value is '5'; expected a finite number"),
        ({"value": True}, "value is True; expected a finite number"),
        ({"position": -1}, "position is -1; expected a whole number from 0"),
        ({"position": 1.5}, "position is 1.5; expected a whole number"),
        ({"occurred_at": ...}, "occurred_at is missing; expected an ISO 8601 time"),
        ({"occurred_at": "yesterday"}, "occurred_at is 'yesterday'; expected an ISO 8601"),
        ({"occurred_at": "1970-01-20T10:00:00Z"}, "expected a time after 1990"),
        ({"occurred_at": 1e300}, "expected a time after 1990"),
        ({"occurred_at": ..., "occurred_at_ms": 17_673_230}, "occurred_at_ms is 17673230"),
        ({"impression_id": ""}, "impression_id is ''"),
    ],
)
def test_refused_fields_say_what_was_expected(codec, changes, message):
    with pytest.raises(InvalidField) as refused:
        codec.decode("events", as_json(**changes))
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (b"", Malformed, "starts with nothing"),
        (b"hello", Malformed, "starts with 68 65; expected Avro single-object"),
        (b"{not json", Malformed, "not JSON"),
        (b'{"event_id": "\xff"}', Malformed, "not JSON"),
        (b"\xc3\x01\x00", Malformed, "too short for a schema fingerprint"),
        (b"\xc3\x01" + b"\x00" * 20, UnknownSchema, "fingerprint 0000000000000000 is no version"),
        (b"\x00\x00\x00\x00\x01abc", UnknownSchema, "SCHEMA_REGISTRY_URL is not set"),
    ],
)
def test_refused_bytes(codec, data, error, message):
    with pytest.raises(error, match=message.replace("(", r"\(")):
        codec.decode("events", data)


def test_a_body_that_is_cut_short_or_too_long_is_malformed(codec):
    data = codec.encode("events", codec.decode("events", as_json()))
    with pytest.raises(Malformed, match="does not fit its schema"):
        codec.decode("events", data[:-12])
    with pytest.raises(Malformed, match="1 bytes follow the end"):
        codec.decode("events", data + b"\x00")


def test_too_large_both_ways():
    small = wire_codec(max_message_bytes=2000)
    item = Item("i1", "t", text="x" * 3000)
    with pytest.raises(TooLarge, match="at most 2000"):
        small.encode("items", item)
    with pytest.raises(TooLarge, match="bytes; at most 2000"):
        small.decode("items", wire_codec().encode("items", item))


def test_an_item_needs_only_its_id(codec):
    assert codec.decode("items", b'{"item_id": "i1"}') == Item("i1", "")
    with pytest.raises(InvalidField, match="item_id is missing"):
        codec.decode("items", b'{"title": "x"}')
    with pytest.raises(InvalidField, match=r"categories is \{'a': 1\}; expected a list of texts"):
        codec.decode("items", b'{"item_id": "i1", "categories": {"a": 1}}')


def test_json_request(codec):
    data = b"""{"request_id": "r", "user_id": "u", "requested_at": 1767323045.678,
               "filters": {"categories": ["a"]}, "reply": true}"""
    request = codec.decode("requests", data)
    assert isinstance(request, Request)
    assert (request.k, request.filters.categories, request.reply) == (10, ("a",), True)
    with pytest.raises(InvalidField, match="k is 0; expected a whole number from 1"):
        codec.decode("requests", data.replace(b'"reply": true', b'"k": 0'))


def test_json_is_for_what_strangers_produce(codec):
    with pytest.raises(UnknownSchema, match="JSON is not accepted on user-updates"):
        codec.decode("user-updates", b"{}")


def test_an_older_schema_is_read_through_today_s(codec):
    older = schemas.load("item")
    older["fields"] = [f for f in older["fields"] if f["name"] != "available"]
    data = b"\xc3\x01" + fingerprint(older) + written(older, {"item_id": "i1", "title": "t"})

    def history(name):
        return [older] if name == "item" else schemas.history(name)

    assert wire_codec(history=history).decode("items", data) == Item("i1", "t")
    with pytest.raises(UnknownSchema):
        codec.decode("items", data)


@pytest.fixture
def registry():
    """A local HTTP server that answers as a schema registry would."""
    writer = {
        "type": "record",
        "name": "Click",
        "fields": [
            {"name": "event_id", "type": "string"},
            {"name": "user_id", "type": "string"},
            {"name": "item_id", "type": "string"},
            {"name": "kind", "type": "string"},
            {"name": "occurred_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        ],
    }
    known = {7: json.dumps(writer), 8: '"long"'}
    answers = {number: json.dumps({"schema": schema}).encode() for number, schema in known.items()}
    with schema_registry(answers) as (url, asked):
        yield url, writer, asked


def test_confluent_framing(registry):
    url, writer, asked = registry
    codec = wire_codec(foreign=SchemaRegistry(url).schema)
    body = written(writer, {**CLICK, "occurred_at": CLICK_MS})
    for _ in range(2):
        value = codec.decode("events", b"\x00\x00\x00\x00\x07" + body)
        assert value == Interaction("e1", "u1", "i1", Kind.CLICK, CLICK_MS)
    assert asked == ["/schemas/ids/7"]  # asked once, remembered
    with pytest.raises(UnknownSchema, match="has no schema id 9"):
        codec.decode("events", b"\x00\x00\x00\x00\x09" + body)
    with pytest.raises(UnknownSchema, match="is not a record"):
        codec.decode("events", b"\x00\x00\x00\x00\x08\x02")
    with pytest.raises(Malformed, match="too short for a schema id"):
        codec.decode("events", b"\x00\x00")


def test_a_silent_registry_is_waited_for_not_blamed_on_the_message():
    codec = wire_codec(foreign=SchemaRegistry("http://127.0.0.1:9").schema)
    with pytest.raises(Unavailable, match=r"registry at http://127\.0\.0\.1:9"):
        codec.decode("events", b"\x00\x00\x00\x00\x07abc")
