"""Which accepted event belongs to which view.

Knows impressions (views sharing an ``impression_id``), single views, their window, and the
deadlines of a partition.

An impression closes when the partition's watermark passes its first view + the window, or
when the user has ``OPEN_IMPRESSIONS`` newer ones. It does not close at the next impression
already: pages show several lists at once. A single view closes at the deadline (label 0),
or at once when its item is accepted (label 1) or disliked (label 0). A click that names an
impression which has closed comes too late to be learned (docs/adr/0038).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from streamrec.core.events import Interaction
from streamrec.core.state.user_state import Pending, Shown, UserState

OPEN_IMPRESSIONS = 4
OPEN_VIEWS = 32
SHOWN = 300
"""Items of one impression that are remembered; later ones only count in statistics."""

RING = 64
"""Rows that hold the deadlines of a partition; a deadline is at most RING / 2 rows ahead."""


def show(
    state: UserState, event: Interaction, watermark_ms: int, user_U: tuple[float, ...]
) -> tuple[UserState, Pending, Shown | None, list[Pending]]:
    """A view: open a pending or join the one it belongs to.

    ``state`` and ``user_U`` are those before the view. A late view waits as long as a timely
    one: its window starts at the watermark. Returns the new state, the pending,
    what needs features (None when already pending) and the pendings this one pushed out.
    """
    opened = Pending(
        impression_id=event.impression_id,
        opened_at_ms=max(event.occurred_at_ms, watermark_ms),
        history=state.history,
        user_U=user_U,
        shown=(Shown(event.item_id),),
    )
    existing = find(state, opened.key)
    if existing is None:
        return _open(state, opened)
    if len(existing.shown) >= SHOWN or any(s.item_id == event.item_id for s in existing.shown):
        return state, existing, None, []
    joined = replace(existing, shown=(*existing.shown, opened.shown[0]))
    return _swap(state, existing, joined), joined, opened.shown[0], []


def _open(
    state: UserState, opened: Pending
) -> tuple[UserState, Pending, Shown | None, list[Pending]]:
    single = opened.impression_id is None
    alike = [p for p in state.pending if (p.impression_id is None) == single]
    limit = OPEN_VIEWS if single else OPEN_IMPRESSIONS
    pushed = alike[: max(0, len(alike) + 1 - limit)]
    state = state.without(pushed)
    return replace(state, pending=(*state.pending, opened)), opened, opened.shown[0], pushed


def find(state: UserState, key: str) -> Pending | None:
    return next((p for p in state.pending if p.key == key), None)


def attribute(state: UserState, event: Interaction) -> tuple[UserState, bool, Pending | None]:
    """An outcome (anything but a view): label the pending it belongs to.

    Returns the new state, whether a view of it was found, and the single view it closed.
    """
    if event.impression_id is not None:
        pending = find(state, "i" + event.impression_id)
        if pending is None or all(s.item_id != event.item_id for s in pending.shown):
            return state, False, None
        if not event.accepted or event.item_id in pending.accepted:
            return state, True, None
        labelled = replace(pending, accepted=(*pending.accepted, event.item_id))
        return _swap(state, pending, labelled), True, None
    pending = find(state, "v" + event.item_id)
    if pending is None:
        return state, False, None
    closed = replace(pending, accepted=(event.item_id,)) if event.accepted else pending
    return state.without([pending]), True, closed


def too_late(state: UserState, event: Interaction) -> bool:
    """Whether an outcome names an impression that was shown and is no longer open."""
    return event.impression_id in state.closed


def _swap(state: UserState, old: Pending, new: Pending) -> UserState:
    return replace(state, pending=tuple(new if p is old else p for p in state.pending))


class Deadlines:
    """When each pending of a partition closes: ``(deadline_ms, user_id, key)``.

    Kept in a ring of rows by deadline, so that opening a pending rewrites one short row. An
    entry whose pending has closed early stays until its time and then finds nothing.
    """

    def __init__(self, window_ms: int) -> None:
        self._window_ms = max(1, window_ms)  # a deadline lies strictly ahead of the watermark
        self._width_ms = max(1, 2 * window_ms // RING)
        self._heap: list[tuple[int, str, str]] = []
        self._rows: dict[int, list[tuple[int, str, str]]] = {}
        self._touched: set[int] = set()

    def deadline_ms(self, pending: Pending) -> int:
        return pending.opened_at_ms + self._window_ms

    def add(self, user_id: str, pending: Pending) -> None:
        entry = (self.deadline_ms(pending), user_id, pending.key)
        heapq.heappush(self._heap, entry)
        self._rows.setdefault(self._row(entry), []).append(entry)
        self._touched.add(self._row(entry))

    def expire(self, watermark_ms: int) -> list[tuple[int, str, str]]:
        """Remove and return the entries due by ``watermark_ms``, by deadline."""
        due = []
        while self._heap and self._heap[0][0] <= watermark_ms:
            due.append(heapq.heappop(self._heap))
            self._touched.add(self._row(due[-1]))
        return due

    def users_due(self, watermark_ms: int) -> set[str]:
        """Whose pendings a watermark would close."""
        return {user for deadline_ms, user, _ in self._heap if deadline_ms <= watermark_ms}

    def forget(self, user_id: str) -> None:
        """Remove every deadline of a user."""
        for entry in self._heap:
            if entry[1] == user_id:
                self._touched.add(self._row(entry))
        self._heap = [entry for entry in self._heap if entry[1] != user_id]
        heapq.heapify(self._heap)
        for row in self._touched:
            entries = self._rows.get(row, [])
            self._rows[row] = [entry for entry in entries if entry[1] != user_id]

    def take_rows(self, watermark_ms: int) -> dict[str, dict[str, Any]]:
        """The rows changed since last asked."""
        changed = {}
        for row in sorted(self._touched):
            left = [entry for entry in self._rows.get(row, ()) if entry[0] > watermark_ms]
            self._rows[row] = left
            changed[f"w/{row}"] = {"d": [list(entry) for entry in left]}
        self._touched.clear()
        return changed

    def load(self, records: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Rows ``w/<number>`` as ``take_rows`` gave them."""
        for key, record in records:
            entries = [(int(d), str(user), str(name)) for d, user, name in record["d"]]
            self._rows[int(key[2:])] = entries
            self._heap += entries
        heapq.heapify(self._heap)

    def _row(self, entry: tuple[int, str, str]) -> int:
        return entry[0] // self._width_ms % RING
