"""BM25: how many of a query's words an item's text has, and how rare these are.

Robertson & Walker 1994, with the usual k1 and b. Does not learn, and knows no user.

Legend: B users, N catalogue rows.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import Catalogue, IntArray
from streamrec.core.state.named_items import split
from streamrec.core.state.user_state import UserState
from streamrec.models.item_index import item_text
from streamrec.tasks.ranking.examples import RankingExample
from streamrec.tasks.ranking.features import FeatureMaker

K1, B = 1.2, 0.75


class Bm25Ranker:
    """Of a catalogue as it is now; later items score 0."""

    def __init__(self, catalogue: Catalogue) -> None:
        texts = [split(item_text(catalogue.item(row))) for row in range(len(catalogue))]
        usual = max(1.0, float(np.mean([len(words) for words in texts])) if texts else 1.0)
        self._catalogue, self._n = catalogue, len(texts)
        entries: dict[str, list[tuple[int, float]]] = {}
        for row, words in enumerate(texts):
            length = K1 * (1.0 - B + B * len(words) / usual)
            for word, count in Counter(words).items():
                entries.setdefault(word, []).append((row, count * (K1 + 1.0) / (count + length)))
        self._entries: dict[str, tuple[IntArray, FloatArray]] = {}
        for word, found in entries.items():
            rarity = math.log(1.0 + (self._n - len(found) + 0.5) / (len(found) + 0.5))
            rows, weights = zip(*found, strict=True)
            scores = np.array(weights, np.float32) * np.float32(rarity)
            self._entries[word] = (np.array(rows, np.int32), scores)

    def scores(self, query: str, n: int) -> FloatArray:
        """Of the first ``n`` rows: (N,)."""
        scores_N = np.zeros(max(n, self._n), np.float32)
        for word in set(split(query)):
            if word in self._entries:
                rows, scores = self._entries[word]
                scores_N[rows] += scores
        return scores_N[:n]

    def rank(
        self,
        users: Sequence[UserState],
        now_ms: Sequence[int],  # noqa: ARG002 - words have no time
        features: FeatureMaker,
        queries: Sequence[str] = (),
    ) -> FloatArray:
        """Scores (B, N); 0 of everything for who asked for nothing."""
        n = len(features.item_NI)
        asked = queries or [""] * len(users)
        return np.stack([self.scores(query, n) for query in asked])

    def score(self, examples: Sequence[RankingExample]) -> list[FloatArray]:
        """The same of logged examples, squashed into (0, 1): an order, not a probability."""
        scored = []
        for example in examples:
            rows_C = self._catalogue.rows(example.candidates)
            scores_C = self.scores(example.query, len(self._catalogue))[rows_C]
            scored.append(np.where(rows_C < 0, 0.0, 1.0 / (1.0 + np.exp(-scores_C))))
        return [np.asarray(one, np.float32) for one in scored]
