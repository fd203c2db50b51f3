"""Envelopes around a row: Kafka Connect's ``schema``/``payload``, Debezium's ``before``/``after``.

Knows what a change of a row in somebody's database means here. Does not know what a row must hold
(``infra.wire.values``), nor in which encoding it came.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from streamrec.errors import InvalidField, Malformed, UnknownSchema

_CONNECT = {"schema", "payload"}
_UPSERT, _DELETE = ("c", "r", "u"), "d"  # create, read (a snapshot's), update
_DELETED = ("true", True)
_DAY_0 = date(1970, 1, 1)


class Row(NamedTuple):
    """``removed``: the row is gone; then ``fields`` are what is left of it, perhaps nothing."""

    fields: Mapping[str, Any]
    removed: bool = False


def row(found: Any) -> Row:
    """What is inside of every envelope. Raises Refused."""
    found = payload(found)
    if found is None:  # Connect's tombstone, with its schema
        return Row({}, removed=True)
    if not isinstance(found, Mapping):
        raise UnknownSchema(f"the value, {found!r:.40}, is not a record or an object with fields")
    if isinstance(found.get("op"), str) and ("after" in found or "before" in found):
        return _change(found)
    removed = found.get("__deleted") in _DELETED or found.get("__op") == _DELETE
    return Row(found, removed)


def payload(found: Any) -> Any:
    """What is inside of Connect's envelope, its decimals, dates and bytes decoded."""
    if isinstance(found, Mapping) and set(found) == _CONNECT:
        return _connect(found["schema"], found["payload"])
    return found


def _change(found: Mapping[str, Any]) -> Row:
    """Debezium's."""
    op = found["op"]
    if op == _DELETE:
        return Row(found.get("before") or {}, removed=True)
    if op not in _UPSERT:
        raise InvalidField(f"op is {op!r}; expected one of {', '.join(_UPSERT)}, {_DELETE}")
    after = found.get("after")
    if not isinstance(after, Mapping):
        raise InvalidField(f"after is {after!r}; expected the row, because op is {op!r}")
    return Row(after)


def _connect(schema: Any, value: Any) -> Any:
    """A value of JsonConverter's by its schema; as it is where the schema says nothing."""
    if value is None or not isinstance(schema, Mapping):
        return value
    kind = schema.get("type")
    if kind == "struct" and isinstance(value, Mapping):
        fields = {field.get("field"): field for field in _objects(schema.get("fields"))}
        return {key: _connect(fields.get(key), one) for key, one in value.items()}
    if kind == "array" and isinstance(value, list):
        return [_connect(schema.get("items"), one) for one in value]
    if kind == "map" and isinstance(value, Mapping):
        return {key: _connect(schema.get("values"), one) for key, one in value.items()}
    return _connect_scalar(schema, value)


def _connect_scalar(schema: Mapping[str, Any], value: Any) -> Any:
    name = schema.get("name")
    if schema.get("type") == "bytes" and isinstance(value, str):
        return _bytes(schema, name, value)
    if name == "org.apache.kafka.connect.data.Date" and isinstance(value, int):
        return _DAY_0 + timedelta(days=min(value, 2_000_000))
    return value


def _bytes(schema: Mapping[str, Any], name: Any, value: str) -> bytes | Decimal:
    try:
        data = base64.b64decode(value, validate=True)
        if name != "org.apache.kafka.connect.data.Decimal":
            return data
        scale = int((schema.get("parameters") or {}).get("scale", 0))
    except (binascii.Error, ValueError, TypeError, AttributeError) as error:
        raise Malformed(f"{value[:40]!r} is not what its schema says: {error}") from None
    return Decimal(int.from_bytes(data[:64], "big", signed=True)).scaleb(-scale)


def _objects(found: Any) -> list[Mapping[str, Any]]:
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []
