"""Whether something grows that should stand still: two windows after a warm-up, and a slope.

Knows series of numbers by name and how much of a difference is noise. Does not know what is
measured, or how.

After the warm-up a series has settled: buffers are full, a first generation answers, as many users
leave as come. The median of its first window is the start, that of its last the end; medians, so
that one garbage collection or one slow second decides nothing. It grew when the end is above
``start * (1 + share) + slack``. The slope (Theil and Sen: the median of the slopes of all pairs of
samples) is told beside it, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

WARM_UP = 0.25
"""Share of the whole time that is not looked at."""
WINDOW = 0.2
"""Share of the time after it that makes a window."""
FEWEST = 3
"""Samples in each window, for a verdict."""
PAIRED = 400
"""Samples at most, evenly chosen, that the slope is taken from: every pair of them."""
S_PER_HOUR = 3600.0


class GrowthBound(NamedTuple):
    """What may be added between the windows: a share of the start, and as much for noise."""

    share: float
    slack: float
    unit: str


class SoakSample(NamedTuple):
    """``values``: by the name of the series; one that could not be measured is absent."""

    at_s: float
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class SeriesGrowth:
    """``start``, ``end``: medians of the windows; None: too few samples for a verdict."""

    unit: str
    allowed: float | None
    start: float | None
    end: float | None
    per_hour: float | None
    samples: int
    judged: bool = True

    @property
    def grew(self) -> bool:
        if not self.judged or self.end is None or self.allowed is None:
            return False
        return self.end > self.allowed

    @property
    def unknown(self) -> bool:
        return self.judged and self.end is None


def growth(
    samples: Sequence[SoakSample], name: str, bound: GrowthBound, *, judged: bool = True
) -> SeriesGrowth:
    """Of one series, over the time of all samples."""
    first_s, last_s = samples[0].at_s, samples[-1].at_s
    settled_s = first_s + WARM_UP * (last_s - first_s)
    window_s = WINDOW * (last_s - settled_s)
    times, values = _series((s for s in samples if s.at_s >= settled_s), name)
    start = values[times <= settled_s + window_s]
    end = values[times >= last_s - window_s]
    if min(len(start), len(end)) < FEWEST:
        return SeriesGrowth(bound.unit, None, None, None, None, len(values), judged)
    begun = float(np.median(start))
    return SeriesGrowth(
        bound.unit,
        begun * (1 + bound.share) + bound.slack,
        begun,
        float(np.median(end)),
        _slope(times, values) * S_PER_HOUR,
        len(values),
        judged,
    )


def _series(
    samples: Iterable[SoakSample], name: str
) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], ...]:
    found = [(at_s, values[name]) for at_s, values in samples if name in values]
    table = np.array(found, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _slope(
    times_N: np.ndarray[tuple[int], np.dtype[np.float64]],
    values_N: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> float:
    chosen = np.unique(np.linspace(0, len(times_N) - 1, min(PAIRED, len(times_N))).astype(int))
    times_P, values_P = times_N[chosen], values_N[chosen]
    earlier, later = np.triu_indices(len(chosen), 1)
    apart = times_P[later] - times_P[earlier]
    apart, rise = apart[apart > 0], (values_P[later] - values_P[earlier])[apart > 0]
    return float(np.median(rise / apart)) if len(apart) else 0.0
