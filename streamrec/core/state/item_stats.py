"""Decayed counts of one item in one partition: how an event changes them.

``core.state.statistics`` adds the partitions up. A count is decayed by events (the partition's
clock: events counted in it) or by hours
of event time. Decay is applied when an item is touched: what is stored is true at
(``clock``, ``at_ms``) and a reader brings it forward.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamrec.core.state.event_clock import FUTURE_MS

EVENT_HALF_LIVES = (500.0, 5_000.0, 50_000.0)
"""In events of the whole stream; a partition's clock is slower: ``partition_half_lives``."""
HOUR_HALF_LIVES = (2.0, 24.0, 168.0)
MS_PER_HOUR = 3_600_000.0
DECAYS = (*(f"{h:g}ev" for h in EVENT_HALF_LIVES), *(f"{h:g}h" for h in HOUR_HALF_LIVES))
"""Names of the half-lives, in the order of every array of counts: "500ev" to "168h"."""
TIMES = 4
"""Numbers of a record in front of the counts: clock, at, first seen, last accepted."""
NEVER_MS = 0
"""Stands for "not yet" in a time."""


def partition_half_lives(partitions: int) -> tuple[float, ...]:
    """Event half-lives in ticks of one partition's clock: it sees a part of all events."""
    return tuple(h / partitions for h in EVENT_HALF_LIVES)


class PartialItemCounts:
    """Counts of one item in one partition. Mutable: the fold owns it and no one else sees it."""

    __slots__ = ("accepts", "at_ms", "clock", "first_seen_ms", "last_accept_ms", "views")

    def __init__(self) -> None:
        self.clock = 0
        self.at_ms = 0
        self.first_seen_ms = NEVER_MS
        self.last_accept_ms = NEVER_MS
        self.views = [0.0] * len(DECAYS)
        self.accepts = [0.0] * len(DECAYS)

    def touch(
        self, clock: int, now_ms: int, half_lives: tuple[float, ...], *, view: bool, accept: bool
    ) -> None:
        """Count an exposure and/or an accepted event at (``clock``, ``now_ms``).

        ``half_lives`` are ``partition_half_lives``. A late event is counted at ``at_ms``: time
        never runs backwards here.
        """
        if self.at_ms > now_ms + FUTURE_MS:  # the partition's clock stood in the future once
            self.at_ms = now_ms
            self.first_seen_ms = min(self.first_seen_ms, now_ms)
        now_ms = max(now_ms, self.at_ms)
        if self.clock:
            ticks, hours = clock - self.clock, (now_ms - self.at_ms) / MS_PER_HOUR
            factors = [0.5 ** (ticks / h) for h in half_lives]
            factors += [0.5 ** (hours / h) for h in HOUR_HALF_LIVES]
            self.views = [v * f for v, f in zip(self.views, factors, strict=True)]
            self.accepts = [a * f for a, f in zip(self.accepts, factors, strict=True)]
        else:
            self.first_seen_ms = now_ms
        self.clock, self.at_ms = clock, now_ms
        if view:
            self.views = [v + 1.0 for v in self.views]
        if accept:
            self.accepts = [a + 1.0 for a in self.accepts]
            self.last_accept_ms = now_ms

    def to_record(self) -> dict[str, Any]:
        times = [self.clock, self.at_ms, self.first_seen_ms, self.last_accept_ms]
        return {"s": times + self.views + self.accepts}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> PartialItemCounts:
        own, counts = cls(), record["s"][TIMES:]
        own.clock, own.at_ms, own.first_seen_ms, own.last_accept_ms = record["s"][:TIMES]
        own.views, own.accepts = list(counts[: len(DECAYS)]), list(counts[len(DECAYS) :])
        return own
