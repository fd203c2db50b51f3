"""How long each swap kept a serving worker from answering, and what the way to it was made of, as
the workers measured it.

A worker tells its latest pause and how many swaps it has made; several within one beat show
as the last of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from streamrec.core.measures.freshness import PARTS
from streamrec.ports import FRESH, WorkerStatus


class SwapPauses:
    """Gathers ``pauses_ms`` from the workers' statuses."""

    def __init__(self) -> None:
        self.pauses_ms: list[float] = []
        self._parts: dict[tuple[float, ...], None] = {}  # of each activation, in order
        self._swaps: dict[str, float] = {}

    def sample(self, workers: Iterable[WorkerStatus]) -> None:
        """Call at least as often as workers beat."""
        for worker in workers:
            swaps = worker.gauges.get("swaps", 0.0)
            if swaps > self._swaps.get(worker.worker_id, 0.0):
                self.pauses_ms.append(worker.gauges["swap_pause_ms"])
            self._swaps[worker.worker_id] = swaps
            parts = tuple(worker.gauges.get(FRESH + part, -1.0) for part in PARTS)
            if min(parts) >= 0:
                self._parts[parts] = None

    @property
    def parts_s(self) -> dict[str, float]:
        """Of an event's way to an active generation: the mean over activations."""
        columns = zip(*self._parts, strict=True)
        return {p: round(sum(c) / len(c), 2) for p, c in zip(PARTS, columns, strict=False)}
