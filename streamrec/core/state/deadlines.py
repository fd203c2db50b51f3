"""When something a user was shown or told closes next, for every user of a partition.

Knows one time for each user who waits for an outcome, which is all that is stored of it: the
views themselves are in the user's record. What costs is what changes: a time that moves is one
row, and only what is due is looked at.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from streamrec.core.state.event_clock import FUTURE_MS, STEP_MS
from streamrec.core.state.replies import OpenReply
from streamrec.core.state.user_state import Pending

OWN = "w/"
"""Prefix of the keys of its own rows; version 0.1 kept rows of others' deadlines under it."""

Waiting = Pending | OpenReply


class Deadlines:
    """Mutable: the fold owns it. A view closes ``window_ms`` after it was opened, a reply after it
    was said."""

    def __init__(self, window_ms: int) -> None:
        self._window_ms = max(1, window_ms)  # a deadline lies strictly ahead of the watermark
        self._next: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []  # those of ``_next``, and some that no longer hold
        self._touched: dict[str, None] = {}  # ordered set

    def deadline_ms(self, pending: Waiting, watermark_ms: int) -> int:
        """When it closes, as far as is known when the clock says ``watermark_ms``.

        One that was opened far ahead of the clock waits for the window by the clock; should the
        clock leap to where it was opened, by its own time. One opened in a far future that the
        clock has been brought back from is due.
        """
        since_ms = pending.clock_ms or pending.opened_at_ms
        if since_ms > watermark_ms + FUTURE_MS:
            return watermark_ms
        if pending.opened_at_ms <= watermark_ms + STEP_MS:
            since_ms = pending.opened_at_ms
        return since_ms + self._window_ms

    def set(self, user_id: str, pending: Sequence[Waiting], watermark_ms: int) -> None:
        """What a user waits for now."""
        deadlines = (self.deadline_ms(one, watermark_ms) for one in pending)
        self._set(user_id, min(deadlines, default=None))

    def bring_back(self, watermark_ms: int) -> None:
        """The clock has gone back to this: what lies in a far future waits a window from now."""
        next_ms = watermark_ms + self._window_ms
        far = [user for user, at_ms in self._next.items() if at_ms > next_ms + FUTURE_MS]
        for user_id in far:
            self._set(user_id, next_ms)

    def _set(self, user_id: str, next_ms: int | None) -> None:
        if next_ms == self._next.get(user_id):
            return
        self._touched[user_id] = None
        if next_ms is None:
            del self._next[user_id]
        else:
            self._next[user_id] = next_ms
            heapq.heappush(self._heap, (next_ms, user_id))

    def first_due(self, watermark_ms: int) -> tuple[int, str] | None:
        """The earliest deadline that a watermark has passed, and whose; it stays until ``set``."""
        while self._heap and self._heap[0][0] <= watermark_ms:
            at_ms, user_id = self._heap[0]
            if self._next.get(user_id) == at_ms:
                return at_ms, user_id
            heapq.heappop(self._heap)
        return None

    def users_due(self, watermark_ms: int) -> Iterator[str]:
        """Whose views a watermark would close; of the others, none is looked at."""
        at = [0]
        while at:
            number = at.pop()
            if number < len(self._heap) and self._heap[number][0] <= watermark_ms:
                yield self._heap[number][1]
                at += [2 * number + 1, 2 * number + 2]

    def take_rows(self) -> dict[str, dict[str, Any] | None]:
        """The own rows changed since last asked; None: removed."""
        rows = {
            OWN + user: {"d": self._next[user]} if user in self._next else None
            for user in self._touched
        }
        self._touched.clear()
        return rows

    def load(self, own: Mapping[str, Mapping[str, Any]]) -> None:
        """Own rows as ``take_rows`` gave them; others are passed over."""
        self._next = {
            key.removeprefix(OWN): record["d"] for key, record in own.items() if key.startswith(OWN)
        }
        self._heap = [(at_ms, user_id) for user_id, at_ms in self._next.items()]
        heapq.heapify(self._heap)

    def take_in(self, rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Shared rows of version 0.1, deadlines by time; returns which to remove."""
        found = [key for key in rows if key.startswith(OWN)]
        for key in found:
            for at_ms, user_id, _ in rows[key]["d"]:
                self._set(user_id, min(at_ms, self._next.get(user_id, at_ms)))
        return found
