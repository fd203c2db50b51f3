"""Fields, types and defaults of every value, and since which version of its schema there are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import schemas
from tests.reference.markdown import code, page, table

INTRO = """\
Avro, in `schemas/`; what was written before stands in `schemas/history/`, and a test holds today's
schema to reading all of it: a new field has a default, no field changes its type. Which topic has
which: [topics](topics.md). On `events`, `items` and `requests` the same fields may come as JSON
([producing events](../producing-events.md)). *Since*: the version of the schema that brought the
field.
"""

Schema = Mapping[str, Any]


def schemas_page() -> str:
    """docs/reference/schemas.md"""
    return page("Schemas", INTRO, *(section(name) for name in schemas.NAMES))


def section(name: str) -> str:
    versions = schemas.history(name)
    today = schemas.load(name)
    head = f"## {name}\n\n{today['doc']}\n\n{versions_line(len(versions))}\n"
    return "\n".join([head, *(fields(record, versions) for record in records(today))])


def versions_line(count: int) -> str:
    return "One version so far." if count == 1 else f"Version {count}; every one is read."


def records(schema: Any) -> Iterator[Schema]:
    """The record and those inside of it, outermost first."""
    if isinstance(schema, list):
        for choice in schema:
            yield from records(choice)
    elif isinstance(schema, dict) and schema["type"] == "record":
        yield schema
        for field in schema["fields"]:
            yield from records(field["type"])
    elif isinstance(schema, dict):
        yield from records(schema.get("items", schema.get("values", "")))


def fields(record: Schema, versions: list[Any]) -> str:
    rows = [
        (
            code(field["name"]),
            type_name(field["type"]),
            code(json.dumps(field["default"])) if "default" in field else "required",
            since(record["name"], field["name"], versions),
            field.get("doc", ""),
        )
        for field in record["fields"]
    ]
    title = "" if record.get("namespace") else f"`{record['name']}`:\n\n"
    return title + table(("field", "type", "default", "since", "meaning"), rows)


def since(record: str, field: str, versions: list[Any]) -> int:
    """The first version, from 1, whose record of this name has the field."""
    having = (
        number
        for number, version in enumerate(versions, start=1)
        for found in records(version)
        if found["name"] == record and field in {one["name"] for one in found["fields"]}
    )
    return next(having)


def type_name(kind: Any) -> str:
    if isinstance(kind, list):
        return " or ".join(type_name(choice) for choice in kind)
    if isinstance(kind, str):
        return kind
    if kind["type"] == "enum":
        return "one of " + ", ".join(kind["symbols"])
    if kind["type"] in ("array", "map"):
        return f"{kind['type']} of {type_name(kind.get('items', kind.get('values')))}"
    return str(kind.get("name", kind["type"]))
