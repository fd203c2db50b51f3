"""What a replay of recorded tests is asked for: light enough for a command's ``--help``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

OURS, FROZEN, LENGTH, TFIDF = "streamrec", "frozen", "length", "tfidf"
BASELINES = (LENGTH, TFIDF, FROZEN)


@dataclass(frozen=True, slots=True)
class CopyPlan:
    """What the command line asks for. ``rows``: where each test's own numbers go."""

    tests: Path
    compare: tuple[str, ...] = ()
    score_from: float | None = None
    seed: int = 0
    rows: Path | None = None
