"""JSON as it is found: behind blanks, a byte order mark, or in UTF-16.

Knows how JSON text begins, and what else a message may begin with that is no encoding we read.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any

import orjson

from streamrec.errors import Malformed

_LONG_NUMBER = re.compile(rb"[0-9]{20}")
_BLANKS = b" \t\r\n"
_UTF_16 = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_UTF_16 |= {b"{\x00": "utf-16-le", b"\x00{": "utf-16-be"}

_SEEN: dict[bytes, str] = {
    b'"': "a JSON text, not an object: whoever made it a text wrote it twice; with Kafka Connect, "
    "value.converter=org.apache.kafka.connect.storage.StringConverter sends it as it is",
    b"[": "a JSON array: send each of its objects as a message",
    b"Struct{": "a Struct as text: with Kafka Connect, "
    "value.converter=org.apache.kafka.connect.json.JsonConverter and "
    "value.converter.schemas.enable=false",
    b"Obj\x01": "an Avro file: send its records, each in single-object encoding",
    b"\xac\xed\x00\x05": "a serialised Java object: set value.serializer to one of JSON or Avro",
    b"\x03\x00": "AWS Glue's framing, which is not read: set value.converter to one of JSON",
    b"\x03\x05": "AWS Glue's framing, which is not read: set value.converter to one of JSON",
    b"\x1f\x8b": "gzip: let the producer compress, by compression.type=gzip",
    b"\x28\xb5\x2f\xfd": "zstd: let the producer compress, by compression.type=zstd",
    b"<": "XML: set value.converter or value.serializer to one of JSON or Avro",
}
_ELSE = (
    "expected Avro single-object encoding (c3 01), Confluent framing (00) or a JSON object ({); "
    "with Kafka Connect, value.converter=org.apache.kafka.connect.json.JsonConverter"
)


def json_text(data: bytes) -> bytes | None:
    """The JSON object in ``data`` as UTF-8; none when it does not begin like one."""
    if data[:1] == b"{" and data[1:2] != b"\x00":
        return data
    found = data.removeprefix(codecs.BOM_UTF8).lstrip(_BLANKS)
    if found[:1] == b"{" and found[1:2] != b"\x00":
        return found
    encoding = _UTF_16.get(data[:2])
    if encoding is None or (encoding == "utf-16-be" and data[2:3] != b"\x00"):
        return None
    try:
        return data.decode(encoding).strip().encode()
    except UnicodeError:
        return None


def parsed_json(text: bytes) -> Any:
    """Any JSON value, whole numbers with all their digits. Raises Malformed."""
    try:
        found = orjson.loads(text)
        if _LONG_NUMBER.search(text):  # orjson reads a whole number beyond 64 bits as a float
            found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON: {error}") from None
    return found


def unreadable(data: bytes) -> Malformed:
    """What this looks like, and what would be read."""
    start = data.removeprefix(codecs.BOM_UTF8).lstrip(_BLANKS)
    told = next((told for begin, told in _SEEN.items() if start.startswith(begin)), _ELSE)
    return Malformed(f"starts with {data[:2].hex(' ') or 'nothing'}; {told}")
