"""A recorded stream cut in time: what is learned, what decides when to stop, what judges.

Knows times in ascending order. Events of one moment stay in one part, so that a part can be
named by the moment it begins.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TimeSplit:
    """Event numbers: train [0, validation), validation [validation, test), test [test, end)."""

    validation: int
    test: int
    end: int

    @property
    def sizes(self) -> dict[str, int]:
        return {
            "train": self.validation,
            "validation": self.test - self.validation,
            "test": self.end - self.test,
        }


def time_split(times_ms: Sequence[int], shares: tuple[float, float, float]) -> TimeSplit:
    """``shares`` of the events go to training, validation and test, in this order.

    Raises ValueError when the shares do not add up to one, or a part would be empty.
    """
    if any(share <= 0 for share in shares) or abs(sum(shares) - 1.0) > 1e-6:
        raise ValueError("three shares above 0 that add up to 1 are needed, as in 0.8,0.1,0.1")
    end = len(times_ms)
    edges = [round(end * shares[0]), round(end * (shares[0] + shares[1]))]
    starts = [bisect_left(times_ms, times_ms[min(edge, end - 1)]) if end else 0 for edge in edges]
    split = TimeSplit(starts[0], starts[1], end)
    empty = [name for name, size in split.sizes.items() if size <= 0]
    if empty:
        raise ValueError(
            f"{end} events leave nothing for {' and '.join(empty)}; events of one moment are "
            "not parted"
        )
    return split
