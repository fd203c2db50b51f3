"""The scores of one micro-batch, and an account of some of them: ``lists.model_ports.Ranking``.

Knows where the head's inputs are to be found once they have been scored. Does not know how
they were made (``tasks.ranking.model.ranker``) or what an account is for
(``tasks.ranking.lists.explainer``).

It holds on to everything it was made from (for 64 users and 10,000 items some 36 MB): let go
of it with the micro-batch.

Legend: B users, T accounts, N catalogue rows, O the head's own inputs of a (user, item) pair
(pair features, similarities), D inputs, G groups, H history, newest first.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import IntArray
from streamrec.tasks.ranking.features import (
    ITEM_FEATURES,
    PAIR_FEATURES,
    USER_FEATURES,
    FeatureMaker,
)
from streamrec.tasks.ranking.lists.model_ports import Account, Ranking
from streamrec.tasks.ranking.model.head import CLIP, INPUTS, Head
from streamrec.tasks.ranking.model.shapley import shapley_values
from streamrec.tasks.ranking.model.similarity import SIMILARITIES, gather

ITEM_INPUTS = slice(0, len(ITEM_FEATURES))
PAIR_INPUTS = slice(ITEM_INPUTS.stop, ITEM_INPUTS.stop + len(PAIR_FEATURES))
USER_INPUTS = slice(PAIR_INPUTS.stop, PAIR_INPUTS.stop + len(USER_FEATURES))
SIM_INPUTS = slice(USER_INPUTS.stop, USER_INPUTS.stop + len(SIMILARITIES))
OWN = (*range(PAIR_INPUTS.start, PAIR_INPUTS.stop), *range(SIM_INPUTS.start, SIM_INPUTS.stop))
"""Positions of the O own inputs among the D."""


class MicroBatchRanking(Ranking):
    """What ``Ranker.ranking`` found. ``own_BON`` is standardised, ``user_BU`` is not."""

    names = INPUTS

    def __init__(
        self,
        *,
        head: Head,
        vectors_ND: Tensor,
        history_BH: Tensor,
        scores_BN: FloatArray,
        own_BON: Tensor,
        user_BU: Tensor,
        features: FeatureMaker,
    ) -> None:
        self.scores_BN = scores_BN
        self._head = head
        self._vectors_ND = vectors_ND
        self._history_BH = history_BH
        self._own_BON = own_BON
        self._user_BU = user_BU
        self._item_NI = features.item_NI

    @torch.no_grad()
    def account(self, users_T: IntArray, rows_T: IntArray) -> Account:
        """What the scores of these (user, row) pairs were made of."""
        users, rows = torch.from_numpy(users_T).long(), torch.from_numpy(rows_T).long()
        head, own = self._head, list(OWN)
        raw_TD = torch.empty(len(users), len(INPUTS))
        raw_TD[:, ITEM_INPUTS] = torch.from_numpy(self._item_NI[rows_T])
        raw_TD[:, USER_INPUTS] = self._user_BU[users]
        own_TO = self._own_BON[users, :, rows]
        raw_TD[:, own] = own_TO * head.deviation_D[own] + head.mean_D[own]
        standard_TD = head.standardised(raw_TD)
        standard_TD[:, own] = own_TO
        return Account(
            raw_TD=raw_TD.numpy(),
            standard_TD=standard_TD.numpy(),
            parts_TG=shapley_values(head, standard_TD).total().numpy(),
            closeness_TH=self._closeness(users_T, rows),
        )

    @torch.no_grad()
    def standardised(self, user: int) -> Tensor:
        """What the head sees of every row for one user: (N, D)."""
        standard_ND = torch.empty(self.scores_BN.shape[1], len(INPUTS))
        items_NI = torch.from_numpy(self._item_NI)
        for columns, raw_NI in ((ITEM_INPUTS, items_NI), (USER_INPUTS, self._user_BU[user])):
            centred = (raw_NI - self._head.mean_D[columns]) / self._head.deviation_D[columns]
            standard_ND[:, columns] = centred.clamp(-CLIP, CLIP)
        standard_ND[:, list(OWN)] = self._own_BON[user].T
        return standard_ND

    def _closeness(self, users_T: IntArray, rows: Tensor) -> FloatArray:
        """Cosine of each item with the user's items; 0 where there are no more."""
        closeness_TH = np.zeros((len(rows), self._history_BH.shape[1]), np.float32)
        candidates_TV = gather(self._vectors_ND, rows)
        for user in np.unique(users_T):
            own_T = users_T == user
            history_H = self._history_BH[user]
            known_H = history_H[history_H >= 0]
            items_HV = gather(self._vectors_ND, known_H)
            dots = candidates_TV[torch.from_numpy(own_T)] @ items_HV.T
            closeness_TH[own_T, : len(known_H)] = dots.numpy()
        return closeness_TH
