"""What the command line asks of replies: light enough for a command's ``--help``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SECONDS_EACH = 2.4
"""Processor time that a question costs in a replay, all arms together, on a busy core of an AMD
EPYC with bfloat16."""


@dataclass(frozen=True, slots=True)
class RepliesPlan:
    """``questions``: of a replay. ``start``: a directory with the adapter to begin with; None: it
    is trained first, in ``steps``."""

    items: Path
    events: Path | None = None
    questions: int = 500
    seed: int = 0
    start: Path | None = None
    steps: int = 120
