"""Messages of several topics put into the order of their timestamps.

Topics are read at different moments: each message is held back for a moment, so that what was
written before it and is read after it can overtake.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Generic, TypeVar

Held = TypeVar("Held")

HELD_BACK_MS = 1_000


class TimeOrder(Generic[Held]):
    """``put`` them as they come, take them ``until`` a moment that is old enough."""

    def __init__(self) -> None:
        self._held: list[tuple[int, int, Held]] = []
        self._received = 0

    def put(self, at_ms: int, message: Held) -> None:
        self._received += 1
        heapq.heappush(self._held, (at_ms, self._received, message))

    def until(self, at_ms: int) -> Iterator[Held]:
        """Everything written up to then; of the same time, as it was read."""
        while self._held and self._held[0][0] <= at_ms:
            yield heapq.heappop(self._held)[2]
