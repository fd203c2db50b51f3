"""All candidates of a micro-batch, found and scored exactly by one generation.

Knows which order of items and which index belong together. Does not know when every item is
scored instead (``tasks.ranking.candidates.switch``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.user_state import UserState
from streamrec.models.item_index import ItemIndex
from streamrec.tasks.ranking.candidates.generators import CandidateSources, pools
from streamrec.tasks.ranking.candidates.item_order import ItemOrder
from streamrec.tasks.ranking.candidates.ranking import CandidateRanking, RowScorer
from streamrec.tasks.ranking.features import FeatureMaker
from streamrec.tasks.ranking.lists.model_ports import PoolRequest
from streamrec.tasks.ranking.model.head import Head

_BLOCK = 20_000
"""Catalogue rows scored at once where all are."""


class CandidatePools:
    """Of one generation. One thread prepares, another asks."""

    def __init__(self, head: Head, index: ItemIndex, catalogue: Catalogue) -> None:
        self._head = head.requires_grad_(False)
        self._index = index
        self._catalogue = catalogue
        self._order: ItemOrder | None = None

    @property
    def ready(self) -> bool:
        view = self._index.view
        return view.nearest is not None

    def prepare(self, features: FeatureMaker) -> None:
        """What does not depend on who asks; from the thread that changes the catalogue."""
        if self.ready:
            self._order = ItemOrder(self._head, features, self._catalogue)

    def ranking(self, asked: Sequence[PoolRequest], features: FeatureMaker) -> CandidateRanking:
        """Raises ValueError where the index does not keep what is nearest."""
        view, order = self._index.view, self._order
        if view.nearest is None:
            raise ValueError("the index does not keep the nearest items")
        if order is None:  # before the first refresh
            order = self._order = ItemOrder(self._head, features, self._catalogue)
        encode, catalogue = self._index.encode_queries, self._catalogue
        sources = CandidateSources(view.nearest, order, view.vectors, catalogue, features, encode)
        return CandidateRanking(
            RowScorer(self._head, view.vectors, catalogue, encode),
            asked,
            pools(asked, sources),
            features,
        )

    def exact(self, user: UserState, now_ms: int, features: FeatureMaker) -> FloatArray:
        """Scores of every catalogue row for one user, block by block: (N,)."""
        scorer = RowScorer(self._head, self._index.vectors, self._catalogue)
        rows = np.arange(len(features.item_NI), dtype=np.int32)
        blocks = [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]
        asked = [PoolRequest(user, now_ms, len(rows))]
        scores = [CandidateRanking(scorer, asked, [block], features).scores[0] for block in blocks]
        return np.concatenate([np.zeros(0, np.float32), *scores])
