"""What is kept of one answer so that it can be explained later.

Knows the raw inputs of its scores, and where state and statistics stood. Does not know
weights: the parts of a score are computed when somebody asks, from the generation's own
head (``tasks.ranking.model.attribution``), so keeping an explanation costs a copy and no
arithmetic.

Legend: K items of the list, D inputs of the head, H known items of the user, newest first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from streamrec.core.examples import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Everything one list was made from. Times are milliseconds since the Unix epoch."""

    recommendation_id: str
    user_id: str
    generation: str
    worker_id: str
    items: tuple[str, ...]
    scores_K: FloatArray
    probabilities_K: FloatArray
    raw_KD: FloatArray
    closeness_KH: FloatArray  # cosine of item and the user's item
    history: tuple[str, ...]  # newest first, known items only
    names: tuple[str, ...]  # of the D inputs
    query: str | None
    state_position: int  # next event offset of the user's partition that the state includes
    statistics: Mapping[str, int]  # source -> next offset that the statistics include
    watermark_ms: int  # latest event time in the statistics
    user_seen_ms: int  # latest event of the user; 0: never seen
    served_at_ms: int

    def input_of(self, place: int) -> Mapping[str, float]:
        """Raw inputs of the list's item number ``place`` (0-based), by name."""
        return dict(zip(self.names, map(float, self.raw_KD[place]), strict=True))


def same(one: Explanation, other: Explanation) -> bool:
    """Whether two explanations say the same, arrays included."""
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in Explanation.__dataclass_fields__
    )
