"""Explanations in memory, and a Redis-like silence."""

from __future__ import annotations

from collections.abc import Sequence

from streamrec.errors import Unavailable
from streamrec.tasks.ranking.lists.explanation import Explanation


class FakeExplanations:
    def __init__(self) -> None:
        self.kept: dict[str, Explanation] = {}
        self.down = False

    def keep(self, explanations: Sequence[Explanation]) -> None:
        if self.down:
            raise Unavailable("Redis is away")
        self.kept |= {one.recommendation_id: one for one in explanations}

    def of(self, recommendation_id: str) -> Explanation | None:
        if self.down:
            raise Unavailable("Redis is away")
        return self.kept.get(recommendation_id)
