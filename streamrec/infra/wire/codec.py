"""Topic values to wire bytes and back: Avro, in its framings, JSON, and what else strangers write.

Knows the framings and the schemas. Does not know what makes a field acceptable
(``infra.wire.values``).

Written: Avro single-object encoding, ``C3 01`` + CRC-64-AVRO fingerprint of the schema
(little-endian) + body; lists and replies also as ``infra.wire.output`` has it. Read: the same, of
any schema in ``schemas/`` or its history, and on the topics that strangers produce whatever
``infra.wire.strangers`` reads.

``avro`` parses the schemas and takes their fingerprints; ``fastavro`` does the bodies.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

import avro.schema
import fastavro

import schemas
from streamrec.core.examples import TrainingBatch
from streamrec.core.topics import RECOMMENDATIONS, REPLIES
from streamrec.errors import Malformed, Refused, TooLarge, UnknownSchema
from streamrec.infra.wire.batches import BatchShape, ExampleShape, batch_shapes
from streamrec.infra.wire.envelopes import row
from streamrec.infra.wire.json_text import unreadable
from streamrec.infra.wire.output import Encode, avro_bytes, conformed
from streamrec.infra.wire.schema_registry import RegisteredSchema
from streamrec.infra.wire.strangers import Strangers, avro_body
from streamrec.infra.wire.values import SHAPES, Shape, removed
from streamrec.ports import EXAMPLE, ExampleFormat

AnyShape = Shape | BatchShape | ExampleShape

ANSWERS = (RECOMMENDATIONS, REPLIES)
"""Topics that others read: they may want another form."""

SINGLE_OBJECT = b"\xc3\x01"
HEADER_BYTES = 10


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
        foreign: Callable[[int], RegisteredSchema] | None = None,
        history: Callable[[str], list[Any]] = schemas.history,
        formats: Mapping[str, ExampleFormat] | None = None,
        output: Mapping[str, Encode] = MappingProxyType({}),
    ) -> None:
        """``foreign``: a stranger's schema by its id, as ``SchemaRegistry.schema`` finds it;
        ``history``: the older versions of one of ours; ``formats``: of every task's examples;
        ``output``: how ``ANSWERS`` are written, where not like the rest."""
        self.max_message_bytes = max_message_bytes
        self._strangers = Strangers(foreign)
        self._output = output
        versions = {topic: versions_of(shape, history) for topic, shape in SHAPES.items()}
        self._wires = {topic: _wire(SHAPES[topic], found) for topic, found in versions.items()}
        for topic, shape in batch_shapes(formats or {}).items():
            self._wires[topic] = _wire(shape, shape.versions)

    def encode(self, topic: str, value: object) -> bytes:
        """Single-object encoding of ``value``, but for ``output``. Raises TooLarge, and what that
        raises."""
        wire = self._wires[topic]
        fields = wire.shape.to_fields(value)
        if topic in self._output:
            data = self._output[topic](wire.writer, fields)
        else:
            data = avro_bytes(wire.header, wire.writer, fields)
        self._check_size(topic, data)
        return data

    def encode_batch(self, topic: str, batch: TrainingBatch, encoded: Sequence[bytes]) -> bytes:
        """As ``encode`` of a mini-batch whose examples are encoded already, each by itself.

        Avro writes a list as a count, its members, and a count of 0; it is the last field.
        """
        wire = self._wires[topic]
        empty = avro_bytes(
            wire.header, wire.writer, wire.shape.to_fields(replace(batch, examples=()))
        )
        bodies = [example[HEADER_BYTES:] for example in encoded]
        data = b"".join([empty[:-1], _long(len(bodies)), *bodies, b"\0"]) if bodies else empty
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
        header = data[:HEADER_BYTES]
        if header == wire.header:
            return wire.shape.from_fields(avro_body(data, HEADER_BYTES, wire.writer, None))
        if header[:2] == SINGLE_OBJECT:
            return wire.shape.from_fields(_older(wire, data))
        if topic in ANSWERS:
            return wire.shape.from_fields(conformed(wire.writer, self._strangers.read(data)))
        if not wire.shape.json:
            raise _not_ours(topic, data)
        found = row(self._strangers.read(data))
        return (
            removed(topic, found.fields) if found.removed else wire.shape.from_fields(found.fields)
        )

    def ids(self, key: bytes) -> tuple[str, ...]:
        """The ids that a message's key may mean, as it stands first. Raises as ``decode``."""
        return self._strangers.ids(key)

    def _check_size(self, topic: str, data: bytes) -> None:
        if len(data) > self.max_message_bytes and not topic.startswith(EXAMPLE):  # no message
            raise TooLarge(f"{len(data)} bytes; at most {self.max_message_bytes} are accepted")


def _long(number: int) -> bytes:
    """A count as Avro writes it: zig-zag, seven bits a byte."""
    number, out = number << 1, bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _older(wire: _Wire, data: bytes) -> Any:
    header = data[:HEADER_BYTES]
    if len(header) < HEADER_BYTES:
        raise Malformed(f"{len(data)} bytes are too short for a schema fingerprint")
    if header not in wire.readable:
        raise UnknownSchema(
            f"fingerprint {header[2:].hex()} is no version of the schema "
            f"`{wire.shape.schema}` (today's is {wire.header[2:].hex()})"
        )
    return avro_body(data, HEADER_BYTES, wire.readable[header], wire.writer)


def _not_ours(topic: str, data: bytes) -> Refused:
    """On a topic that only streamrec writes."""
    if data[:1] in (b"{", b"\x00"):
        form = "JSON" if data[:1] == b"{" else "Confluent framing"
        return UnknownSchema(f"{form} is not accepted on {topic}; expected Avro")
    return unreadable(data)


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
