"""Peak resident memory by process name, sampled.

Knows psutil. What a process used between two samples is not seen.
"""

from __future__ import annotations

from collections.abc import Mapping

import psutil

MEGABYTE = 1 << 20


class PeakMemory:
    """``total_mb`` is the highest *sum* seen at one moment, not the sum of the peaks."""

    def __init__(self) -> None:
        self.peak_mb: dict[str, float] = {}
        self.total_mb = 0.0

    def sample(self, pids: Mapping[str, int]) -> None:
        """Look at these processes and their children."""
        now_mb = {name: _resident_mb(pid) for name, pid in pids.items()}
        for name, size_mb in now_mb.items():
            self.peak_mb[name] = max(size_mb, self.peak_mb.get(name, 0.0))
        self.total_mb = max(self.total_mb, sum(now_mb.values()))


def _resident_mb(pid: int) -> float:
    try:
        process = psutil.Process(pid)
        size = process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0.0
    return float(size) / MEGABYTE
