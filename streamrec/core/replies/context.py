"""What is known of somebody when a plan is chosen for them: a few numbers, each in [0, 1].

Knows how they are made of a query and a history. Does not know what they are good for
(``plan_bandit``) or where a history is kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamrec.core.events import Item

CONTEXT = ("history", "variety", "words", "asked", "turn")
"""Names of the numbers, in order. ``history``: how many items the user had, log(1 + n) / 5.
``variety``: different categories among those items, a share of all their mentions. ``words``: of
the query, n / 20. ``asked``: 1 where the query is a question. ``turn``: of the conversation,
n / 5."""


def context_of(
    query: str, history: Sequence[Item], turn: int = 0, had: int | None = None
) -> NDArray[np.float32]:
    """(C,). ``history``: the items that are known of those the user ``had``; ``turn``: how many
    replies of this conversation came before."""
    mentioned = [category for item in history for category in item.categories]
    number = len(history) if had is None else had
    values = (
        math.log1p(number) / 5,
        len(set(mentioned)) / len(mentioned) if mentioned else 0.0,
        len(query.split()) / 20,
        float(query.rstrip().endswith(("?", "？"))),
        turn / 5,
    )
    return np.clip(np.asarray(values, np.float32), 0.0, 1.0)
