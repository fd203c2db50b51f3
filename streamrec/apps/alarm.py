"""The alarm on the population in the trainer's process, put together."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streamrec.apps.live import release_service
from streamrec.apps.worker_context import WorkerContext
from streamrec.loop.training.alarm import ACTOR, PromotionAlarm
from streamrec.ports import TrafficWatch

log = logging.getLogger(__name__)

MEMORY_FILE = "alarm.json"


def promotion_alarm(context: WorkerContext, watch: TrafficWatch) -> PromotionAlarm:
    """What acts on it must be run about once in ``ACT_EVERY_S``."""
    memory = context.state_dir / MEMORY_FILE
    _restore(watch, memory)
    service = release_service(context, ACTOR)
    return PromotionAlarm(
        watch, service.state, service.pin, service.unpin, lambda record: _keep(memory, record)
    )


def _keep(path: Path, record: Mapping[str, Any]) -> None:
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps(record), encoding="utf-8")
    aside.replace(path)


def _restore(watch: TrafficWatch, path: Path) -> None:
    """What is usual may be forgotten: it is learned again in some minutes."""
    try:
        watch.load(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("what traffic is usual is learned anew: %s cannot be read: %s", path, error)
