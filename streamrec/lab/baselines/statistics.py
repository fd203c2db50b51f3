"""Rankings by live statistics alone: what learning must beat.

Knows three classics, read off the same features that the model sees, so they enjoy the same
freshness: decayed popularity, live click rate, and incremental item-kNN by co-occurrence.
Does not learn weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from streamrec.core.examples import FloatArray
from streamrec.core.state.user_state import UserState
from streamrec.tasks.ranking.examples import RankingExample
from streamrec.tasks.ranking.features import FEATURES, ITEM_FEATURES, PAIR_FEATURES, FeatureMaker

POPULARITY = "popularity"
CLICK_RATE = "click-rate"
ITEM_KNN = "itemknn"

WEIGHTS: Mapping[str, Mapping[str, float]] = {
    POPULARITY: {"accepts_5000ev": 1.0},  # or another of HALF_LIVES
    CLICK_RATE: {"rate_5000ev": 1.0},
    ITEM_KNN: {"with_cosine": 1.0, "accepts_5000ev": 1e-3},  # popularity where no pair is known
}


HALF_LIVES: Mapping[str, tuple[str, ...]] = {
    POPULARITY: tuple(name for name in ITEM_FEATURES if name.startswith("accepts_")),
    CLICK_RATE: tuple(name for name in ITEM_FEATURES if name.startswith("rate_")),
}
"""The columns that a baseline may choose from: one for each half-life."""


class StatisticRanker:
    """Scores are a fixed sum of features."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        """Raises ValueError for a name that is no item or pair feature."""
        unknown = sorted(weights.keys() - {*ITEM_FEATURES, *PAIR_FEATURES})
        if unknown:
            raise ValueError(f"no item or pair feature is called {', '.join(unknown)}")
        self._weights_F = np.array([weights.get(name, 0.0) for name in FEATURES], np.float32)
        items, pairs = len(ITEM_FEATURES), len(ITEM_FEATURES) + len(PAIR_FEATURES)
        self._item_I, self._pair_P = self._weights_F[:items], self._weights_F[items:pairs]

    def rank(
        self,
        users: Sequence[UserState],
        now_ms: Sequence[int],  # noqa: ARG002 - statistics speak of their watermark
        features: FeatureMaker,
        queries: Sequence[str] = (),  # noqa: ARG002
    ) -> FloatArray:
        """Scores (B, N) of every catalogue row."""
        scores_N = features.item_NI @ self._item_I
        scores_BN = np.tile(scores_N, (len(users), 1))
        if self._pair_P.any():
            pairs_BPN = features.catalogue_pair_features([user.history for user in users])
            scores_BN += np.einsum("bpn,p->bn", pairs_BPN, self._pair_P)
        return scores_BN.astype(np.float32)

    def score(self, examples: Sequence[RankingExample]) -> list[FloatArray]:
        """The same of logged examples, squashed into (0, 1): an order, not a probability."""
        sums = [example.stats_CF @ self._weights_F for example in examples]
        return [(1.0 / (1.0 + np.exp(-s))).astype(np.float32) for s in sums]
