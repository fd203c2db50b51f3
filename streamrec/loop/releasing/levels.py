"""Service levels by generation: measured in a serving worker, read from the fleet.

Knows the last ``WINDOW_MS`` of one worker, and how beats of many become one level. Does not
know limits (``core.release.service_levels``).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from streamrec.core.release.service_levels import Level, from_fields, to_fields, together
from streamrec.loop.serving.serve import Served
from streamrec.ports import WorkerStatus

WINDOW_MS = 10_000


class _Moment(NamedTuple):
    """What one generation did in one micro-batch."""

    at_ms: int
    generation: str
    lists: int
    empty: int
    faults: int
    latencies_ms: tuple[int, ...]


class LevelGauge:
    """Written by the serving thread, read by the one that beats."""

    def __init__(self) -> None:
        self._moments: deque[_Moment] = deque()

    def served(self, served: Served, now_ms: int) -> None:
        """A micro-batch was answered and acknowledged."""
        latencies: dict[str, list[int]] = defaultdict(list)
        published_empty: dict[str, int] = defaultdict(int)
        unmet: dict[str, int] = defaultdict(int)
        for answer in served.answers:
            latencies[answer.generation].append(now_ms - answer.triggered_at_ms)
            published_empty[answer.generation] += answer.empty
            unmet[answer.generation] += answer.unmet
        for generation in latencies.keys() | served.empty.keys() | served.faults.keys():
            published = latencies.get(generation, [])
            empty = served.empty.get(generation, 0)
            faults = served.faults.get(generation, 0)
            withheld = empty - published_empty[generation]  # updates without a list
            wanted = len(published) - unmet[generation] + withheld + faults
            if wanted or published:
                moment = _Moment(now_ms, generation, wanted, empty, faults, tuple(published))
                self._moments.append(moment)

    def failed(self, generation: str, lists: int, now_ms: int) -> None:
        """So many lists were wanted of a generation that can make none."""
        self._moments.append(_Moment(now_ms, generation, lists, 0, lists, ()))

    def read(self, now_ms: int) -> dict[str, dict[str, Any]]:
        """Every generation's level over the last while, as a beat carries it."""
        while self._moments and self._moments[0].at_ms < now_ms - WINDOW_MS:
            self._moments.popleft()
        by_generation: dict[str, list[_Moment]] = defaultdict(list)
        for moment in list(self._moments):
            by_generation[moment.generation].append(moment)
        return {name: to_fields(_level(moments)) for name, moments in by_generation.items()}


def _level(moments: Iterable[_Moment]) -> Level:
    moments = list(moments)
    latencies = [latency for moment in moments for latency in moment.latencies_ms]
    return Level(
        sum(moment.lists for moment in moments),
        sum(moment.empty for moment in moments),
        sum(moment.faults for moment in moments),
        float(np.percentile(latencies, 95)) if latencies else None,
    )


def by_generation(workers: Iterable[WorkerStatus]) -> Mapping[str, Level]:
    """The fleet's level of every generation that answered lately."""
    found: dict[str, list[Level]] = defaultdict(list)
    for worker in workers:
        for generation, fields in worker.levels.items():
            found[generation].append(from_fields(fields))
    return {generation: together(levels) for generation, levels in found.items()}
