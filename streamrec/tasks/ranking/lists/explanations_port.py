"""What is kept of answers for a while, so that somebody may ask why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from streamrec.tasks.ranking.lists.explanation import Explanation


class Explanations(Protocol):
    """By recommendation id; forgotten after a while. Raises (every method): Unavailable."""

    def keep(self, explanations: Sequence[Explanation]) -> None:
        """All of a micro-batch in one go."""
        ...

    def of(self, recommendation_id: str) -> Explanation | None:
        """None when there is none, or none any more."""
        ...
