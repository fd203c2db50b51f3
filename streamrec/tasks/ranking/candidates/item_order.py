"""Items by what the head thinks of them whoever asks: for somebody new, and for a usual user.

Knows the head and the statistics of items. Does not know users or texts. Made once a refresh, away
from whoever answers; an older one is as good for some seconds, since what it finds is scored anew.

Legend: N catalogue rows, R reference users, M hidden units, F rows that may be shown.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import Catalogue, IntArray
from streamrec.core.state.user_state import NEW_USER
from streamrec.tasks.ranking.features import FeatureMaker, user_features
from streamrec.tasks.ranking.model.head import CLIP, Head
from streamrec.tasks.ranking.model.ranking import ITEM_INPUTS, OWN, USER_INPUTS

KEPT = 1_000
"""Best rows of each reference user that are at hand."""
NEWEST = 200
"""Rows that came after it was made: all of them are candidates, the last ones first."""
IN_CATEGORY = 200
_BLOCK = 8_192


class ItemOrder:
    """``rows``: of the catalogue when it was made."""

    def __init__(self, head: Head, features: FeatureMaker, catalogue: Catalogue) -> None:
        self.rows = len(features.item_NI)
        self._scores_RN = _scores(head, features)
        able = np.flatnonzero(catalogue.available[: self.rows]).astype(np.int32)
        self._best = [able[_highest(scores_N[able], KEPT)] for scores_N in self._scores_RN]
        self._catalogue = catalogue
        self._of_category: dict[int, IntArray] = {}

    def best(self, count: int, skipped: IntArray) -> IntArray:
        """``count`` rows of each reference user without ``skipped``, best first."""
        if count + len(skipped) > KEPT:
            among = np.setdiff1d(np.arange(self.rows, dtype=np.int32), skipped)
            return self.best_of(count, among)
        found = [rows[~np.isin(rows, skipped)][:count] for rows in self._best]
        return np.concatenate(found).astype(np.int32)

    def best_of(self, count: int, rows_F: IntArray) -> IntArray:
        """The same of those rows alone."""
        known_F = rows_F[rows_F < self.rows]
        found = [known_F[_highest(scores_N[known_F], count)] for scores_N in self._scores_RN]
        return np.concatenate(found).astype(np.int32)

    def of_category(self, category: int) -> IntArray:
        """The best ``IN_CATEGORY`` of each reference user that are in it, as it is when asked."""
        if category not in self._of_category:
            within_N = (self._catalogue.categories == category).any(axis=1)
            within = np.flatnonzero(within_N & self._catalogue.available).astype(np.int32)
            self._of_category[category] = self.best_of(IN_CATEGORY, within)
        return self._of_category[category]

    def newer(self, rows: int) -> IntArray:
        """What a catalogue of ``rows`` has beyond it."""
        return np.arange(max(self.rows, rows - NEWEST), rows, dtype=np.int32)


def _highest(scores: FloatArray, count: int) -> IntArray:
    """Places of the highest scores, highest first."""
    top = np.arange(len(scores))
    if len(scores) > count:
        top = np.argpartition(-scores, count)[:count]
    return top[np.argsort(-scores[top], kind="stable")].astype(np.int32)


@torch.no_grad()
def _scores(head: Head, features: FeatureMaker) -> FloatArray:
    """(R, N): everything of theirs that is not the item's is as it is for the reference user."""
    items_NI = torch.from_numpy(features.item_NI)
    hidden_RM, linear_R = _references(head)
    mean_I, deviation_I = head.mean_D[ITEM_INPUTS], head.deviation_D[ITEM_INPUTS]
    scores_RN = torch.empty(len(linear_R), len(items_NI))
    for start in range(0, len(items_NI), _BLOCK):
        rows = slice(start, start + _BLOCK)
        block_NI = ((items_NI[rows] - mean_I) / deviation_I).clamp(-CLIP, CLIP)
        inner_NM = block_NI @ head.inner_DM[ITEM_INPUTS]
        outer_RN = torch.relu(inner_NM + hidden_RM[:, None]) @ head.outer_M
        scores_RN[:, rows] = outer_RN + block_NI @ head.linear_D[ITEM_INPUTS] + linear_R[:, None]
    return np.asarray(scores_RN.numpy(), np.float32)


def _references(head: Head) -> tuple[Tensor, Tensor]:
    """What is the same for every item: hidden units (R, M) and the linear part (R,)."""
    new_D, usual_D = torch.zeros(2, len(head.mean_D))
    new_D[USER_INPUTS] = torch.tensor(user_features(NEW_USER, 0))
    new_D = head.standardised(new_D)  # nothing of hers is like anything
    rest = [*range(USER_INPUTS.start, USER_INPUTS.stop), *OWN]
    own_RD = torch.stack([new_D, usual_D])[:, rest]
    return own_RD @ head.inner_DM[rest] + head.bias_M, own_RD @ head.linear_D[rest]
