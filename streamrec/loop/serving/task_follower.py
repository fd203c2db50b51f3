"""Another task's generations, followed in a worker whose answers use its champion.

Knows which threads that takes and that the task's fleet is told. Does not know what the champion is
used for: whoever answers looks at ``HotSwap.active``.

    control   follows the control log
    loader    loads generations, reads new and changed items, flips
    beat      tells the task's fleet, from its first generation on
"""

from __future__ import annotations

import threading
from dataclasses import replace

from streamrec.loop.background import Background
from streamrec.loop.serving.generation_follower import GenerationFollower
from streamrec.ports import Clock, ControlLog, Fleet, WorkerStatus

CONTROL_POLL_S = 0.2
LOAD_EVERY_S = 0.5
BEAT_EVERY_S = 1.0


class TaskFollower:
    """Runs while its ``threads`` do. ``identity``: of this worker, as one of the task."""

    def __init__(
        self,
        control: ControlLog,
        fleet: Fleet,
        follower: GenerationFollower,
        *,
        clock: Clock,
        identity: WorkerStatus,
        stop: threading.Event,
    ) -> None:
        self._control, self._fleet, self._clock = control, fleet, clock
        self._follower, self._identity = follower, identity
        task = identity.task
        self._loader = Background(f"{task}-loader", self._load, LOAD_EVERY_S, stop)
        self._beats = Background(f"{task}-beat", self._beat, BEAT_EVERY_S, stop)
        control_thread = Background(f"{task}-control", self._follow, 0.0, stop)
        self.threads = (self._loader, self._beats, control_thread)
        follower.on_change(self._beats.wake)

    def leave(self) -> None:
        """Be gone from the task's fleet at once."""
        self._fleet.leave(self._identity.worker_id)

    def _follow(self) -> None:
        record = self._control.poll(CONTROL_POLL_S)
        if record is not None:
            self._follower.follow(record)
            self._loader.wake()

    def _load(self) -> None:
        self._follower.prepare()
        self._follower.flip()

    def _beat(self) -> None:
        if self._follower.wanted.revision:  # a task that nobody trains has no fleet
            now_ms, report = self._clock.now_ms(), self._follower.report()
            self._fleet.beat(replace(self._identity, beat_at_ms=now_ms, **report))
