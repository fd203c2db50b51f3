"""values.schema.json: a value that does not exist, or cannot be, is refused by helm itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from streamrec.settings.names import SettingName, every
from tests.chart.files import CHART

Schema = dict[str, Any]
FILES = ("file", "files")
GIVEN = {
    "state_dir",
    "registry_url",
    "gateway_host",
    "gateway_port",
    "metrics_host",
    "metrics_port",
}
"""Settings that the chart decides by values of its own."""
KINDS: Mapping[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}
REFERENCE: Schema = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "key"],
    "properties": {"name": {"type": "string", "minLength": 1}, "key": {"type": "string"}},
}
NARROWED: Mapping[str, Schema] = {
    "image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "gateway.service.type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
    "trainer.gpu.count": {"maximum": 1},
    "copy.gpu.count": {"maximum": 1},
    "repliesTrainer.gpu.count": {"maximum": 1},
    "replies.replicas": {"minimum": 1},
    "features.replicas": {"minimum": 1},
    "serving.replicas": {"minimum": 1},
    "gateway.replicas": {"minimum": 1},
    "features.autoscaling.minReplicas": {"minimum": 1},
    "serving.autoscaling.minReplicas": {"minimum": 1},
    "monitoring.port": {"minimum": 1024, "maximum": 65535},
}


def schema_file() -> str:
    """Of the values' own shape, and of the settings of streamrec."""
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", **_of(values, "")}
    return json.dumps(schema, indent=1) + "\n"


def by_file(name: SettingName) -> bool:
    """Whether its value is mounted: a secret, or the name of a file."""
    return name.secret or name.key.endswith(FILES)


def _of(value: Any, path: str) -> Schema:
    last = path.rpartition(".")[2]
    if last == "settings":
        return _settings(required=path == last)
    if last == "secrets":
        return _secrets()
    if isinstance(value, dict):
        return _object(value, path)
    if isinstance(value, list):
        return {"type": "array"}
    kind: Schema = {"type": KINDS[type(value)]}
    if kind["type"] == "integer":
        kind["minimum"] = 0
    if path.endswith("maxUnavailable"):
        kind = {"type": ["integer", "string"]}
    return kind | NARROWED.get(path, {})


def _object(value: Mapping[str, Any], path: str) -> Schema:
    free = not value or path.rpartition(".")[2] in {
        "resources",
        "podSecurityContext",
        "containerSecurityContext",
    }
    if free:
        return {"type": "object"}
    inside = {key: _of(each, f"{path}.{key}".lstrip(".")) for key, each in value.items()}
    if not path:  # helm hands these to every chart that is part of another
        inside["global"] = {"type": "object"}
    return {"type": "object", "additionalProperties": False, "properties": inside}


def _settings(*, required: bool) -> Schema:
    groups: dict[str, Schema] = {}
    for name in every():
        if by_file(name) or name.key in GIVEN:
            continue
        fields = groups.setdefault(name.group, {})
        fields[name.field.name] = _setting(name)
    if required:
        groups["kafka"]["bootstrap"]["minLength"] = 1
        groups["redis"]["url"]["minLength"] = 1
    properties = groups.pop("") | {
        group: {"type": "object", "additionalProperties": False, "properties": fields}
        for group, fields in groups.items()
    }
    if required:
        properties["kafka"]["required"] = ["bootstrap"]
        properties["redis"]["required"] = ["url"]
    return {"type": "object", "additionalProperties": False, "properties": properties} | (
        {"required": ["kafka", "redis"]} if required else {}
    )


def _setting(name: SettingName) -> Schema:
    least, most = name.field.metadata["least"], name.field.metadata["most"]
    limits = {"minimum": least} if least is not None else {}
    limits |= {"maximum": most} if most is not None else {}
    if issubclass(name.kind, Enum):
        limits = {"enum": [each.value for each in name.kind]}
    if name.key == "redis_url":
        limits = {"pattern": "^[^@]*$"}
    kind = "string" if issubclass(name.kind, Enum | Path) else KINDS[name.kind]
    return {"type": kind, "description": name.field.metadata["doc"], **limits}


def _secrets() -> Schema:
    named = {name.key: REFERENCE for name in every() if by_file(name)}
    return {"type": "object", "additionalProperties": False, "properties": named}
