"""Exact scores of some rows of each user, and an account of them.

The same head on the same inputs as ``tasks.ranking.model.ranker`` gives it for the whole catalogue;
held equal by tests. Does not know where the rows come from.

Legend: B users, T rows of all users together, D inputs, Q inputs of a query, H history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import Catalogue, IntArray
from streamrec.models.item_index import Reads
from streamrec.tasks.ranking.features import FeatureMaker, user_features
from streamrec.tasks.ranking.lists.model_ports import Account, CandidateScores, PoolRequest
from streamrec.tasks.ranking.model.head import INPUTS, Head
from streamrec.tasks.ranking.model.query_inputs import query_inputs
from streamrec.tasks.ranking.model.shapley import shapley_values
from streamrec.tasks.ranking.model.similarity import (
    SIMILARITIES,
    candidate_similarities,
    gather,
    padded_rows,
)


@dataclass(frozen=True, slots=True, eq=False)
class RowScorer:
    """One generation at one moment of its index. ``encode``: reads queries; None: none is read."""

    head: Head
    vectors_ND: Tensor
    catalogue: Catalogue
    encode: Reads | None = None


class CandidateRanking(CandidateScores):
    """What a scorer makes of ``rows``: of each request some, ascending."""

    names = INPUTS

    @torch.no_grad()
    def __init__(
        self,
        scorer: RowScorer,
        asked: Sequence[PoolRequest],
        rows: Sequence[IntArray],
        features: FeatureMaker,
    ) -> None:
        self.rows = rows
        self._scorer = scorer
        self._ends = np.cumsum([0, *map(len, rows)])
        histories = [one.user.history for one in asked]
        self._history_BH = padded_rows([scorer.catalogue.rows(h) for h in histories])
        users_BU = np.array([user_features(one.user, one.now_ms) for one in asked])
        stats_TF = _statistics(histories, users_BU, rows, features)
        self._raw_TD = torch.cat([torch.from_numpy(stats_TF), self._similarities()], dim=1)
        self._standard_TD = scorer.head.standardised(self._raw_TD)
        scores_T = np.asarray(scorer.head(self._raw_TD).numpy(), np.float32)
        self.scores = [scores_T[self._own(b)] for b in range(len(rows))]
        self.asked = self._asked([one.query for one in asked])

    def account(self, users_T: IntArray, rows_T: IntArray) -> Account:
        """Of candidates alone."""
        at_T = torch.tensor(
            [self._place(u, r) for u, r in zip(users_T.tolist(), rows_T.tolist(), strict=True)],
            dtype=torch.int64,
        )
        standard_TD = self._standard_TD[at_T]
        return Account(
            raw_TD=self._raw_TD[at_T].numpy(),
            standard_TD=standard_TD.numpy(),
            parts_TG=shapley_values(self._scorer.head, standard_TD).total().numpy(),
            closeness_TH=self._closeness(users_T, rows_T),
        )

    def _own(self, user: int) -> slice:
        return slice(int(self._ends[user]), int(self._ends[user + 1]))

    def _place(self, user: int, row: int) -> int:
        return int(self._ends[user] + np.searchsorted(self.rows[user], row))

    def _similarities(self) -> Tensor:
        """(T, S)."""
        vectors_ND = self._scorer.vectors_ND
        sims_TS = torch.empty(int(self._ends[-1]), len(SIMILARITIES))
        for b, rows in enumerate(self.rows):
            rows_1C = torch.from_numpy(rows).long()[None]
            own_1H = self._history_BH[b : b + 1]
            sims_TS[self._own(b)] = candidate_similarities(vectors_ND, own_1H, rows_1C)[0]
        return sims_TS

    def _asked(self, queries: Sequence[str]) -> list[FloatArray | None]:
        of, added = self._scorer, list[FloatArray | None]([None] * len(queries))
        some = [b for b, query in enumerate(queries) if query]
        if of.encode is None or not some:
            return added
        texts, rows = [queries[b] for b in some], [self.rows[b] for b in some]
        read = query_inputs(texts, rows, of.vectors_ND, of.catalogue, of.encode)
        for b, query_CQ in zip(some, read, strict=True):
            found_C = of.head.query_part(self._standard_TD[self._own(b)], query_CQ)
            added[b] = np.asarray(found_C.numpy(), np.float32)
        return added

    def _closeness(self, users_T: IntArray, rows_T: IntArray) -> FloatArray:
        """Cosine of each item with the user's items, newest first; 0 where there are no more."""
        vectors_ND, history_BH = self._scorer.vectors_ND, self._history_BH
        closeness_TH = np.zeros((len(rows_T), history_BH.shape[1]), np.float32)
        for user in np.unique(users_T):
            own = np.flatnonzero(users_T == user)
            known_H = history_BH[user][history_BH[user] >= 0]
            items_CD = gather(vectors_ND, torch.from_numpy(rows_T[own]).long())
            dots_CH = items_CD @ gather(vectors_ND, known_H).T
            closeness_TH[own, : len(known_H)] = dots_CH.numpy()
        return closeness_TH


def _statistics(
    histories: Sequence[tuple[str, ...]],
    users_BU: NDArray[np.float64],
    rows: Sequence[IntArray],
    features: FeatureMaker,
) -> FloatArray:
    """(T, F)."""
    rows_T = np.concatenate([np.zeros(0, np.int32), *rows])
    owner_T = np.repeat(np.arange(len(rows)), [len(some) for some in rows])
    return features.features(histories, users_BU, rows_T, owner_T)
