"""Topics, rights and alerts, as the templates of the chart read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from streamrec.apps.local_loop import TRAINER
from streamrec.apps.rights import REPLYING, ROLES, WATCHER, Needs
from streamrec.core import tasks
from streamrec.core.topics import TOPICS
from streamrec.infra.wire.kafka import FRAME_BYTES

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "streamrec"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
HEAD = "# `python -m tests.chart` writes this; a test compares.\n"


def topics_file() -> str:
    """Every topic and how it is laid out (``core.topics``)."""
    rows = [
        {
            "name": topic.name,
            "compacted": topic.compacted,
            "onePartition": topic.one_partition,
            "frameBytes": 2 * FRAME_BYTES,
        }
        for topic in TOPICS
    ]
    return HEAD + yaml.safe_dump({"topics": rows}, sort_keys=False)


def rights_file() -> str:
    """What each role does (``apps.rights``), in the words of Strimzi."""
    writer = replace(REPLYING, group=tasks.key(str(REPLYING.group), tasks.REPLIES))
    of_tasks = {"copy": ROLES[TRAINER], "repliesTrainer": ROLES[TRAINER], "replies": writer}
    roles = {role: _rights(needs) for role, needs in {**ROLES, **of_tasks}.items()}
    whole = {"roles": roles, "watcher": _rights(WATCHER)["topics"]}
    return HEAD + yaml.safe_dump(whole, sort_keys=False)


def alerts_file() -> str:
    """The alerts as they are: a chart cannot read beyond its own folder."""
    return HEAD + ALERTS.read_text("utf-8")


def _rights(needs: Needs) -> Mapping[str, Any]:
    topics = [
        {"name": name, "operations": sorted(_words(given | {"DESCRIBE"}))}
        for name, given in needs.operations.items()
    ]
    return {"topics": topics} | ({"group": needs.group} if needs.group else {})


def _words(operations: set[str]) -> list[str]:
    return [operation.capitalize() for operation in operations]
