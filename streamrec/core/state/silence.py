"""Users of whom nothing has been heard for too long, by event time.

Such a user is new again. When the record goes is another matter: an event lets go of a few, those
silent for longest, so that a gap in the stream costs no event much. Both are a function of the log.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence

from streamrec.core.state.user_state import NEW_USER, UserState

REAPED = 4
"""Users, and items, that an event lets go of, at most."""


class Silence:
    """``keep_ms``: how long is too long; 0: nothing is. Mutable: the fold owns it."""

    def __init__(self, keep_ms: int) -> None:
        self.keep_ms = keep_ms
        self._due: list[tuple[int, str]] = []  # a heap: who may have to go, and when last seen

    def wanted(self, latest_ms: int, events: int) -> tuple[int, int] | None:
        """Of a run: ``begin`` wants users not seen after this time, the first so many."""
        return (
            (latest_ms - self.keep_ms, (REAPED + 1) * (events + REAPED)) if self.keep_ms else None
        )

    def begin(self, silent: Sequence[tuple[int, str]]) -> None:
        """A run; ``silent`` is in order, and so a heap."""
        self._due = list(silent)

    def heard_of(self, user_id: str, state: UserState) -> None:
        if self.keep_ms and state is not NEW_USER:
            heapq.heappush(self._due, (state.last_active_ms, user_id))

    def over(self, at_ms: int, watermark_ms: int) -> bool:
        """Whether what happened last at ``at_ms`` is forgotten by now."""
        return 0 < self.keep_ms <= watermark_ms - at_ms

    def reap(
        self, watermark_ms: int, users: Mapping[str, UserState], touched: Collection[str]
    ) -> Iterator[str]:
        """A few who have to go; ``touched``: those of ``users`` that this run has changed."""
        reaped = 0
        while reaped < REAPED and self._due and self.over(self._due[0][0], watermark_ms):
            seen_ms, user_id = heapq.heappop(self._due)
            state = users.get(user_id, NEW_USER)
            if user_id in touched and (state is NEW_USER or state.last_active_ms != seen_ms):
                continue  # seen again, or gone, in this very run
            reaped += 1
            yield user_id
