"""Following what users do with the lists of each generation, in the trainer's process.

Knows which topics are listened to and how far they have been read. Does not know what
counts (``core.release.live_metric``) or how Kafka is read; a restart begins to count anew.

One thread listens, others ask.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from streamrec.core import topics
from streamrec.core.events import Interaction, Recommendation
from streamrec.core.release.live_metric import LiveMetric, Total
from streamrec.core.release.sequential_test import Rate
from streamrec.ports import Clock, FollowedRecord

TOPICS = (topics.RECOMMENDATIONS, topics.EVENTS)
POLL_S = 0.25
AT_ONCE = 2_000
GRACE_MS = 1_000
"""A message may be read this long after its timestamp when nothing is behind."""


class Outcomes:
    """The live metric, kept up to date. ``listen`` again and again, in a thread of its own."""

    def __init__(
        self,
        poll: Callable[[float, int], Sequence[FollowedRecord]],
        metric: LiveMetric,
        clock: Clock,
    ) -> None:
        """``poll``: what came, waiting at most so long for so many; raises Unavailable."""
        self._poll = poll
        self._metric = metric
        self._clock = clock
        self._lock = threading.Lock()

    def listen(self) -> None:
        """Take in what came, by time, then close what is over. Raises Unavailable."""
        heard = sorted(self._poll(POLL_S, AT_ONCE), key=lambda one: one.timestamp_ms)
        now_ms = self._clock.now_ms() - GRACE_MS
        if len(heard) >= AT_ONCE:  # behind: outcomes of what is open are still to be read
            now_ms = min(now_ms, heard[0].timestamp_ms)
        with self._lock:
            for one in heard:
                match one.value:
                    case Recommendation() as message:
                        self._metric.recommended(message, one.timestamp_ms)
                    case Interaction() as event:
                        self._metric.happened(event, one.timestamp_ms)
            self._metric.advance(now_ms)

    def begin(self, since_ms: int) -> None:
        """Compare from here on; asked again for the same moment, it goes on counting."""
        with self._lock:
            self._metric.begin(since_ms)

    def rate(self, generation: str) -> Rate:
        """As of ``LiveMetric.rate``."""
        with self._lock:
            return self._metric.rate(generation)

    @property
    def foreign(self) -> int:
        """Events that named a list that was not theirs."""
        return self._metric.foreign

    def totals(self) -> list[tuple[str, Total]]:
        """As of ``LiveMetric.totals``."""
        with self._lock:
            return list(self._metric.totals())
