"""A checked generation as something that ranks: ``ports.ServingModel``.

Knows how weights, an index that grows and a catalogue become a ranker. Does not know when
it is active or who asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch.nn import functional

from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.user_state import UserState
from streamrec.errors import GenerationRefused
from streamrec.models.encoder import TextEncoder
from streamrec.models.generation import Expectations, Generation, expectations
from streamrec.models.hotswap import WarmGenerations, encoded_generations
from streamrec.models.item_index import ItemIndex
from streamrec.models.signing import EVERYBODY, Signers
from streamrec.tasks.ranking.features import FEATURE_SET, FeatureMaker
from streamrec.tasks.ranking.lists.model_ports import RankingModel
from streamrec.tasks.ranking.model.head import KINDS, Head
from streamrec.tasks.ranking.model.ranker import Ranker
from streamrec.tasks.ranking.model.ranking import MicroBatchRanking


class ServedGeneration(RankingModel):
    """One generation over an index that it may share with others."""

    def __init__(self, read: Generation, index: ItemIndex, catalogue: Catalogue) -> None:
        """Raises GenerationRefused when the head is calibrated for no known kind of example."""
        head = Head()
        head.load_state_dict(dict(read.head))
        if not 0 <= int(head.served_kind) < len(KINDS):
            raise GenerationRefused(f"{read.manifest.generation}: served_kind is out of range")
        self._manifest = read.manifest
        self._index = index
        self._catalogue = catalogue
        self._ranker = Ranker(head, index.dots, catalogue)

    @property
    def generation(self) -> str:
        return self._manifest.generation

    @property
    def trained_through(self) -> Mapping[str, int]:
        """Source partition (as text) -> next offset it was not trained on."""
        return self._manifest.trained_through

    def rank(
        self, users: Sequence[UserState], now_ms: Sequence[int], features: FeatureMaker
    ) -> FloatArray:
        """Scores (B, N) of every catalogue row for each user."""
        return self._current().rank(users, now_ms, features)

    def ranking(
        self, users: Sequence[UserState], now_ms: Sequence[int], features: FeatureMaker
    ) -> MicroBatchRanking:
        """``rank``, and what is needed to account for some of the scores afterwards."""
        return self._current().ranking(users, now_ms, features)

    def probability(self, scores: FloatArray) -> FloatArray:
        """P(accept | shown) of scores, of any shape."""
        return self._ranker.probability(scores)

    @torch.no_grad()
    def query_similarities(self, queries: Sequence[str], rows: int) -> FloatArray:
        """Cosine of each text with the first ``rows`` rows (Q, rows); 0 without a vector."""
        vectors_ND = self._index.vectors[:rows]
        cosine_QN = self._index.encode_queries(queries) @ vectors_ND.T
        padded: FloatArray = functional.pad(cosine_QN, (0, rows - cosine_QN.shape[1])).numpy()
        return padded

    def _current(self) -> Ranker:
        """The ranker over the index as it is now."""
        dots = self._index.dots
        if self._ranker.dots is not dots:
            self._ranker = Ranker(self._ranker.head, dots, self._catalogue)
        return self._ranker


def hot_swap(
    encoder: TextEncoder, catalogue: Catalogue, signers: Signers = EVERYBODY
) -> WarmGenerations[ServedGeneration]:
    """Generations of ``signers`` over ``encoder``'s base, ranking ``catalogue``."""
    expected = head_expectations(encoder, signers)
    return encoded_generations(
        encoder, expected, lambda read, index: ServedGeneration(read, index, catalogue)
    )


def head_expectations(encoder: TextEncoder, signers: Signers = EVERYBODY) -> Expectations:
    """What this version's encoder and head can run."""
    shapes = {name: tuple(tensor.shape) for name, tensor in Head().state_dict().items()}
    return expectations(encoder, FEATURE_SET, shapes, signers)
