"""The last items of many users at once, laid out as columns.

Legend: B users, P pairs of (user, one of its items).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class LastItems(NamedTuple):
    """User by user, the newest item first; those that the catalogue does not know left out."""

    rows_P: NDArray[np.int32]
    user_P: NDArray[np.int64]
    nth_P: NDArray[np.int64]  # 0: the newest that is known
    starts_B: NDArray[np.int64]  # where each user's begin, and where the last one's end: (B + 1,)

    def lengths(self) -> NDArray[np.int64]:
        """How many each has, (B,)."""
        return np.diff(self.starts_B)


def last_items(histories: Sequence[NDArray[np.int32]], most: int | None = None) -> LastItems:
    """``histories``: catalogue rows, newest last. ``most``: of each user, known or not."""
    end = None if most is None else -1 - most
    found = [rows[:end:-1] for rows in histories]
    found = [rows[rows >= 0] for rows in found]
    counts_B = np.array([len(rows) for rows in found], np.int64)
    starts_B = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts_B)])
    rows_P = np.concatenate([np.zeros(0, np.int32), *found])
    user_P = np.repeat(np.arange(len(found)), counts_B)
    return LastItems(rows_P, user_P, np.arange(len(rows_P)) - starts_B[user_P], starts_B)
