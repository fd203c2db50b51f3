"""Triggers that have waited too long to be worth an answer, while there is more to do than time.

Knows the age of a message by Kafka's timestamp, and when a worker is behind: when it was handed as
much as it takes at once. A worker that is not behind answers everything, however old: after an
outage, and a producer whose clock is slow.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from streamrec.errors import Refused
from streamrec.ports import Delivered

log = logging.getLogger(__name__)

SAY_EVERY_MS = 10_000


class StaleTriggers:
    """Told of every micro-batch; ``max_age_s`` 0: nothing is ever too old."""

    def __init__(self, max_age_s: float, full: int) -> None:
        """``full``: messages that are taken at once."""
        self._max_age_ms, self._full = max_age_s * 1000, full
        self._since_said: Counter[str] = Counter()
        self._said_ms = 0

    def split(
        self, batch: Sequence[Delivered], now_ms: int
    ) -> tuple[list[Delivered], Mapping[str, int]]:
        """What is to be answered, and by topic how many are not; what cannot be read is not old."""
        if not self._max_age_ms or len(batch) < self._full:
            return list(batch), {}
        fresh, stale = [], Counter[str]()
        for message in batch:
            old = now_ms - message.timestamp_ms > self._max_age_ms
            if old and not isinstance(message.value, Refused):
                stale[message.topic] += 1
            else:
                fresh.append(message)
        self._say(stale, now_ms)
        return fresh, stale

    def _say(self, stale: Mapping[str, int], now_ms: int) -> None:
        self._since_said.update(stale)
        if self._since_said and now_ms - self._said_ms >= SAY_EVERY_MS:
            log.warning(
                "behind: %s older than %g s not answered; add serving workers",
                ", ".join(f"{count:,} of {topic}" for topic, count in self._since_said.items()),
                self._max_age_ms / 1000,
            )
            self._since_said.clear()
            self._said_ms = now_ms
