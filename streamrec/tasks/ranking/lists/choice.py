"""Which items a list shows: the best of those that may be shown, best first.

Knows scores, and what a query text adds to them. Does not know who may be shown what
(``tasks.ranking.lists.eligibility``) or when the last slot is drawn
(``tasks.ranking.lists.exploration``).
Shape: N catalogue rows that can be scored.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import BoolArray, IntArray
from streamrec.tasks.ranking.lists.asked import Unread
from streamrec.tasks.ranking.lists.eligibility import Unmet
from streamrec.tasks.ranking.lists.exploration import Exploration, last_slot


class Choice(NamedTuple):
    """One list's rows, best first, their scores, and how likely the last one was drawn.

    ``unmet``: why nothing could be chosen, whatever the scores. ``understood``: what the query
    was read as, in words, or ``unread``: why it was not.
    """

    rows: IntArray
    scores: FloatArray
    propensity: float = 1.0
    explored: bool = False
    unmet: Unmet | None = None
    understood: str | None = None
    unread: Unread | None = None


def choose(
    allowed_N: BoolArray,
    scores_N: FloatArray,
    asked_N: FloatArray | None,
    k: int,
    *,
    exploration: Exploration,
    recommendation_id: str,
) -> Choice:
    """At most ``k`` allowed rows, and their scores before the query text had its say.

    ``asked_N``: what that text adds; None without one. Of equals the one first in the
    catalogue. A score that is not a number is never shown. The last slot may be drawn.
    """
    keys_N = scores_N if asked_N is None else scores_N + asked_N
    able = np.flatnonzero(allowed_N & np.isfinite(keys_N))
    reach = k + exploration.reach
    if len(able) > reach > 0:
        keys = keys_N[able]
        able = able[keys >= np.partition(keys, -reach)[-reach]]  # more than enough, where some tie
    best: IntArray = able[np.argsort(-keys_N[able], kind="stable")[:reach]].astype(np.int32)
    if len(best) <= k:
        return Choice(best, scores_N[best])
    last, propensity = last_slot(exploration, recommendation_id, k, len(best))
    shown = np.append(best[: k - 1], best[last])
    return Choice(shown, scores_N[shown], propensity, explored=last >= k)
