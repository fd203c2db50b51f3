"""How long each swap kept a serving worker from answering, as the workers measured it.

A worker tells its latest pause and how many swaps it has made; several within one beat show
as the last of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from streamrec.ports import WorkerStatus


class SwapPauses:
    """Gathers ``pauses_ms`` from the workers' statuses."""

    def __init__(self) -> None:
        self.pauses_ms: list[float] = []
        self._swaps: dict[str, float] = {}

    def sample(self, workers: Iterable[WorkerStatus]) -> None:
        """Call at least as often as workers beat."""
        for worker in workers:
            swaps = worker.gauges.get("swaps", 0.0)
            if swaps > self._swaps.get(worker.worker_id, 0.0):
                self.pauses_ms.append(worker.gauges["swap_pause_ms"])
            self._swaps[worker.worker_id] = swaps
