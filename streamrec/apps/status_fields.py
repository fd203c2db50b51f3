"""A look at the loop as JSON fields, on the command line and over HTTP. Connects to nothing.

Knows how feature workers report their clocks (``loop.ingesting.ingest.Ingest.clocks``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from streamrec.core.tasks import RANKING
from streamrec.loop.ingesting.ingest import CLOCKS

if TYPE_CHECKING:
    from streamrec.apps.status import ChampionStatus, LoopSnapshot, TaskSnapshot
    from streamrec.ports import WorkerStatus


def fields(before: LoopSnapshot, after: LoopSnapshot) -> dict[str, Any]:
    """A look as JSON fields; rates from the look before. ``champion``, ``live``: of ranking."""
    rates = rates_between(before, after)
    released = {one.task: _task_fields(one) for one in after.tasks}
    return {
        "at_ms": after.at_ms,
        "topics": [
            {
                "topic": flow.topic,
                "written": flow.written,
                "read": flow.read,
                "lag": flow.lag,
                "held": flow.held,
                "per_second": rates[flow.topic],
            }
            for flow in after.flows
        ],
        "misfit": after.misfit,
        "clocks": clocks(after.workers),
        "waiting": [
            {"source": str(one.source), "position": one.position, "why": one.on.why}
            for one in after.waiting
        ],
        "redis": list(after.stopped),
        **released[RANKING],
        "tasks": released,
        "workers": [_worker_fields(worker) for worker in after.workers],
        "memory": after.memory and asdict(after.memory) | {"full_in_s": after.memory.full_in_s},
    }


def _task_fields(one: TaskSnapshot) -> dict[str, Any]:
    champion, live = one.champion, one.live
    return {
        "champion": champion and _champion_fields(champion),
        "live": live and live.to_record(),
    }


def _champion_fields(champion: ChampionStatus) -> dict[str, Any]:
    state = champion.record.state
    return {
        "generation": state.champion,
        "staged": state.staged,
        "pinned": state.pin is not None,
        "pin": state.pin and asdict(state.pin),
        "canary": state.canary and asdict(state.canary),
        "revision": state.revision,
        "created_at_ms": champion.created_at_ms,
        "events_not_learned": champion.events_not_learned,
        "settings_changed": list(champion.settings_changed),
    }


def _worker_fields(worker: WorkerStatus) -> dict[str, Any]:
    return {
        "worker_id": worker.worker_id,
        "role": worker.role,
        "task": worker.task,
        "host": worker.host,
        "pid": worker.pid,
        "started_at_ms": worker.started_at_ms,
        "beat_at_ms": worker.beat_at_ms,
        "active": worker.active,
        "staged": worker.staged,
        "canary": worker.canary,
        "refused": dict(worker.refused),
        "revision": worker.revision,
        "gauges": dict(worker.gauges),
        "levels": dict(worker.levels),
    }


def clocks(workers: Iterable[WorkerStatus]) -> list[dict[str, Any]]:
    """By partition: its event time, and what was not believed, as JSON fields."""
    found: dict[int, dict[str, int]] = defaultdict(dict)
    for worker in workers:
        for name, value in worker.gauges.items():
            if name.startswith(CLOCKS):
                _, partition, what = name.split("/")
                found[int(partition)][what] = int(value)
    return [{"partition": number, **found[number]} for number in sorted(found)]


def rates_between(before: LoopSnapshot, after: LoopSnapshot) -> dict[str, float]:
    """Messages a second, by topic."""
    seconds = max(1e-3, (after.at_ms - before.at_ms) / 1000)
    earlier = {flow.topic: flow.written for flow in before.flows}
    return {
        flow.topic: round((flow.written - earlier[flow.topic]) / seconds, 1) for flow in after.flows
    }
