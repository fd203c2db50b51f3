"""What the trainer's process knows of live outcomes, as others read it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from streamrec.core.release.live_metric import Total
from streamrec.core.release.sequential_test import Look


@dataclass(frozen=True, slots=True)
class LiveGeneration:
    """One generation's lists since the trainer started. ``snips``: of its greedy policy."""

    generation: str
    lists: int
    shown: int
    clicked: int
    explored: int
    snips: float | None
    snips_error: float | None
    effective: float

    @property
    def rate(self) -> float | None:
        """Clicked, of all lists."""
        return self.clicked / self.lists if self.lists else None


@dataclass(frozen=True, slots=True)
class LiveTrial:
    """The canary against the champion, as of the last look."""

    canary: str
    champion: str
    since_ms: int
    verdict: str
    difference: float
    low: float
    high: float
    words: str


@dataclass(frozen=True, slots=True)
class LiveReport:
    at_ms: int
    generations: tuple[LiveGeneration, ...]  # the one first seen first
    trial: LiveTrial | None = None
    foreign: int = 0  # events that named a list that was not theirs

    def to_record(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> LiveReport:
        """The reverse. Raises KeyError, TypeError for another shape."""
        trial = record["trial"]
        return cls(
            record["at_ms"],
            tuple(LiveGeneration(**one) for one in record["generations"]),
            LiveTrial(**trial) if trial else None,
            record["foreign"],
        )


def generations(totals: Iterable[tuple[str, Total]]) -> tuple[LiveGeneration, ...]:
    """Totals as rows."""
    return tuple(
        LiveGeneration(
            name,
            total.lists,
            total.shown,
            total.clicked,
            total.explored,
            total.greedy.value,
            total.greedy.standard_error,
            total.greedy.effective,
        )
        for name, total in totals
    )


def trial(canary: str, champion: str, since_ms: int, look: Look) -> LiveTrial:
    """One look as a row."""
    low, high = look.interval
    return LiveTrial(
        canary, champion, since_ms, look.verdict.value, look.difference, low, high, str(look)
    )
