"""Protobuf from a schema registry: text to a message class, a message to plain fields.

Knows Confluent's message index and what a Protobuf field means here. The text is compiled by
protoc, which comes with grpcio-tools, in a process of its own: once for each schema.

A field without presence (proto3 without ``optional``) is absent when it is empty text or nothing
repeated; numbers and booleans are what they are, for a position may be 0 and an item unavailable
(``k`` of a request excepted: nobody asks for no items).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from streamrec.errors import Malformed, UnknownSchema
from streamrec.infra.wire.schema_registry import RegisteredSchema

MAIN = "streamrec_foreign.proto"
COMPILE_TIMEOUT_S = 30.0
_WRAPPERS = "google/protobuf/wrappers.proto"
_SCALAR_ZERO_COUNTS = (
    FieldDescriptor.CPPTYPE_BOOL,
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64,
    FieldDescriptor.CPPTYPE_FLOAT,
    FieldDescriptor.CPPTYPE_DOUBLE,
)


def protobuf_reader(schema: RegisteredSchema, schema_id: int) -> Callable[[bytes], Any]:
    """Reads what follows a schema id. Raises UnknownSchema; the reader raises Malformed."""
    files = _compiled(schema, schema_id)
    pool = descriptor_pool.DescriptorPool()
    try:
        for file in files.file:
            pool.Add(file)
        main = pool.FindFileByName(MAIN)
    except (TypeError, KeyError) as error:
        raise UnknownSchema(f"schema id {schema_id} is no Protobuf: {error}") from None
    top = list(main.message_types_by_name.values())

    def read(data: bytes) -> Any:
        index, start = _message_index(data)
        found: Message = message_factory.GetMessageClass(_at(top, index))()
        try:
            found.ParseFromString(data[start:])
        except DecodeError as error:
            raise Malformed(f"the Protobuf body does not fit its schema: {error}") from None
        return _fields(found)

    return read


def _compiled(schema: RegisteredSchema, schema_id: int) -> descriptor_pb2.FileDescriptorSet:
    with tempfile.TemporaryDirectory() as scratch:
        root, out = Path(scratch) / "in", Path(scratch) / "out"
        _write(root, MAIN, schema, schema_id)
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{root}", "--include_imports"]
        command += [f"--descriptor_set_out={out}", MAIN]
        try:
            done = subprocess.run(  # noqa: S603 - a registry's text, checked for its paths
                command, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise UnknownSchema(f"schema id {schema_id}: protoc is not done: {error}") from None
        if done.returncode:
            raise UnknownSchema(f"schema id {schema_id} is no Protobuf: {done.stderr.strip()}")
        return descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())


def _write(root: Path, name: str, schema: RegisteredSchema, schema_id: int) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise UnknownSchema(f"schema id {schema_id} refers to {name!r}, which is no import")
    if not name.startswith("google/protobuf/"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(schema.schema, "utf-8")
    for imported, one in schema.references.items():
        _write(root, imported, one, schema_id)


def _message_index(data: bytes) -> tuple[list[int], int]:
    """Which message of the file it is, and where it begins."""
    count, at = _zigzag(data, 0)
    if count == 0:
        return [0], at
    if not 0 < count <= 32:
        raise Malformed(f"a Protobuf message index of {count} places")
    index = []
    for _ in range(count):
        place, at = _zigzag(data, at)
        index.append(place)
    return index, at


def _zigzag(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at
    raise Malformed("the Protobuf message index is cut off")


def _at(top: list[Descriptor], index: list[int]) -> Descriptor:
    messages = top
    found: Descriptor | None = None
    for place in index:
        if not 0 <= place < len(messages):
            raise Malformed(f"the Protobuf message index {index} names no message of its schema")
        found = messages[place]
        messages = list(found.nested_types)
    if found is None:
        raise Malformed("no Protobuf message index")
    return found


def _fields(message: Message) -> dict[str, Any]:
    """By the names of the schema."""
    found = {field.name: _value(field, value) for field, value in message.ListFields()}
    for field in message.DESCRIPTOR.fields:
        if _zero_counts(field) and field.name not in found:
            found[field.name] = field.default_value
    return found


def _zero_counts(field: FieldDescriptor) -> bool:
    plain = not field.has_presence and not field.is_repeated
    return plain and field.cpp_type in _SCALAR_ZERO_COUNTS and field.name != "k"


def _value(field: FieldDescriptor, value: Any) -> Any:
    if not field.is_repeated:
        return _single(field, value)
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        of = kind.fields_by_name["value"]
        return {str(key): _single(of, value[key]) for key in value}
    return [_single(field, one) for one in value]


def _single(field: FieldDescriptor, value: Any) -> Any:
    if field.enum_type is not None:
        named = field.enum_type.values_by_number.get(value)
        return value if named is None else named.name
    if field.message_type is None:
        return value
    if field.message_type.full_name == "google.protobuf.Timestamp":
        return value.ToJsonString()
    if field.message_type.file.name == _WRAPPERS:
        return value.value
    return _fields(value)
