"""Framings, envelopes and keys of other people's producers and connectors."""

import codecs
import json
from decimal import Decimal
from io import BytesIO

import fastavro
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from streamrec.core.events import Interaction, Item, Kind
from streamrec.errors import InvalidField, Malformed, Refused, UnknownSchema
from streamrec.infra.wire.schema_registry import RegisteredSchema, SchemaRegistry
from tests.harness.codec import wire_codec
from tests.harness.wire import schema_registry, written

AT_MS = 1_767_323_045_678
EVENT = {"event_id": "e", "user_id": "u", "item_id": "i", "kind": "click", "occurred_at": AT_MS}
CLICK = Interaction("e", "u", "i", Kind.CLICK, AT_MS)
ITEM = {"item_id": "i", "title": "t"}
PLAIN = json.dumps(EVENT).encode()
FRAME = b"\x00\x00\x00\x00\x07"
CODEC = wire_codec()


def reading(kind, schema):
    """A codec whose registry knows one schema."""
    return wire_codec(foreign=lambda _: RegisteredSchema(kind, schema))


# --- JSON as it is found -----------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b" \r\n\t" + PLAIN,
        codecs.BOM_UTF8 + PLAIN,
        codecs.BOM_UTF8 + b"\n" + PLAIN + b"\n",
        codecs.BOM_UTF16_LE + PLAIN.decode().encode("utf-16-le"),
        codecs.BOM_UTF16_BE + PLAIN.decode().encode("utf-16-be"),
        PLAIN.decode().encode("utf-16-le"),
        PLAIN.decode().encode("utf-16-be"),
        FRAME + PLAIN,  # JSON Schema's frame: what it means needs no registry
    ],
)
def test_json_behind_something(data):
    assert CODEC.decode("events", data) == CLICK


def test_json_schema_by_its_registry():
    codec = reading("JSON", '{"type": "object"}')
    assert codec.decode("events", FRAME + b" " + PLAIN) == CLICK


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (json.dumps(PLAIN.decode()).encode(), "StringConverter"),
        (b"[" + PLAIN + b"]", "send each of its objects"),
        (b"Struct{event_id=e}", "value.converter=org.apache.kafka.connect.json.JsonConverter"),
        (b"Obj\x01\x04", "an Avro file"),
        (b"\xac\xed\x00\x05sr", "value.serializer"),
        (b"\x03\x00" + b"\x01" * 16, "AWS Glue"),
        (b"\x1f\x8b\x08", "compression.type=gzip"),
        (b"<event/>", "XML"),
        (b"\xff\xfe{", "value.converter="),
        (b"hello", "value.converter="),
        (b"\x00\x00\x00\x00\x01\x02", "STREAMREC_KAFKA_SCHEMA_REGISTRY_URL"),
    ],
)
def test_what_is_not_read_says_what_to_set(data, told):
    with pytest.raises(Refused) as refused:
        CODEC.decode("events", data)
    assert told in str(refused.value)


def test_ids_of_eight_bytes_name_their_setting():
    with pytest.raises(UnknownSchema, match="as-confluent"):
        reading("AVRO", "string").decode("events", b"\x00" * 8 + b"\x07abc")


# --- envelopes ---------------------------------------------------------------------------


def connect(payload, schema=None):
    return json.dumps({"schema": schema, "payload": payload}).encode()


def change(op, before=None, after=None):
    return {"before": before, "after": after, "op": op, "source": {"db": "shop"}, "ts_ms": AT_MS}


def test_connects_envelope():
    assert CODEC.decode("events", connect(EVENT)) == CLICK
    assert CODEC.decode("items", connect(ITEM)) == Item("i", "t")


@pytest.mark.parametrize("op", ["c", "r", "u"])
def test_debezium_inserts_reads_and_updates(op):
    row = change(op, None, ITEM)
    assert CODEC.decode("items", json.dumps(row).encode()) == Item("i", "t")
    assert CODEC.decode("items", connect(row)) == Item("i", "t")
    event = change(op, {"event_id": "old"}, EVENT)
    assert CODEC.decode("events", json.dumps(event).encode()) == CLICK


GONE = Item("i", "", available=False)


@pytest.mark.parametrize(
    "row",
    [
        change("d", ITEM),
        {**ITEM, "__deleted": "true"},
        {**ITEM, "__deleted": True},
        {**ITEM, "__op": "d"},
    ],
)
def test_a_deleted_row_is_a_removed_item(row):
    assert CODEC.decode("items", json.dumps(row).encode()) == GONE
    assert CODEC.decode("items", connect(row)) == GONE


def test_debezium_in_avro():
    row = {"type": "record", "name": "Value", "fields": [{"name": "item_id", "type": "long"}]}
    names = {"before": ["null", row], "after": ["null", "Value"], "op": "string"}
    fields = [{"name": name, "type": of} for name, of in names.items()]
    schema = {"type": "record", "name": "Envelope", "fields": fields}
    codec = reading("AVRO", schema)
    made = written(schema, {"before": None, "after": {"item_id": 7}, "op": "c"})
    assert codec.decode("items", FRAME + made) == Item("7", "")
    gone = written(schema, {"before": {"item_id": 7}, "after": None, "op": "d"})
    assert codec.decode("items", FRAME + gone) == Item("7", "", available=False)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (change("t"), "op is 't'; expected one of c, r, u, d"),
        (change("u", ITEM, None), "after is None; expected the row"),
        (change("d", EVENT), "only items can be removed"),
    ],
)
def test_changes_that_mean_nothing_here(row, told):
    with pytest.raises(InvalidField, match=told):
        CODEC.decode("events", json.dumps(row).encode())


def test_connects_logical_types():
    decimal = {"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal"}
    fields = [
        {"field": "item_id", "type": "bytes", **decimal, "parameters": {"scale": "0"}},
        {
            "field": "attributes",
            "type": "struct",
            "fields": [
                {"field": "price", **decimal, "parameters": {"scale": "2"}},
                {"field": "day", "type": "int32", "name": "org.apache.kafka.connect.data.Date"},
            ],
        },
    ]
    row = {"item_id": "BNI=", "attributes": {"price": "BNI=", "day": 20455}}
    found = CODEC.decode("items", connect(row, {"type": "struct", "fields": fields}))
    assert found.item_id == "1234"
    assert found.attributes == {"price": "12.34", "day": "2026-01-02"}
    raw = {"type": "struct", "fields": [{"field": "item_id", "type": "bytes"}]}
    with pytest.raises(InvalidField, match=r"^item_id is b'"):
        CODEC.decode("items", connect({"item_id": "BNI="}, raw))


WORDS = "schema payload op before after type fields field item_id name items values parameters"
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(WORDS.split()) | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["schema", "payload", "op", "before", "after"]), anything))
def test_any_envelope_is_read_or_refused(found):
    for topic in ("items", "events"):
        try:
            CODEC.decode(topic, json.dumps(found).encode())
        except Refused:
            continue


# --- a registry's schemas ----------------------------------------------------------------


def test_avro_references():
    ids = {"type": "record", "name": "Ids", "namespace": "shop", "fields": [
        {"name": "event_id", "type": "string"}]}  # fmt: skip
    kind = {"type": "enum", "name": "Kind", "namespace": "shop", "symbols": ["VIEW", "CLICK"]}
    fields = {"event_id": "string", "user_id": "long", "item_id": "long", "kind": "shop.Kind",
              "occurred_at": "long", "ids": "shop.Ids"}  # fmt: skip
    click = {"type": "record", "name": "Click", "namespace": "shop",
             "fields": [{"name": name, "type": of} for name, of in fields.items()]}  # fmt: skip
    answers = {
        7: json.dumps({
            "schema": json.dumps(["shop.Click", "shop.Ids"]),
            "references": [{"name": "shop.Click", "subject": "click value", "version": 3}],
        }),
        "/subjects/click%20value/versions/3": json.dumps({
            "schema": json.dumps(click),
            "references": [{"name": "shop.Kind", "subject": "kind", "version": 1},
                           {"name": "shop.Ids", "subject": "ids", "version": 2}],
        }),
        "/subjects/kind/versions/1": json.dumps({"schema": json.dumps(kind)}),
        "/subjects/ids/versions/2": json.dumps({"schema": json.dumps(ids)}),
    }  # fmt: skip
    named = {}
    for one in (ids, kind):
        fastavro.parse_schema(one, named)
    body = BytesIO()
    parsed = fastavro.parse_schema(click, named)
    value = {"event_id": "e", "user_id": 7, "item_id": 8, "kind": "CLICK", "occurred_at": AT_MS,
             "ids": {"event_id": "x"}}  # fmt: skip
    fastavro.schemaless_writer(body, parsed, value)
    encoded = {key: value.encode() for key, value in answers.items()}
    with schema_registry(encoded) as (url, _):
        codec = wire_codec(foreign=SchemaRegistry(url).schema)
        found = codec.decode("events", FRAME + b"\x00" + body.getvalue())
    assert found == Interaction("e", "7", "8", Kind.CLICK, AT_MS)


def test_references_without_end_are_refused():
    turn = json.dumps({
        "schema": '"long"', "references": [{"name": "a", "subject": "a", "version": 1}]
    }).encode()  # fmt: skip
    answers = {7: turn, "/subjects/a/versions/1": turn}
    with schema_registry(answers) as (url, _), pytest.raises(UnknownSchema, match="deep"):
        SchemaRegistry(url).schema(7)


PROTO = """
syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "shop/kind.proto";
message Unused { string x = 1; }
message Outer {
  message Event {
    string event_id = 1; int64 user_id = 2; uint64 item_id = 3; Kind kind = 4;
    google.protobuf.Timestamp occurred_at = 5; string impression_id = 6; int32 position = 7;
    google.protobuf.DoubleValue value = 8;
  }
  message Item {
    string item_id = 1; string title = 2; repeated string categories = 3;
    map<string, int32> attributes = 4; bool available = 5; optional bool hidden = 6;
  }
}
message Request {
  string request_id = 1; string user_id = 2; int64 requested_at_ms = 3; int32 k = 4;
}
"""
KINDS = 'syntax = "proto3"; package shop; enum Kind { VIEW = 0; CLICK = 1; }'


@pytest.fixture(scope="module")
def proto(tmp_path_factory):
    """A codec, and a function that makes a message of the schema's by its name."""
    from grpc_tools import protoc

    root = tmp_path_factory.mktemp("proto")
    (root / "shop").mkdir()
    (root / "shop/kind.proto").write_text(KINDS)
    (root / "all.proto").write_text(PROTO)
    out = root / "out"
    include = protoc.__file__.replace("protoc.py", "_proto")
    command = ["protoc", f"-I{root}", f"-I{include}", "--include_imports"]
    assert protoc.main([*command, f"--descriptor_set_out={out}", "all.proto"]) == 0
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file:
        pool.Add(file)
    references = [{"name": "shop/kind.proto", "subject": "kind", "version": 1}]
    answer = {"schemaType": "PROTOBUF", "schema": PROTO, "references": references}
    kinds = json.dumps({"schemaType": "PROTOBUF", "schema": KINDS}).encode()
    answers = {7: json.dumps(answer).encode(), "/subjects/kind/versions/1": kinds}
    with schema_registry(answers) as (url, _):
        codec = wire_codec(foreign=SchemaRegistry(url).schema)
        codec.ids(FRAME + b"\x00\x0a\x01x")  # everything is asked for once
        yield (
            codec,
            lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name))(),
        )


def test_protobuf_by_its_message_index(proto):
    codec, new = proto
    event = new("shop.Outer.Event")
    event.event_id, event.user_id, event.item_id, event.kind = "e", 2**62, 2**63, 1
    event.occurred_at.FromMilliseconds(AT_MS)
    event.value.value = 0.0
    body = event.SerializeToString()
    nested = b"\x04\x02\x00"  # two places: the second message, and the first inside of it
    assert codec.decode("events", FRAME + nested + body) == Interaction(
        "e", str(2**62), str(2**63), Kind.CLICK, AT_MS, value=0.0, position=0
    )
    item = new("shop.Outer.Item")
    item.item_id, item.title, item.available = "i", "t", True
    item.categories.extend(["a", "b"])
    item.attributes["year"] = 1984
    data = FRAME + b"\x04\x02\x02" + item.SerializeToString()
    assert codec.decode("items", data) == Item("i", "t", "", ("a", "b"), {"year": "1984"})
    item.available = False
    data = FRAME + b"\x04\x02\x02" + item.SerializeToString()
    assert not codec.decode("items", data).available
    wish = new("shop.Request")
    wish.request_id, wish.user_id, wish.requested_at_ms = "r", "u", AT_MS
    assert codec.decode("requests", FRAME + b"\x02\x04" + wish.SerializeToString()).k == 10
    assert codec.ids(FRAME + b"\x00\x0a\x02k7") == ("k7",)  # the first message, in one byte


@pytest.mark.parametrize(
    "index", [b"", b"\x02", b"\x02\x10", b"\x04\x02\x08", b"\x01", b"\xff" * 12]
)
def test_a_protobuf_message_index_that_names_nothing(proto, index):
    with pytest.raises(Malformed, match="Protobuf message index"):
        proto[0].decode("events", FRAME + index)


@given(body=st.binary(max_size=60))
def test_any_protobuf_is_read_or_refused(proto, body):
    for topic in ("events", "items"):
        with pytest.raises(Refused):
            proto[0].decode(topic, FRAME + body)


@pytest.mark.parametrize("schema", ["message {", 'import "/etc/passwd";', 'import "not.there";'])
def test_a_schema_that_is_no_protobuf(schema):
    with pytest.raises(UnknownSchema, match="schema id 7 is no Protobuf"):
        reading("PROTOBUF", schema).decode("events", FRAME + b"\x00")


def test_a_protobuf_reference_stays_where_it_is_compiled(tmp_path):
    outside = RegisteredSchema("PROTOBUF", "")
    schema = RegisteredSchema("PROTOBUF", "", {f"../{tmp_path.name}/x.proto": outside})
    with pytest.raises(UnknownSchema, match="is no import"):
        wire_codec(foreign=lambda _: schema).decode("events", FRAME + b"\x00")


def test_another_kind_of_schema_is_named():
    with pytest.raises(UnknownSchema, match=r"schema id 7 is THRIFT.*value.converter"):
        reading("THRIFT", "").decode("events", FRAME + b"\x00")


# --- keys --------------------------------------------------------------------------------

RECORD = {"type": "record", "name": "Key", "fields": [{"name": "product", "type": "long"}]}


@pytest.mark.parametrize(
    ("key", "ids"),
    [
        (b"k1", ("k1",)),
        (b"7", ("7",)),
        ("é".encode(), ("é",)),
        (b'"k1"', ('"k1"', "k1")),
        (b'{"id":"k2"}', ('{"id":"k2"}', "k2")),
        (b'{"product":2}', ('{"product":2}', "2")),
        (b'{"tenant":1,"item_id":"k3"}', ('{"tenant":1,"item_id":"k3"}', "k3")),
        (
            connect({"id": 18446744073709551616}),
            (connect({"id": 18446744073709551616}).decode(), "18446744073709551616"),
        ),
        (connect("k4", {"type": "string"}), (connect("k4", {"type": "string"}).decode(), "k4")),
        (b'{"broken', ('{"broken',)),
        (b"\x00\x00\x00\x07", ("7",)),
        (b"\x00\x00\x00\x00\x00\x00\x00\x07", ("7",)),
        (FRAME + b'{"id":5}', ("5",)),
    ],
)
def test_the_ids_that_a_key_may_mean(key, ids):
    assert CODEC.ids(key) == ids


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [("string", "k1", "k1"), ("string", "k1long", "k1long"), ("long", 7, "7"),
     (RECORD, {"product": 9}, "9"), (RECORD, {"product": 2**40}, str(2**40))],
)  # fmt: skip
def test_framed_avro_keys(schema, value, expected):
    key = FRAME + written(schema, value)
    assert reading("AVRO", schema).ids(key) == (expected,)


@pytest.mark.parametrize(
    "key",
    [b"\xff\xfe", b'{"a":1,"b":2}', b"{}", b'{"id":null}', b'{"id":{}}', b"\x00\x01", FRAME],
)
def test_a_key_that_says_no_id_says_what_it_should_be(key):
    with pytest.raises(Refused) as refused:
        reading("AVRO", "bytes").ids(key)
    assert "key.converter=org.apache.kafka.connect.storage.StringConverter" in str(refused.value)


@given(st.binary(max_size=40))
def test_any_key_is_read_or_refused(key):
    try:
        found = CODEC.ids(key)
    except Refused:
        return
    assert found
    assert all(isinstance(one, str) for one in found)


def test_decimals_in_keys():
    decimal = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 0}
    key = FRAME + written(decimal, Decimal(41))
    assert reading("AVRO", decimal).ids(key) == ("41",)
