"""What a serving worker measures of itself.

Knows counts, rates and percentiles over the last while. Does not know who reads them.
Names: ``published``, ``per_second``, ``latency_p50_ms``/``latency_p95_ms`` (Kafka timestamp
of the trigger to the answer acknowledged), ``swaps``, ``swap_pause_ms`` (the last) and
``swap_pause_max_ms``, ``coalesced``, ``skipped``, ``dead_letters``; ``stale_`` and a trigger: too
old to be answered; ``unmet_`` and a reason: lists asked for of which nothing could be in them,
whatever the model; ``fallback_`` and a reason: replies that a template made; ``unread_`` and a
reason: texts that lists do not keep to, because they were not read.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Mapping

import numpy as np

from streamrec.core import topics
from streamrec.loop.serving.serve import Served
from streamrec.ports import FALLBACK, UNREAD, Counted, Meter, Timed

TRIGGERS = {topics.USER_UPDATES: "update", topics.REQUESTS: "request"}
WINDOW_MS = 10_000
LATENCIES = 1_000


class ServingGauges:
    """Written by the serving thread, read by the one that beats."""

    def __init__(self, started_ms: int, meter: Meter | None = None) -> None:
        self._started_ms, self._meter = started_ms, meter or Meter()
        self._counts = {"published": 0, "coalesced": 0, "skipped": 0, "dead_letters": 0}
        self._unmet: Counter[str] = Counter()
        self._stale: Counter[str] = Counter()
        self._recent: deque[tuple[int, int]] = deque()  # (at_ms, published)
        self._latencies_ms: deque[int] = deque(maxlen=LATENCIES)
        self._swaps: dict[str, float] = {"swaps": 0}

    def served(self, served: Served, now_ms: int) -> None:
        """A micro-batch was answered and acknowledged."""
        count = len(served.answers)
        self._counts["published"] += count
        self._counts["coalesced"] += served.coalesced
        self._counts["skipped"] += served.skipped
        self._counts["dead_letters"] += served.dead_letters
        self._unmet.update({f"unmet_{why}": times for why, times in served.unmet.items()})
        told = {f"{FALLBACK}{why}": times for why, times in served.fallbacks.items()}
        self._unmet.update(told)
        self._unmet.update({f"{UNREAD}{why}": times for why, times in served.unread.items()})
        self._recent.append((now_ms, count))
        self._latencies_ms.extend(now_ms - r.triggered_at_ms for r in served.answers)
        self._measure(served, now_ms)

    def too_old(self, stale: Mapping[str, int]) -> None:
        """By topic, messages that are not answered any more."""
        self._stale.update({f"stale_{TRIGGERS.get(at, at)}": count for at, count in stale.items()})

    def _measure(self, served: Served, now_ms: int) -> None:
        waited_s: dict[str, list[float]] = defaultdict(list)  # by what asked for it
        for answer in served.answers:
            asked = answer.asked.message.topic
            waited_s[TRIGGERS.get(asked, asked)] += [(now_ms - answer.triggered_at_ms) / 1000]
        for trigger, seconds in waited_s.items():
            self._meter.count(Counted.LISTS, len(seconds), trigger=trigger)
            self._meter.observe(Timed.ANSWER, seconds, trigger=trigger)
        self._meter.count(Counted.EMPTY_LISTS, sum(served.empty.values()))
        self._meter.count(Counted.FAULTS, sum(served.faults.values()))

    def swapped(self, pause_ms: float) -> None:
        """The champion changed, and serving stood still for so long because of it."""
        longest = max(pause_ms, self._swaps.get("swap_pause_max_ms", 0.0))
        self._swaps = {
            "swaps": self._swaps["swaps"] + 1,
            "swap_pause_ms": pause_ms,
            "swap_pause_max_ms": longest,
        }

    def read(self, now_ms: int) -> Mapping[str, float]:
        """Every gauge that has something to say."""
        gauges = {
            **self._counts,
            **self._unmet,
            **self._stale,
            **self._swaps,
            "per_second": self._per_second(now_ms),
        }
        if self._latencies_ms:
            p50, p95 = np.percentile(list(self._latencies_ms), (50, 95))
            gauges |= {"latency_p50_ms": float(p50), "latency_p95_ms": float(p95)}
        return gauges

    def _per_second(self, now_ms: int) -> float:
        recent = self._recent
        while recent and recent[0][0] < now_ms - WINDOW_MS:
            recent.popleft()
        span_ms = max(1, min(WINDOW_MS, now_ms - self._started_ms))
        return sum(count for _, count in list(recent)) / span_ms * 1000
