"""The best of those that may be shown; of equals the one first in the catalogue."""

from __future__ import annotations

import numpy as np
import pytest

from streamrec.tasks.ranking.lists.choice import choose
from streamrec.tasks.ranking.lists.exploration import NO_EXPLORATION, Exploration


@pytest.mark.parametrize("exploration", [NO_EXPLORATION, Exploration(0.0, 5)])
@pytest.mark.parametrize("k", [0, 1, 3, 20, 2000])
def test_of_equals_the_first_is_shown(k: int, exploration: Exploration) -> None:
    numbers = np.random.default_rng(k)
    scores_N = numbers.integers(0, 4, 1000).astype(np.float32)
    scores_N[numbers.integers(0, 1000, 50)] = np.nan
    allowed_N = numbers.random(1000) < 0.7
    choice = choose(allowed_N, scores_N, None, k, exploration=exploration, recommendation_id="r")
    able = [row for row in range(1000) if allowed_N[row] and np.isfinite(scores_N[row])]
    assert choice.rows.tolist() == sorted(able, key=lambda row: (-scores_N[row], row))[:k]
