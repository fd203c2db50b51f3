"""How a task's examples travel: Avro, in batches that name their schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streamrec.core.examples import Example, ForgetMark


@dataclass(frozen=True, slots=True)
class ExampleFormat:
    """How a task's examples travel: Avro, in batches.

    ``feature_set``: a digest of what examples say; a trainer refuses those of another.
    ``versions``: schemas of a batch, today's last. ``to_fields`` and
    ``from_fields``: one example to and from the fields of its schema; the second raises
    InvalidField.
    """

    feature_set: str
    versions: Sequence[Mapping[str, Any]]
    to_fields: Callable[[Any], dict[str, Any]]
    from_fields: Callable[[Mapping[str, Any]], Example]


Place = Mapping[str, Any]
"""``partition``, ``offset``, ``index``, ``user_id`` and ``produced_at_ms`` of an example."""

_PLACE = {
    "partition": "int",
    "offset": "long",
    "index": "int",
    "user_id": "string",
    "produced_at_ms": "long",
}


def example_format(
    task: str,
    feature_set: str,
    fields: Mapping[str, Any],
    say: Callable[[Any], Mapping[str, Any]],
    make: Callable[[Place, Mapping[str, Any]], Example],
) -> ExampleFormat:
    """The format of examples that have ``fields`` (name -> Avro type) beside their place.

    ``say``: an example's fields; ``make``: an example of its place and its fields, raises
    InvalidField. Marks to forget somebody travel among them without either.
    """

    def to_fields(example: Example) -> dict[str, Any]:
        place = {name: getattr(example, name) for name in _PLACE}
        if isinstance(example, ForgetMark):
            return {**place, "asked_at_ms": example.asked_at_ms, "says": None}
        return {**place, "asked_at_ms": None, "says": dict(say(example))}

    def from_fields(found: Mapping[str, Any]) -> Example:
        place = {name: found[name] for name in _PLACE}
        if found["says"] is None:
            return ForgetMark(**place, asked_at_ms=found["asked_at_ms"] or 0)
        return make(place, found["says"])

    schema = _batch_schema(task.replace("-", "_"), fields)
    return ExampleFormat(feature_set, [schema], to_fields, from_fields)


def _batch_schema(name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    says = _record(f"{name}_says", fields)
    example = {**_PLACE, "asked_at_ms": ["null", "long"], "says": ["null", says]}
    batch = {
        "partition": "int",
        "from_offset": "long",
        "to_offset": "long",
        "feature_set": "string",
        "examples": {"type": "array", "items": _record(f"{name}_example", example)},
    }
    return {"namespace": "streamrec", **_record(f"{name}_training_batch", batch)}


def _record(name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    listed = [{"name": field, "type": kind} for field, kind in fields.items()]
    return {"type": "record", "name": name, "fields": listed}
