"""The topic of mini-batches as a list."""

from __future__ import annotations

from streamrec.core.examples import TrainingBatch
from streamrec.errors import Refused, Unavailable, UserError
from streamrec.ports import DeliveredBatch


class FakeBatchFeed:
    """``log`` holds batches or refusals; ``begins`` moves up as retention takes the oldest."""

    def __init__(self, log: list[TrainingBatch | Refused] | None = None) -> None:
        self.log: list[TrainingBatch | Refused] = log if log is not None else []
        self.begins = 0
        self.down = False
        self.traceparent = ""
        self._position = 0

    def seek(self, offset: int) -> int:
        self._reachable()
        if offset > len(self.log):
            raise UserError("the topic was made anew")
        self._position = max(offset, self.begins)
        return self._position

    def poll(self, timeout_s: float, limit: int) -> list[DeliveredBatch]:
        self._reachable()
        start, self._position = self._position, min(self._position + limit, len(self.log))
        return [
            DeliveredBatch(offset, b"k", b"raw %d" % offset, self.log[offset], self.traceparent)
            for offset in range(start, self._position)
        ]

    def lag(self) -> int:
        self._reachable()
        return len(self.log) - self._position

    def _reachable(self) -> None:
        if self.down:
            raise Unavailable("Kafka is away", 0.01)
