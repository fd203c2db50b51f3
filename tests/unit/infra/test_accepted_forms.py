"""What other people's producers write and mean: null is absence, a scalar is its text."""

import json
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrec.core.events import Item, Kind
from streamrec.errors import InvalidField
from streamrec.infra.files.json_rows import line_rows
from streamrec.infra.wire.codec import WireCodec
from streamrec.infra.wire.schema_registry import RegisteredSchema
from streamrec.loop.ingesting.send import RowCheck, send_rows
from tests.fakes.publisher import FakePublisher
from tests.harness.codec import wire_codec
from tests.harness.wire import written

CODEC = wire_codec()
AT_MS = 1_767_323_045_678
EVENT = {"event_id": "e", "user_id": "u", "item_id": "i", "kind": "click", "occurred_at": AT_MS}
REQUEST = {"request_id": "r", "user_id": "u", "requested_at": AT_MS}
FRAME = b"\x00\x00\x00\x00\x01"


def decoded(topic: str, fields: object):
    return CODEC.decode(topic, json.dumps(fields).encode())


def item(**fields: object) -> Item:
    return decoded("items", {"item_id": "i", **fields})


def of_avro(avro_type: object, value: object, topic: str = "items", name: str = "item_id"):
    """One field of somebody's Avro schema, decoded: ``name`` of ``topic``."""
    rest = {"items": {"item_id": "i"}, "events": EVENT, "requests": REQUEST}[topic]
    others = [
        {"name": key, "type": "long" if isinstance(known, int) else "string"}
        for key, known in rest.items()
        if key != name
    ]
    fields = [*others, {"name": name, "type": avro_type}]
    schema = {"type": "record", "name": "theirs", "fields": fields}
    codec = WireCodec(foreign=lambda _: RegisteredSchema("AVRO", schema))
    data = written(schema, {**rest, name: value})
    return getattr(codec.decode(topic, FRAME + data), name.replace("occurred_at", "occurred_at_ms"))


# --- ids ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ("7", "7"),
        ("7.0", "7"),
        ("-3", "-3"),
        ("0", "0"),
        ("9007199254740993", "9007199254740993"),  # 2^53 + 1: no floating-point number
        ("18446744073709551616", "18446744073709551616"),  # 2^64
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ('"7"', "7"),
    ],
)
@pytest.mark.parametrize("name", ["event_id", "user_id", "item_id", "impression_id"])
def test_a_whole_number_is_an_id_with_all_its_digits(name, found, text):
    data = json.dumps({**EVENT, name: "?"}).replace('"?"', found)
    assert getattr(CODEC.decode("events", data.encode()), name) == text


@given(st.integers(-(10**60), 10**60))
def test_every_whole_number_is_its_decimal_text(number):
    assert item(item_id=number).item_id == str(number)


@pytest.mark.parametrize("found", [7.5, 1e300, 2.0**53 * 2, True, False, [7], {"id": 7}, None, ""])
def test_what_is_no_id_is_refused(found):
    with pytest.raises(InvalidField, match=r"item_id is .*expected a string of 1 to 256 bytes"):
        item(item_id=found)


UUID = uuid.UUID(int=12345)


@pytest.mark.parametrize(
    ("avro_type", "value", "text"),
    [
        ("int", 7, "7"),
        ("long", 2**53 + 1, str(2**53 + 1)),
        ("double", 7.0, "7"),
        (["null", "long"], 7, "7"),
        ({"type": "string", "logicalType": "uuid"}, str(UUID), str(UUID)),
        (
            {"type": "fixed", "name": "u", "size": 16, "logicalType": "uuid"},
            UUID.bytes,
            str(UUID),
        ),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 0},
            Decimal(10**37 + 1),
            str(10**37 + 1),
        ),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
            Decimal("12.00"),
            "12",
        ),
    ],
)
def test_ids_in_avro(avro_type, value, text):
    assert of_avro(avro_type, value) == text


@pytest.mark.parametrize(
    ("avro_type", "value"),
    [
        ("bytes", b"i7"),
        ({"type": "fixed", "name": "f", "size": 2}, b"i7"),
        ("boolean", True),
        ("double", 7.5),
        ({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}, Decimal("12.5")),
        (["null", "string"], None),
    ],
)
def test_what_is_no_id_in_avro_is_refused_by_name(avro_type, value):
    with pytest.raises(InvalidField, match=r"^item_id is "):
        of_avro(avro_type, value)


# --- times and kinds ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("logical", "value"),
    [
        ("timestamp-millis", AT_MS),
        ("timestamp-micros", AT_MS * 1_000 + 999),
        ("timestamp-nanos", AT_MS * 1_000_000 + 999_999),
        ("local-timestamp-millis", AT_MS),
        ("local-timestamp-micros", AT_MS * 1_000),
        ("local-timestamp-nanos", AT_MS * 1_000_000),
        ("none", AT_MS * 1_000_000),
        ("none", AT_MS * 1_000),
    ],
)
def test_times_in_avro(logical, value):
    schema = {"type": "long", "logicalType": logical}
    assert of_avro(schema, value, "events", "occurred_at") == AT_MS


@pytest.mark.parametrize("unit", [1_000_000, 1_000, 1, 1 / 1000])
@given(at_ms=st.integers(631_152_000_000, 4_102_444_800_000))  # 1990 to 2100
def test_a_number_says_its_unit_by_its_size(unit, at_ms):
    found = decoded("events", {**EVENT, "occurred_at": at_ms * unit}).occurred_at_ms
    assert abs(found - at_ms) <= 1


@pytest.mark.parametrize("at", [AT_MS, AT_MS // 1_000, AT_MS * 1_000, AT_MS * 1_000_000])
def test_so_does_one_in_a_field_called_ms(at):
    event = {key: value for key, value in EVENT.items() if key != "occurred_at"}
    found = decoded("events", {**event, "occurred_at_ms": at}).occurred_at_ms
    assert abs(found - AT_MS) < 1_000


@pytest.mark.parametrize(
    "found",
    [
        "1767323045678",
        "1767323045.678",
        " 2026-01-02T03:04:05.678Z",
        "2026-01-02T03:04:05.678901234Z",
        "2026-01-02 03:04:05.678+00",
    ],
)
def test_times_as_text(found):
    assert decoded("events", {**EVENT, "occurred_at": found}).occurred_at_ms == AT_MS


@pytest.mark.parametrize("found", [-1e308, 1e308, 10**200, True, [AT_MS], "2026-13-01", ""])
def test_what_is_no_time_is_refused(found):
    with pytest.raises(InvalidField, match=r"^occurred_at is "):
        decoded("events", {**EVENT, "occurred_at": found})


def test_a_day_is_no_time():
    with pytest.raises(InvalidField, match=r"^occurred_at is "):
        of_avro({"type": "int", "logicalType": "date"}, date(2026, 1, 2), "events", "occurred_at")


@pytest.mark.parametrize("found", ["CLICK", "Click", "click"])
def test_event_types_in_capitals(found):
    assert decoded("events", {**EVENT, "kind": found}).kind is Kind.CLICK
    symbols = {"type": "enum", "name": "k", "symbols": ["VIEW", found]}
    assert of_avro(symbols, found, "events", "kind") is Kind.CLICK


# --- what an item says -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"title": 1984}, {"title": "1984"}),
        ({"title": None, "text": None}, {}),
        ({"title": 4.5, "text": True}, {"title": "4.5", "text": "true"}),
        ({"categories": "drama, comedy"}, {"categories": ("drama, comedy",)}),
        ({"categories": ["a", None, 7, False]}, {"categories": ("a", "7", "false")}),
        ({"categories": ""}, {}),
        ({"categories": None, "attributes": None, "available": None}, {}),
        (
            {"attributes": {"year": 1984, "rating": 4.5, "hd": True, "seen": None, "n": 3.0}},
            {"attributes": {"year": "1984", "rating": "4.5", "hd": "true", "n": "3"}},
        ),
        (
            {"attributes": [{"key": "lang", "value": "en"}, {"key": 7, "value": None}]},
            {"attributes": {"lang": "en"}},
        ),
        *(({"available": yes}, {}) for yes in (1, 1.0, "true", "True", "1", "yes")),
        *(({"available": no}, {"available": False}) for no in (0, 0.0, "false", "FALSE", "0")),
    ],
)
def test_an_item_is_taken_at_its_plain_meaning(fields, expected):
    assert item(**fields) == Item(**{"item_id": "i", "title": "", **expected})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"attributes": {"a": 1, "maker": {"name": "x"}}}, "attributes.maker is {'name': 'x'}"),
        ({"attributes": {"a": ["x"]}}, "attributes.a is"),
        ({"attributes": "red"}, "attributes is 'red'; expected an object"),
        ({"categories": ["a", {"name": "b"}]}, r"categories\[1\] is {'name': 'b'}"),
        ({"categories": {"name": "b"}}, "categories is {'name': 'b'}; expected a list"),
        ({"title": {"en": "x"}}, "title is {'en': 'x'}; expected a text, a number"),
        ({"title": ["x"]}, r"title is \['x'\]"),
        ({"available": 2}, "available is 2; expected true or false"),
        ({"available": "perhaps"}, "available is 'perhaps'"),
        ({"available": ""}, "available is ''"),
    ],
)
def test_what_has_no_sense_is_refused_by_its_path(fields, message):
    with pytest.raises(InvalidField, match="^" + message.replace("{", r"\{")):
        item(**fields)


NOTHING_OR_TEXT = ["null", "string"]


def test_an_item_in_avro_with_everything_nullable():
    entries = ["null", {"type": "array", "items": NOTHING_OR_TEXT}]
    assert of_avro(entries, ["a", None, "b"], name="categories") == ("a", "b")
    assert of_avro(entries, None, name="categories") == ()
    scalars = {"type": "map", "values": ["null", "double", "boolean", "string"]}
    values = {"a": None, "b": 4.5, "c": True, "d": "x"}
    expected = {"b": "4.5", "c": "true", "d": "x"}
    assert of_avro(scalars, values, name="attributes") == expected
    assert of_avro(["null", "int"], 1984, name="title") == "1984"
    assert of_avro("int", 0, name="available") is False


def test_not_a_number_is_refused_by_its_path():
    scalars = {"type": "map", "values": "double"}
    with pytest.raises(InvalidField, match=r"^attributes\.price is nan; expected"):
        of_avro(scalars, {"size": 1.0, "price": float("nan")}, name="attributes")
    with pytest.raises(InvalidField, match=r"^attributes\.raw is b'x'"):
        of_avro({"type": "map", "values": "bytes"}, {"raw": b"x"}, name="attributes")


@pytest.mark.parametrize(
    ("logical", "value", "text"),
    [
        ({"type": "int", "logicalType": "date"}, date(2026, 1, 2), "2026-01-02"),
        (
            {"type": "long", "logicalType": "timestamp-millis"},
            datetime(2026, 1, 2, tzinfo=UTC),
            "2026-01-02T00:00:00+00:00",
        ),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
            Decimal("12.50"),
            "12.50",
        ),
    ],
)
def test_logical_types_are_attributes_too(logical, value, text):
    assert of_avro({"type": "map", "values": logical}, {"x": value}, name="attributes") == {
        "x": text
    }


# --- requests, and the command line ------------------------------------------------------


def test_a_request_is_taken_at_its_plain_meaning():
    filters = {"categories": "drama", "exclude_items": [7, "x", None], "attributes": {"year": 1984}}
    wish = {**REQUEST, "user_id": 7, "k": 5.0, "candidates": [1, 2**64], "filters": filters}
    found = decoded("requests", wish)
    assert (found.user_id, found.k, found.candidates) == ("7", 5, ("1", str(2**64)))
    assert found.filters.categories == ("drama",)
    assert found.filters.exclude_items == ("7", "x")
    assert found.filters.attributes == {"year": "1984"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"candidates": [1, True]}, r"candidates\[1\] is True"),
        ({"filters": {"attributes": {"a": {}}}}, r"filters\.attributes\.a is"),
        ({"filters": {"exclude_items": [1.5]}}, r"filters\.exclude_items\[0\] is 1\.5"),
        ({"k": 2.5}, "k is 2.5"),
    ],
)
def test_a_request_is_refused_by_the_path_of_what_is_wrong(fields, message):
    with pytest.raises(InvalidField, match="^" + message):
        decoded("requests", {**REQUEST, **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "search"}, "query is missing"),
        ({"kind": "search", "query": "  "}, "query is '  '"),
        ({"kind": "accept"}, "reply_id is missing"),
        ({"kind": "reject"}, "reply_id is missing"),
        ({"kind": "click"}, "item_id is missing"),
        ({"kind": "search", "query": "x" * 2_001}, "query has 2,001 characters"),
        ({"kind": "reply", "reply_id": "w", "reply_log": "x" * 100_001}, "reply_log has 100,001"),
    ],
)
def test_words_lack_nothing_and_have_an_end(fields, message):
    with pytest.raises(InvalidField, match=message):
        decoded("events", {**EVENT, "item_id": None, **fields})


def test_words_need_no_item():
    asked = decoded("events", {**EVENT, "item_id": None, "kind": "SEARCH", "query": 1984})
    assert (asked.kind, asked.item_id, asked.query) == (Kind.SEARCH, "", "1984")
    thought = {**EVENT, "kind": "accept", "reply_id": 7, "conversation_id": "c"}
    assert decoded("events", thought).reply_id == "7"


def test_a_request_has_turns_before_it():
    asked = decoded("requests", {**REQUEST, "context": ["films", None, 3], "reasons": "text"})
    assert (asked.context, asked.reasons) == (("films", "3"), "text")
    with pytest.raises(InvalidField, match="reasons is 'yes'"):
        decoded("requests", {**REQUEST, "reasons": "yes"})
    with pytest.raises(InvalidField, match="context has 21 entries"):
        decoded("requests", {**REQUEST, "context": ["a"] * 21})


def test_the_command_line_takes_and_refuses_the_same():
    publisher, bad = FakePublisher(), []
    lines = [
        b'{"item_id": 42, "title": 1984, "categories": "drama", "available": 1}',
        b'{"item_id": 43, "attributes": {"price": {"eur": 1}}}',
    ]
    check = RowCheck("items", CODEC, bad.append)
    send_rows(line_rows(lines), "items", check, publisher)
    assert (check.report.sent, check.report.refused) == (1, 1)
    assert bad[0].reason.startswith("attributes.price is {'eur': 1}")
    sent = CODEC.decode("items", publisher.values("items")[0])
    assert sent == Item("42", "1984", categories=("drama",))


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=10)
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), scalars))
def test_any_scalar_is_an_attribute_and_null_is_none(attributes):
    found = item(attributes=attributes).attributes
    assert set(found) == {name for name, value in attributes.items() if value is not None}
    assert all(isinstance(value, str) for value in found.values())
    assert all(found[name] == value for name, value in attributes.items() if isinstance(value, str))
