"""Avro schemas of strangers, from a schema registry, before anything is read with them.

Knows what a schema may do to whoever reads with it. Does not know where schemas come from
(``infra.wire.schema_registry``) or what is read (``infra.wire.codec``).

fastavro's reader is C: a schema that contains itself recurses as deep as the message says
(or, without a union in between, for ever) and takes the process with it; an array of
elements of no bytes is as long as its count says. Neither is of use in an event, so both are
refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import fastavro
from fastavro.read import LOGICAL_READERS

from streamrec.errors import UnknownSchema
from streamrec.infra.wire.schema_registry import RegisteredSchema

_UNPARSABLE = (
    fastavro.schema.SchemaParseException,
    fastavro.schema.UnknownType,
    AttributeError,
    IndexError,
    KeyError,
    RecursionError,
    TypeError,
    ValueError,
)
VALUE = "value"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _nanoseconds(value: int, *_: Any) -> datetime:
    """As fastavro reads the coarser ones. Raises OverflowError."""
    return _EPOCH + timedelta(microseconds=value // 1000)


LOGICAL_READERS["long-timestamp-nanos"] = _nanoseconds
LOGICAL_READERS["long-local-timestamp-nanos"] = _nanoseconds
LOGICAL_READERS["fixed-uuid"] = lambda value, *_: UUID(bytes=value)

_NAMED = ("record", "error", "enum", "fixed")


def parsed(schema: Any, schema_id: int, references: Mapping[str, RegisteredSchema] = {}) -> Any:
    """A record of one field, ``VALUE``, with the schema as its type: bytes are the same, and every
    referred name is known in it. Raises UnknownSchema."""
    named: dict[str, Any] = {}
    walk = _Walk(schema_id)
    try:
        for one in dict(_depth_first(references)).values():
            walk.look(fastavro.parse_schema(one, named), ())
        field = {"name": VALUE, "type": schema}
        whole = {"type": "record", "name": "streamrec_foreign", "fields": [field]}
        found = fastavro.parse_schema(whole, named)
        walk.look(found, ())
    except _UNPARSABLE as error:
        raise UnknownSchema(f"schema id {schema_id} is not Avro: {error!r}") from None
    return found


def _depth_first(references: Mapping[str, RegisteredSchema]) -> Iterator[tuple[str, Any]]:
    """What has to be known before the schema itself, innermost first."""
    for name, one in references.items():
        yield from _depth_first(one.references)
        yield name, one.schema


class _Walk:
    """Through a parsed schema; ``inside``: full names of the records around."""

    def __init__(self, schema_id: int) -> None:
        self._id = schema_id
        self._known: dict[str, Any] = {}

    def look(self, schema: Any, inside: tuple[str, ...]) -> bool:
        """Whether a value may have no bytes at all."""
        if isinstance(schema, list):
            for branch in schema:
                self.look(branch, inside)
            return False
        if isinstance(schema, str):
            return self._by_name(schema, inside)
        kind = schema["type"]
        if kind in _NAMED:
            return self._named(schema, kind, inside)
        if kind == "array":
            if self.look(schema["items"], inside):
                raise UnknownSchema(f"schema id {self._id} has an array of nothing")
            return False
        if kind == "map":
            self.look(schema["values"], inside)
            return False
        return self.look(kind, inside)

    def _named(self, schema: Any, kind: str, inside: tuple[str, ...]) -> bool:
        name = schema["name"]
        self._known[name] = schema
        if kind == "enum":
            return False
        if kind == "fixed":
            return bool(schema["size"] <= 0)
        fields = [self.look(field["type"], (*inside, name)) for field in schema["fields"]]
        return all(fields)

    def _by_name(self, name: str, inside: tuple[str, ...]) -> bool:
        if name in inside:
            raise UnknownSchema(f"schema id {self._id}: {name} contains itself")
        if name in self._known:
            return self.look(self._known[name], inside)
        return name == "null"
