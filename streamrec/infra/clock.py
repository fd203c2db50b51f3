"""The system's clock, the only place that reads it."""

from __future__ import annotations

import time


class SystemClock:
    """Wall-clock time; event time is in the events."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000
