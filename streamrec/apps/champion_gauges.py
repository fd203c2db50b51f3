"""In the trainer's process: how far the champion is behind, and who changes the registry.

For monitoring alone: nothing is decided by it.
"""

from __future__ import annotations

from collections.abc import Callable

from streamrec.apps import clients
from streamrec.apps.worker_context import WorkerContext
from streamrec.core import topics
from streamrec.core.events import Source
from streamrec.core.release.manifest import Manifest
from streamrec.core.release.registry import ControlRecord
from streamrec.loop.background import Background
from streamrec.loop.releasing.guard import ACTOR, CLICK_ACTOR
from streamrec.loop.releasing.release import CANARY_ACTOR
from streamrec.loop.training.alarm import ACTOR as ALARM_ACTOR
from streamrec.ports import Counted

LOOK_EVERY_S = 5.0
BY_THEMSELVES = frozenset({ACTOR, CLICK_ACTOR, CANARY_ACTOR, ALARM_ACTOR})
"""Who changes the registry without a person."""


class ChampionGauges:
    """``look`` again and again, in one thread."""

    def __init__(self, context: WorkerContext, champion: Callable[[], str | None]) -> None:
        self._context, self._champion = context, champion
        self._known: tuple[str, Manifest] | None = None

    def look(self) -> None:
        """Note how many applied events the champion has not learned. Raises Unavailable."""
        generation, context = self._champion(), self._context
        manifest = self._manifest(generation) if generation else None
        if manifest is None:
            return
        learned, behind = manifest.trained_through, 0
        for partition in range(context.partitions[topics.EVENTS]):
            position = context.store.position(Source(topics.EVENTS, partition))
            behind += max(0, position - learned.get(str(partition), 0))
        context.vitals.note(events_behind=behind, champion_created_ms=manifest.created_at_ms)

    def _manifest(self, generation: str) -> Manifest | None:
        if self._known is not None and self._known[0] == generation:
            return self._known[1]
        found = clients.manifest(self._context.settings, generation, self._context.task)
        self._known = (generation, found) if found else None
        return found


def champion_gauges(context: WorkerContext, champion: Callable[[], str | None]) -> Background:
    """The thread that keeps them."""
    gauges = ChampionGauges(context, champion)
    return Background("champion", gauges.look, LOOK_EVERY_S, context.stop)


def noted(
    note: Callable[[ControlRecord], object], context: WorkerContext
) -> Callable[[ControlRecord], None]:
    """As ``note``; what is decided from now on is counted too."""
    since_ms, meter = context.clock.now_ms(), context.meter

    def observe(record: ControlRecord) -> None:
        note(record)
        if record.at_ms >= since_ms:
            by = record.actor if record.actor in BY_THEMSELVES else "other"
            meter.count(Counted.CONTROL_RECORDS, action=record.action, by=by)

    return observe
