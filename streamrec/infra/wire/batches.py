"""Mini-batches on the wire: an envelope that is the same for every task, and its examples.

A task's examples have a schema of their own; Avro's single-object encoding names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from streamrec.core import tasks, topics
from streamrec.core.examples import TrainingBatch
from streamrec.ports import EXAMPLE, ExampleFormat

Fields = Mapping[str, Any]


class BatchShape(NamedTuple):
    """``infra.wire.values.Shape`` of a task's batches."""

    schema: str
    format: ExampleFormat
    json: bool = False

    @property
    def versions(self) -> Sequence[Any]:
        return self.format.versions

    def to_fields(self, value: Any) -> dict[str, Any]:
        return {
            "partition": value.partition,
            "from_offset": value.from_offset,
            "to_offset": value.to_offset,
            "feature_set": value.feature_set,
            "examples": [self.format.to_fields(example) for example in value.examples],
        }

    def from_fields(self, fields: Fields) -> TrainingBatch:
        examples = tuple(self.format.from_fields(example) for example in fields["examples"])
        return TrainingBatch(**{**fields, "examples": examples})


class ExampleShape(NamedTuple):
    """``infra.wire.values.Shape`` of one example by itself, as an outbox keeps it."""

    schema: str
    format: ExampleFormat
    json: bool = False

    @property
    def versions(self) -> Sequence[Any]:
        return [_example_schema(version) for version in self.format.versions]

    def to_fields(self, value: Any) -> dict[str, Any]:
        return self.format.to_fields(value)

    def from_fields(self, fields: Fields) -> Any:
        return self.format.from_fields(fields)


def batch_shapes(formats: Mapping[str, ExampleFormat]) -> dict[str, BatchShape | ExampleShape]:
    """By topic, or what stands for one: of every task in ``formats``."""
    shapes: dict[str, BatchShape | ExampleShape] = {}
    for task, form in formats.items():
        name = tasks.key("training_batch", task)
        shapes[topics.of_task(topics.TRAINING_BATCHES, task)] = BatchShape(name, form)
        shapes[topics.of_task(EXAMPLE, task)] = ExampleShape(tasks.key(EXAMPLE, task), form)
    return shapes


def _example_schema(batch: Any) -> Any:
    examples = next(field for field in batch["fields"] if field["name"] == "examples")
    return {"namespace": batch["namespace"], **examples["type"]["items"]}
