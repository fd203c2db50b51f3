"""A fleet in memory, whose clock the test turns."""

from __future__ import annotations

from collections.abc import Iterator

from streamrec.errors import Unavailable
from streamrec.ports import WorkerStatus


class FakeFleet:
    """Statuses live ``ttl_s`` of ``elapsed_s``; ``down`` makes every call but ``leave`` raise.

    ``task``: whose workers are told of; None: everybody.
    """

    def __init__(self, ttl_s: float = 10.0, *, task: str | None = None) -> None:
        self.task = task
        self.ttl_s = ttl_s
        self.elapsed_s = 0.0
        self.down = False
        self.beats: list[WorkerStatus] = []
        self._alive: dict[str, tuple[float, WorkerStatus]] = {}

    def beat(self, status: WorkerStatus) -> None:
        self._reachable()
        self.beats.append(status)
        self._alive[status.worker_id] = (self.elapsed_s, status)

    def leave(self, worker_id: str) -> None:
        if not self.down:
            self._alive.pop(worker_id, None)

    def workers(self) -> Iterator[WorkerStatus]:
        self._reachable()
        alive = sorted(self._alive.items())
        return iter(
            [
                status
                for _, (at, status) in alive
                if self.elapsed_s - at < self.ttl_s and self.task in (None, status.task)
            ]
        )

    def _reachable(self) -> None:
        if self.down:
            raise Unavailable("the fleet is away", 0.01)
