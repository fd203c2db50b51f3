"""How old an event is when a generation that has learned it begins to answer.

Knows what was learned since the last generation that was released, and when its events came.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from streamrec.core.examples import Example

REMEMBERED = 20_000
"""Examples that no generation answers with yet; of more, the oldest are forgotten."""


class Freshness:
    """Of one trainer's process: what it learned before is in no measure."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)

    def learned(self, batch: int, examples: Sequence[Example]) -> None:
        """From the mini-batch at this offset; mini-batches come in order."""
        self._waiting.extend((batch, example.produced_at_ms) for example in examples)

    def ages_s(self, next_batch: int, now_ms: int) -> list[float]:
        """Of what was learned from the mini-batches before ``next_batch``, once, in seconds."""
        ages = []
        while self._waiting and self._waiting[0][0] < next_batch:
            ages.append((now_ms - self._waiting.popleft()[1]) / 1000)
        return ages

    def forget(self) -> None:
        """The learner went back: what it had learned since is void."""
        self._waiting.clear()
