"""The Avro schemas of every topic value, as package data.

Knows the files: ``<name>.avsc`` is what we write today, ``history/<name>/<n>.avsc`` what we
wrote before (today's included) and therefore must always be able to read.
Does not know Avro: ``streamrec.infra.wire.codec`` parses them.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

NAMES = (
    "item",
    "event",
    "user_update",
    "request",
    "training_batch",
    "adapter",
    "recommendation",
    "reply",
    "dead_letter",
)


def load(name: str) -> dict[str, Any]:
    """The schema we write today, as parsed JSON."""
    schema: dict[str, Any] = json.loads((files(__package__) / f"{name}.avsc").read_text("utf-8"))
    return schema


def history(name: str) -> list[dict[str, Any]]:
    """Every version ever written, oldest first."""
    folder = files(__package__) / "history" / name
    found = sorted((f for f in folder.iterdir() if f.name.endswith(".avsc")), key=_number)
    return [json.loads(file.read_text("utf-8")) for file in found]


def _number(file: Any) -> int:
    return int(file.name.removesuffix(".avsc"))
