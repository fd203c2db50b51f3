"""How long it takes from a click until a generation answers that was trained on it.

Knows clicks by their place in the topic ``events``, and what a champion was trained through.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping

PARTS = ("batch", "learn", "wait", "judge", "stage", "activate")
"""Of the way, in order; see ``loop.training.freshness``."""


class ClickFreshness:
    """Clicks wait here for a champion that has learned them."""

    def __init__(self, most: int | None = None) -> None:
        """``most``: clicks of a partition that are remembered, the newest; None: all of them."""
        self._untrained: dict[int, deque[tuple[int, int]]] = defaultdict(lambda: deque(maxlen=most))

    def clicked(self, partition: int, offset: int, at_ms: int) -> None:
        """An accepted event is on its topic; of a partition in the order of offsets."""
        self._untrained[partition].append((offset, at_ms))

    def trained(self, at_ms: int, through: Mapping[str, int]) -> list[float]:
        """A champion answers since ``at_ms``; seconds since each click that none before it knew.

        ``through``: source partition (as text) -> next offset that it was not trained on.
        """
        found = []
        for partition, clicks in self._untrained.items():
            end = through.get(str(partition), 0)
            while clicks and clicks[0][0] < end:
                found.append((at_ms - clicks.popleft()[1]) / 1000)
        return found

    @property
    def waiting(self) -> int:
        """Clicks that no champion has been trained on so far."""
        return sum(map(len, self._untrained.values()))


def parts_in_words(parts_s: Iterable[tuple[str, float]]) -> str:
    return ", ".join(f"{part} {took_s:.1f}" for part, took_s in parts_s)
