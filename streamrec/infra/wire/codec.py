"""Topic values to wire bytes and back: Avro, in its framings, and JSON.

Knows the framings and the schemas. Does not know what makes a field acceptable
(``infra.wire.values``).

Written: Avro single-object encoding, ``C3 01`` + CRC-64-AVRO fingerprint of the schema
(little-endian) + body. Read, by the first byte:

- ``C3``: single-object encoding, of any schema in ``schemas/`` or its history;
- ``00``: Confluent framing, big-endian schema id + body, when a schema registry is set;
- ``{``: JSON in UTF-8, for the topics that strangers produce.

``avro`` parses the schemas and takes their fingerprints; ``fastavro`` does the bodies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any, NamedTuple

import avro.schema
import fastavro
import orjson

import schemas
from streamrec.errors import Malformed, TooLarge, UnknownSchema
from streamrec.infra.wire.batches import BatchShape, ExampleShape, batch_shapes
from streamrec.infra.wire.foreign_schema import parsed
from streamrec.infra.wire.values import SHAPES, Shape
from streamrec.ports import EXAMPLE, ExampleFormat

AnyShape = Shape | BatchShape | ExampleShape

SINGLE_OBJECT = b"\xc3\x01"
HEADER_BYTES = 10
CONFLUENT_HEADER_BYTES = 5

_LONG_NUMBER = re.compile(rb"[0-9]{20}")

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


class _Wire(NamedTuple):
    """One topic's schemas, parsed."""

    shape: AnyShape
    header: bytes
    writer: Any
    readable: Mapping[bytes, Any]  # header -> the schema of whoever wrote it


class WireCodec:
    """Encodes and decodes the values of every topic, by the topic's short name."""

    def __init__(
        self,
        max_message_bytes: int = 1_000_000,
        foreign: Callable[[int], Any] | None = None,
        history: Callable[[str], list[Any]] = schemas.history,
        formats: Mapping[str, ExampleFormat] | None = None,
    ) -> None:
        """``foreign``: a stranger's schema by its id, as ``SchemaRegistry.schema`` finds it;
        ``history``: the older versions of one of ours; ``formats``: of every task's examples."""
        self.max_message_bytes = max_message_bytes
        self._schema = foreign
        versions = {topic: versions_of(shape, history) for topic, shape in SHAPES.items()}
        self._wires = {topic: _wire(SHAPES[topic], found) for topic, found in versions.items()}
        for topic, shape in batch_shapes(formats or {}).items():
            self._wires[topic] = _wire(shape, shape.versions)
        self._foreign: dict[int, Any] = {}

    def encode(self, topic: str, value: object) -> bytes:
        """Single-object encoding of ``value``. Raises TooLarge."""
        wire = self._wires[topic]
        out = BytesIO()
        out.write(wire.header)
        fastavro.schemaless_writer(out, wire.writer, wire.shape.to_fields(value))
        data = out.getvalue()
        self._check_size(topic, data)
        return data

    def decode(self, topic: str, data: bytes) -> Any:
        """The value in ``data``.

        Raises Refused (Malformed, UnknownSchema, InvalidField, TooLarge), and Unavailable
        when a schema registry is needed and does not answer; nothing else, whatever the
        bytes.
        """
        self._check_size(topic, data)
        wire = self._wires.get(topic)
        if wire is None:
            raise UnknownSchema(f"no shape of {topic} is known here")
        return wire.shape.from_fields(self._fields(wire, topic, data))

    def _check_size(self, topic: str, data: bytes) -> None:
        if len(data) > self.max_message_bytes and not topic.startswith(EXAMPLE):  # no message
            raise TooLarge(f"{len(data)} bytes; at most {self.max_message_bytes} are accepted")

    def _fields(self, wire: _Wire, topic: str, data: bytes) -> Any:
        header = data[:HEADER_BYTES]
        if header == wire.header:
            return _body(data, HEADER_BYTES, wire.writer, None)
        if header[:2] == SINGLE_OBJECT:
            return self._older(wire, data)
        if header[:1] == b"{":
            return _json(wire, topic, data)
        if header[:1] == b"\x00":
            return self._framed(data)
        raise Malformed(
            f"starts with {header[:2].hex(' ') or 'nothing'}; expected Avro single-object "
            "encoding (c3 01), Confluent framing (00) or a JSON object ({)"
        )

    def _older(self, wire: _Wire, data: bytes) -> Any:
        header = data[:HEADER_BYTES]
        if len(header) < HEADER_BYTES:
            raise Malformed(f"{len(data)} bytes are too short for a schema fingerprint")
        if header not in wire.readable:
            raise UnknownSchema(
                f"fingerprint {header[2:].hex()} is no version of the schema "
                f"`{wire.shape.schema}` (today's is {wire.header[2:].hex()})"
            )
        return _body(data, HEADER_BYTES, wire.readable[header], wire.writer)

    def _framed(self, data: bytes) -> Any:
        """Decode by the writer's schema alone; our field checks do the rest, by name."""
        if self._schema is None:
            raise UnknownSchema(
                "Confluent framing, but STREAMREC_KAFKA_SCHEMA_REGISTRY_URL is not set"
            )
        if len(data) < CONFLUENT_HEADER_BYTES:
            raise Malformed(f"{len(data)} bytes are too short for a schema id")
        schema_id = int.from_bytes(data[1:CONFLUENT_HEADER_BYTES], "big")
        if schema_id not in self._foreign:
            self._foreign[schema_id] = parsed(self._schema(schema_id), schema_id)
        fields = _body(data, CONFLUENT_HEADER_BYTES, self._foreign[schema_id], None)
        if not isinstance(fields, dict):
            raise UnknownSchema(f"schema id {schema_id} is not a record")
        return fields


def fingerprint(schema: Any) -> bytes:
    """CRC-64-AVRO of the schema's parsing canonical form, little-endian (8 bytes)."""
    found: bytes = avro.schema.parse(json.dumps(schema)).fingerprint("CRC-64-AVRO")
    return found


def versions_of(shape: Shape, history: Callable[[str], list[Any]] = schemas.history) -> list[Any]:
    """Every version of a shape's schema, today's last."""
    return [*history(shape.schema), schemas.load(shape.schema)]


def _wire(shape: AnyShape, versions: Sequence[Any]) -> _Wire:
    readable = {
        SINGLE_OBJECT + fingerprint(version): fastavro.parse_schema(version) for version in versions
    }
    header = SINGLE_OBJECT + fingerprint(versions[-1])
    return _Wire(shape, header, readable[header], readable)


def _body(data: bytes, start: int, writer: Any, reader: Any) -> Any:
    stream = BytesIO(data)
    stream.seek(start)
    try:
        fields = fastavro.schemaless_reader(stream, writer, reader)
    except _BODY_ERRORS as error:
        raise Malformed(f"the Avro body does not fit its schema: {error!r}") from None
    if stream.tell() != len(data):
        raise Malformed(f"{len(data) - stream.tell()} bytes follow the end of the Avro body")
    return fields


def _json(wire: _Wire, topic: str, data: bytes) -> Any:
    if not wire.shape.json:
        raise UnknownSchema(f"JSON is not accepted on {topic}; expected Avro")
    try:
        found = orjson.loads(data)
        if _LONG_NUMBER.search(data):  # orjson reads a whole number beyond 64 bits as a float
            found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON: {error}") from None
    return found
