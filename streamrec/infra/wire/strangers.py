"""What strangers write, keys and values, whatever the encoding: plain fields, or a refusal.

Read, by how it begins: JSON (``infra.wire.json_text``), or Confluent's frame, ``00`` and a
big-endian schema id, around Avro, JSON or Protobuf. What is inside of an envelope:
``infra.wire.envelopes``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

import fastavro

from streamrec.errors import Malformed, Refused, UnknownSchema
from streamrec.infra.wire.checks import id_text
from streamrec.infra.wire.envelopes import payload
from streamrec.infra.wire.foreign_schema import VALUE, parsed
from streamrec.infra.wire.json_text import json_text, parsed_json, unreadable
from streamrec.infra.wire.schema_registry import RegisteredSchema

FRAME_BYTES = 5
_BODY_ERRORS = (
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,  # UnicodeDecodeError among them
    OverflowError,
    MemoryError,  # a length of petabytes
    RecursionError,
)
_KEY = (
    "expected the item's id as text: key.serializer=StringSerializer, or with Kafka Connect "
    "key.converter=org.apache.kafka.connect.storage.StringConverter"
)
_INT, _LONG = 4, 8  # bytes that IntegerSerializer and LongSerializer write

Reader = Callable[[bytes], Any]


class Strangers:
    """Remembers how the values of each schema id are read."""

    def __init__(self, registered: Callable[[int], RegisteredSchema] | None) -> None:
        """``registered``: a schema by its id, as ``SchemaRegistry.schema`` finds it."""
        self._registered = registered
        self._readers: dict[int, Reader] = {}

    def read(self, data: bytes) -> Any:
        """A value. Raises Refused, Unavailable."""
        text = json_text(data)
        if text is not None:
            return parsed_json(text)
        if data[:1] == b"\x00":
            return self._framed(data)
        raise unreadable(data)

    def ids(self, key: bytes) -> tuple[str, ...]:
        """The ids that a key may mean, as it stands first. Raises Refused, Unavailable.

        A converter puts a text in quotes, a row's key into an object, a number into four or eight
        bytes, and may frame any of them.
        """
        if not key.startswith(b"\x00"):
            return _text_ids(key)
        if len(key) == _INT or (len(key) == _LONG and not self._is_framed(key)):
            return (str(int.from_bytes(key, "big", signed=True)),)
        try:
            return (_id_in(self._framed(key), key),)
        except (Malformed, UnknownSchema) as error:
            raise type(error)(f"the key {key[:40].hex(' ')}: {error}; {_KEY}") from None

    def _is_framed(self, key: bytes) -> bool:
        """Whether eight bytes are a frame and not a number."""
        if key[FRAME_BYTES] == 2 * (len(key) - FRAME_BYTES - 1):  # a text of Avro's that fits
            return True
        try:
            return self._registered is not None and self._framed(key) is not None
        except Refused:
            return False

    def _framed(self, data: bytes) -> Any:
        body = data[FRAME_BYTES:]
        if body[:1] == b"{" and body[-1:] == b"}":  # JSON Schema's; what it means needs no schema
            return parsed_json(body)
        if self._registered is None:
            raise UnknownSchema(
                "Confluent framing, but STREAMREC_KAFKA_SCHEMA_REGISTRY_URL is not set; without a "
                "registry, value.converter=org.apache.kafka.connect.json.JsonConverter"
            )
        if len(data) < FRAME_BYTES:
            raise Malformed(f"{len(data)} bytes are too short for a schema id")
        schema_id = int.from_bytes(data[1:FRAME_BYTES], "big")
        if schema_id == 0:
            raise UnknownSchema(
                "schema id 0: no registry gives it. Apicurio writes ids of eight bytes unless "
                "value.converter.apicurio.registry.as-confluent=true"
            )
        if schema_id not in self._readers:
            self._readers[schema_id] = _reader_or_refusal(self._registered(schema_id), schema_id)
        return self._readers[schema_id](body)


def _reader_or_refusal(schema: RegisteredSchema, schema_id: int) -> Reader:
    """A schema that cannot be used is looked at once, and refused with every message."""
    try:
        return _reader(schema, schema_id)
    except UnknownSchema as error:
        reason = str(error)

    def refuse(_: bytes) -> Any:
        raise UnknownSchema(reason)

    return refuse


def _reader(schema: RegisteredSchema, schema_id: int) -> Reader:
    if schema.kind == "JSON":
        return parsed_json
    if schema.kind == "PROTOBUF":
        # half a second of imports that only Protobuf needs
        from streamrec.infra.wire.protobuf import protobuf_reader  # noqa: PLC0415

        return protobuf_reader(schema, schema_id)
    if schema.kind != "AVRO":
        raise UnknownSchema(
            f"schema id {schema_id} is {schema.kind}, not Avro, JSON or Protobuf; set "
            "value.converter to one of these"
        )
    writer = parsed(schema.schema, schema_id, schema.references)
    return lambda body: avro_body(body, 0, writer, None)[VALUE]


def avro_body(data: bytes, start: int, writer: Any, reader: Any) -> Any:
    """What ``data`` holds from ``start`` to its end. Raises Malformed."""
    stream = BytesIO(data)
    stream.seek(start)
    try:
        fields = fastavro.schemaless_reader(stream, writer, reader)
    except _BODY_ERRORS as error:
        raise Malformed(f"the Avro body does not fit its schema: {error!r}") from None
    if stream.tell() != len(data):
        raise Malformed(f"{len(data) - stream.tell()} bytes follow the end of the Avro body")
    return fields


def _text_ids(key: bytes) -> tuple[str, ...]:
    try:
        text = key.decode()
    except UnicodeDecodeError:
        raise Malformed(f"the key {key[:40].hex(' ')} is not UTF-8; {_KEY}") from None
    if text.lstrip()[:1] not in ('"', "{"):
        return (text,)
    try:
        found = parsed_json(key)
    except Malformed:
        return (text,)
    return text, _id_in(found, key)


def _id_in(found: Any, key: bytes) -> str:
    """Of a text or a number, of a row's only field, or of the one called as an id is."""
    found = payload(found)
    if isinstance(found, Mapping):
        names = [name for name in ("item_id", "user_id", "id") if name in found]
        names = names[:1] or list(found)
        if len(names) != 1:
            raise Malformed(f"the key holds {', '.join(map(str, found)) or 'nothing'}; {_KEY}")
        found = found[names[0]]
    try:
        return id_text("the key", found)
    except Refused:
        raise Malformed(f"the key {key[:40]!r} holds no id; {_KEY}") from None
