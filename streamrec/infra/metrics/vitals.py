"""Whether a process is alive, and whether it is ready for its work.

Written by the threads of a worker, read by the one that answers monitoring: each note is one
reference. Asks nobody: what is known comes from what the worker does anyway (its beat goes to
Redis, its watch of the brokers to Kafka). So no probe can load a server, or hang on it.

Alive is about this process alone: a worker that waits for Kafka is alive. Ready is about its work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from streamrec.core.release.live_report import LiveReport
from streamrec.ports import WorkerStatus

STUCK_S = 600.0
"""A main loop that has not come round for so long never will. A turn may take long: a trainer
encodes what is new in a catalogue in one."""

KAFKA, REDIS = "Kafka", "Redis"
SILENT_S = {KAFKA: 35.0, REDIS: 15.0}
"""Not heard of for so long, a server is away: one is asked every 10 s, the other every second."""


class Vitals:
    """Of one process. ``now_s``: a clock that never goes back."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._turned_s: float | None = None
        self._heard_s: dict[str, float] = {}
        self._away: dict[str, str] = dict.fromkeys(SILENT_S, "not reached yet")
        self.status: WorkerStatus | None = None  # as last told to the fleet
        self.noted: dict[str, float] = {}  # as the fleet's gauges, and not told to it
        self.live: LiveReport | None = None  # what users do with lists; in a trainer

    def turn(self) -> None:
        """The main loop has come round."""
        self._turned_s = self._now_s()

    def tell(self, status: WorkerStatus) -> None:
        """What the fleet is told."""
        self.status = status

    def note(self, **gauges: float) -> None:
        """What only monitoring is told."""
        self.noted = {**self.noted, **gauges}

    def reach(self, server: str) -> None:
        """``server`` has answered."""
        self._heard_s[server] = self._now_s()
        self._away.pop(server, None)

    def miss(self, server: str, why: object) -> None:
        """``server`` has not answered."""
        self._away[server] = str(why)

    @property
    def turning(self) -> bool:
        """Whether the main loop has ever come round; before that a process is starting."""
        return self._turned_s is not None

    def dead(self) -> str:
        """Why this process should be killed and started again; empty: it lives."""
        if self._turned_s is None:
            return ""
        silent_s = self._now_s() - self._turned_s
        if silent_s <= STUCK_S:
            return ""
        return f"its main loop has not come round for {silent_s:.0f} s"

    def unready(self) -> list[str]:
        """What it waits for; empty: it does its work."""
        return [*self._unreached(), *self._idle()]

    def _unreached(self) -> Iterator[str]:
        now_s = self._now_s()
        for server, limit_s in SILENT_S.items():
            why, heard_s = self._away.get(server), self._heard_s.get(server, now_s)
            if why is not None:
                yield f"{server}: {why}"
            elif now_s - heard_s > limit_s:
                yield f"{server}: not heard of for {now_s - heard_s:.0f} s"

    def _idle(self) -> Iterator[str]:
        status = self.status
        if status is None:
            yield "starting"
            return
        if status.role == "features" and not status.gauges.get("partitions"):
            yield "no partition is assigned to it"
        if status.role == "trainer" and not self.turning:
            yield "does not train yet: waits for its turn, or for the catalogue"
        if status.role == "serving" and status.active is None:
            refused = "; ".join(f"{name} is refused: {why}" for name, why in status.refused.items())
            yield f"no generation answers here yet{': ' if refused else ''}{refused}"
