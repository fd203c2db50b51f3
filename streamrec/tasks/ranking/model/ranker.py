"""The immutable scorer of one generation: logged examples, or users against the catalogue.

Knows one head, one set of item vectors and the catalogue that gives rows to ids. Does not
know how either was trained, who asks, or what a policy does with the scores.

Both paths give the same score for the same user, item and statistics; the catalogue path
shares between users what depends on the item alone.

Legend: B users or examples, N catalogue rows, C candidates, D inputs, M hidden units,
I/P/U/S item, pair, user features and similarities.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.user_state import UserState
from streamrec.models.dot_rows import DotRows
from streamrec.models.item_index import Reads
from streamrec.tasks.ranking.examples import RankingExample
from streamrec.tasks.ranking.features import (
    PAIR_FEATURES,
    FeatureMaker,
    user_features,
)
from streamrec.tasks.ranking.model.head import CLIP, Head
from streamrec.tasks.ranking.model.query_inputs import (
    QUERY_INPUTS,
    catalogue_inputs,
    query_inputs,
)
from streamrec.tasks.ranking.model.ranking import ITEM_INPUTS, OWN, USER_INPUTS, MicroBatchRanking
from streamrec.tasks.ranking.model.similarity import (
    candidate_similarities,
    catalogue_similarities,
    padded_rows,
    put_similarities,
)
from streamrec.tasks.ranking.model.tensors import ExampleTensors, example_tensors

_SCORED_AT_ONCE = 64
"""Examples padded together: their candidates' vectors stay within tens of megabytes."""
_BLOCK = 2048
"""Catalogue rows scored at once: their hidden units stay in the processor's cache."""


def head_inputs(vectors_ND: Tensor, batch: ExampleTensors) -> Tensor:
    """What the head sees of examples: (B, C, D)."""
    sims_BCS = candidate_similarities(vectors_ND, batch.history_BH, batch.rows_BC)
    return torch.cat([batch.stats_BCF, sims_BCS], dim=-1)


def asked_inputs(
    examples: Sequence[RankingExample],
    rows_BC: Tensor,
    vectors_ND: Tensor,
    catalogue: Catalogue,
    encode: Reads | None,
) -> tuple[Tensor, Tensor]:
    """Of examples that a query led to, what it says of their candidates: (B, C, Q); and which
    these are: (B,). None where nobody can ``encode``."""
    query_BCQ = torch.zeros(*rows_BC.shape, len(QUERY_INPUTS))
    asked = [b for b, one in enumerate(examples) if one.query and encode is not None]
    asked_B = torch.zeros(len(examples), dtype=torch.bool)
    if asked and encode is not None:
        asked_B[asked] = True
        queries, rows = [examples[b].query for b in asked], [rows_BC[b].numpy() for b in asked]
        found = query_inputs(queries, rows, vectors_ND, catalogue, encode)
        query_BCQ[asked] = torch.stack(found)
    return query_BCQ, asked_B


class Ranker:
    """A ``ports.Scorer`` with frozen weights."""

    def __init__(
        self, head: Head, dots: DotRows, catalogue: Catalogue, encode: Reads | None = None
    ) -> None:
        """``dots``: of the index; generations that share it share what it remembers. ``encode``:
        reads queries; without it none are."""
        self.encode = encode
        self.head = head.requires_grad_(False)
        self.dots = dots
        self._catalogue = catalogue
        self._shared: tuple[FeatureMaker, Tensor, Tensor] | None = None

    @torch.no_grad()
    def score(self, examples: Sequence[RankingExample]) -> list[FloatArray]:
        """P(accept | shown) of each example's candidates: one (C,) array each."""
        scored: list[FloatArray] = []
        for start in range(0, len(examples), _SCORED_AT_ONCE):
            part = examples[start : start + _SCORED_AT_ONCE]
            batch = example_tensors(part, self._catalogue)
            vectors_ND = self.dots.vectors_ND
            asked = asked_inputs(part, batch.rows_BC, vectors_ND, self._catalogue, self.encode)
            scores_BC = self.head.asked(head_inputs(vectors_ND, batch), *asked)
            logits_BC = self.head.calibrated_logit(scores_BC, batch.kind_B[:, None])
            for p_C, example in zip(logits_BC.sigmoid().numpy(), part, strict=True):
                scored.append(p_C[: len(example.candidates)])
        return scored

    def rank(
        self,
        users: Sequence[UserState],
        now_ms: Sequence[int],
        features: FeatureMaker,
        queries: Sequence[str] = (),
    ) -> FloatArray:
        """Scores (B, N) of every catalogue row for each user; ``probability`` calibrates them.

        ``queries``: one for each user, "" where nothing was asked for; or none at all.
        """
        ranking = self.ranking(users, now_ms, features)
        asked = [b for b, query in enumerate(queries) if query]
        if asked:
            added_AN = self.asked(ranking, asked, [queries[b] for b in asked])
            ranking.scores_BN[asked] += added_AN
        return ranking.scores_BN

    @torch.no_grad()
    def asked(
        self, ranking: MicroBatchRanking, users_A: Sequence[int], queries: Sequence[str]
    ) -> FloatArray:
        """What each query adds to the scores of its user, a row of the ranking: (A, N)."""
        n = ranking.scores_BN.shape[1]
        if self.encode is None:
            return np.zeros((len(queries), n), np.float32)
        vectors_ND = self.dots.vectors_ND
        read = catalogue_inputs(queries, n, vectors_ND, self._catalogue, self.encode)
        part = self.head.query_part
        added = [
            part(ranking.standardised(user), query_NQ)
            for user, query_NQ in zip(users_A, read, strict=True)
        ]
        return np.asarray(torch.stack(added).numpy(), np.float32)

    @torch.no_grad()
    def ranking(
        self, users: Sequence[UserState], now_ms: Sequence[int], features: FeatureMaker
    ) -> MicroBatchRanking:
        """``rank``, and what is needed to account for some of the scores afterwards."""
        histories = [user.history for user in users]
        history_BH = padded_rows([self._catalogue.rows(h) for h in histories])
        user_BU = torch.tensor([user_features(u, at) for u, at in zip(users, now_ms, strict=True)])
        own_BON = self._own_inputs(histories, history_BH, features)
        scores_BN = self._scores(own_BON, user_BU, features).numpy()
        return MicroBatchRanking(
            head=self.head,
            vectors_ND=self.dots.vectors_ND,
            history_BH=history_BH,
            scores_BN=scores_BN,
            own_BON=own_BON,
            user_BU=user_BU,
            features=features,
        )

    def probability(self, scores: FloatArray) -> FloatArray:
        """Calibrated P(accept | shown) of scores of any shape; keeps their order."""
        logits = self.head.calibrated_logit(torch.from_numpy(scores), self.head.served_kind)
        return np.asarray(logits.sigmoid().numpy(), np.float32)

    def _own_inputs(
        self, histories: Sequence[tuple[str, ...]], history_BH: Tensor, features: FeatureMaker
    ) -> Tensor:
        """(B, O, N), written once: at 10,000 items a copy costs more than the arithmetic."""
        n, pairs, indexed = len(features.item_NI), len(PAIR_FEATURES), len(self.dots.vectors_ND)
        own_BON = torch.zeros(len(histories), len(OWN), n)
        features.put_pair_features(histories, own_BON[:, :pairs].numpy())
        if indexed <= n:  # items that came since are similar to nothing
            put_similarities(self.dots, history_BH, own_BON[:, pairs:, :indexed])
        else:
            own_BON[:, pairs:] = catalogue_similarities(self.dots, history_BH)[:, :, :n]
        return own_BON

    def _scores(self, own_BON: Tensor, user_BU: Tensor, features: FeatureMaker) -> Tensor:
        """The head, with item, user and own inputs kept apart until they must meet.

        ``own_BON`` is standardised in place.
        """
        head = self.head
        linear_N, hidden_MN = self._item_part(features)
        user_BU = self._standardised(user_BU, USER_INPUTS)
        hidden_BM = user_BU @ head.inner_DM[USER_INPUTS] + head.bias_M
        own = list(OWN)
        own_BON = own_BON.sub_(head.mean_D[own, None]).div_(head.deviation_D[own, None])
        own_BON = own_BON.clamp_(-CLIP, CLIP)
        inner_MO, outer_1M = head.inner_DM[own].T.contiguous(), head.outer_M[None]
        scores_BN = head.linear_D[own] @ own_BON + linear_N
        scores_BN += (user_BU @ head.linear_D[USER_INPUTS])[:, None]
        for b, own_ON in enumerate(own_BON):
            for start in range(0, own_ON.shape[1], _BLOCK):
                rows = slice(start, start + _BLOCK)
                hidden_MR = torch.addmm(hidden_MN[:, rows], inner_MO, own_ON[:, rows])
                hidden_MR = hidden_MR.add_(hidden_BM[b, :, None]).relu_()
                scores_BN[b, rows] += (outer_1M @ hidden_MR)[0]
        return scores_BN

    def _item_part(self, features: FeatureMaker) -> tuple[Tensor, Tensor]:
        if self._shared is None or self._shared[0] is not features:
            items = self._standardised(torch.from_numpy(features.item_NI), ITEM_INPUTS)
            linear_N = items @ self.head.linear_D[ITEM_INPUTS]
            hidden_MN = self.head.inner_DM[ITEM_INPUTS].T @ items.T
            self._shared = (features, linear_N, hidden_MN)
        return self._shared[1:]

    def _standardised(self, inputs: Tensor, columns: slice) -> Tensor:
        head = self.head
        centred = (inputs - head.mean_D[columns]) / head.deviation_D[columns]
        return centred.clamp(-CLIP, CLIP)
