"""Peak memory by process name, sampled.

Knows psutil. What a process used between two samples is not seen. A page that several
processes share is divided among them (PSS, on Linux; elsewhere the resident size, which
counts it for each): workers are forks of one process.
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
        """Look at these processes, and at our other descendants together (``others``)."""
        now_mb = {name: memory_mb(pid) for name, pid in pids.items()}
        named = set(pids.values())
        children = (child.pid for child in psutil.Process().children(recursive=True))
        now_mb["others"] = sum(memory_mb(pid) for pid in children if pid not in named)
        for name, size_mb in now_mb.items():
            self.peak_mb[name] = max(size_mb, self.peak_mb.get(name, 0.0))
        self.total_mb = max(self.total_mb, sum(now_mb.values()))


def memory_mb(pid: int) -> float:
    """Of one process now; 0.0: it is gone."""
    try:
        process = psutil.Process(pid)
        found = process.memory_full_info() if psutil.LINUX else process.memory_info()
    except psutil.Error:
        return 0.0
    return float(getattr(found, "pss", found.rss)) / MEGABYTE
