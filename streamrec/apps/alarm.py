"""The alarm on the population in the trainer's process, put together."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streamrec.apps.live import release_service
from streamrec.apps.worker_context import WorkerContext
from streamrec.loop.background import Background
from streamrec.loop.training.alarm import ACT_EVERY_S, ACTOR, PromotionAlarm
from streamrec.tasks.ranking.drift import ShiftRules, ShiftWatch
from streamrec.tasks.ranking.traffic import CategoriesOf

log = logging.getLogger(__name__)

MEMORY_FILE = "alarm.json"


def promotion_alarm(
    context: WorkerContext, categories_of: CategoriesOf
) -> tuple[PromotionAlarm, list[Background]]:
    """The alarm and the threads to be started; none where it is switched off."""
    settings = context.settings
    given = settings.alarm
    rules = ShiftRules(given.window, given.reference, calm=given.calm)
    memory = context.state_dir / MEMORY_FILE
    watch = ShiftWatch(rules, categories_of)
    _restore(watch, memory)
    service = release_service(context, ACTOR)
    alarm = PromotionAlarm(
        watch, service.state, service.pin, service.unpin, lambda record: _keep(memory, record)
    )
    if not rules.window:
        return alarm, []
    return alarm, [Background("alarm", alarm.act, ACT_EVERY_S, context.stop)]


def _keep(path: Path, record: Mapping[str, Any]) -> None:
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps(record), encoding="utf-8")
    aside.replace(path)


def _restore(watch: ShiftWatch, path: Path) -> None:
    """What is usual may be forgotten: it is learned again in some minutes."""
    try:
        watch.load(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("what traffic is usual is learned anew: %s cannot be read: %s", path, error)
