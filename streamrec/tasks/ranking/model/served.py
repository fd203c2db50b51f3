"""A checked generation as something that ranks: ``ports.ServingModel``.

Knows how weights, an index that grows and a catalogue become a ranker. Does not know when
it is active or who asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from streamrec.core.examples import FloatArray
from streamrec.core.release.manifest import Manifest
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.user_state import UserState
from streamrec.errors import GenerationRefused
from streamrec.models.encoder import TextEncoder
from streamrec.models.encoder_shapes import EncoderShapes
from streamrec.models.generation import Expectations, Generation, expectations
from streamrec.models.hotswap import Fit, WarmGenerations, encoded_generations
from streamrec.models.item_index import ItemIndex
from streamrec.models.signing import EVERYBODY, Signers
from streamrec.settings import EncoderSettings
from streamrec.tasks.ranking.candidates.pooling import CandidatePools
from streamrec.tasks.ranking.candidates.ranking import CandidateRanking
from streamrec.tasks.ranking.features import FEATURE_SET, FeatureMaker
from streamrec.tasks.ranking.lists.model_ports import PoolRequest, Ranking, RankingModel
from streamrec.tasks.ranking.model.head import (
    KINDS,
    NEUTRAL,
    QUERY_PART,
    Head,
    inputs_then,
    widened,
)
from streamrec.tasks.ranking.model.ranker import Ranker
from streamrec.tasks.ranking.model.ranking import MicroBatchRanking


class ServedGeneration(RankingModel):
    """One generation over an index that it may share with others."""

    def __init__(
        self,
        read: Generation,
        index: ItemIndex,
        catalogue: Catalogue,
        candidates_from: int | None = None,
    ) -> None:
        """``candidates_from``: items from which on not every one is scored; None: never.

        Raises GenerationRefused when the head is calibrated for no known kind of example.
        """
        head = head_of(read)
        if not 0 <= int(head.served_kind) < len(KINDS):
            raise GenerationRefused(f"{read.manifest.generation}: served_kind is out of range")
        self._manifest = read.manifest
        self._index = index
        self._catalogue = catalogue
        self._ranker = Ranker(head, index.dots, catalogue, index.encode_queries)
        self._pools = CandidatePools(head, index, catalogue)
        if candidates_from is not None:
            index.keep_nearest(candidates_from)

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

    def asked_for(
        self, ranking: Ranking, users_A: Sequence[int], queries: Sequence[str]
    ) -> FloatArray:
        """What each text adds to its user's scores: (A, N)."""
        if not isinstance(ranking, MicroBatchRanking):
            raise TypeError("a ranking of another model")
        return self._current().asked(ranking, users_A, queries)

    def prepare(self, features: FeatureMaker) -> None:
        """See ``RankingModel``."""
        self._pools.prepare(features)

    @property
    def has_candidates(self) -> bool:
        """Whether the index keeps what is near: from then on it always does."""
        return self._pools.ready

    def candidates(self, asked: Sequence[PoolRequest], features: FeatureMaker) -> CandidateRanking:
        """Some hundred rows of each, scored exactly."""
        return self._pools.ranking(asked, features)

    def exact(self, user: UserState, now_ms: int, features: FeatureMaker) -> FloatArray:
        """``rank`` of one user, block by block: (N,)."""
        return self._pools.exact(user, now_ms, features)

    def _current(self) -> Ranker:
        """The ranker over the index as it is now."""
        dots = self._index.dots
        if self._ranker.dots is not dots:
            old = self._ranker
            self._ranker = Ranker(old.head, dots, self._catalogue, old.encode)
        return self._ranker


def hot_swap(
    encoder: TextEncoder,
    catalogue: Catalogue,
    signers: Signers = EVERYBODY,
    settings: EncoderSettings | None = None,
    candidates_from: int | None = None,
) -> WarmGenerations[ServedGeneration]:
    """Generations of ``signers`` over ``encoder``'s base, ranking ``catalogue``.

    ``settings``: of the encoder; with them, generations of other settings are served too.
    ``candidates_from``: items from which on not every one is scored.
    """
    shapes = EncoderShapes(encoder, settings)
    return encoded_generations(
        encoder,
        head_expectations(encoder, signers),
        lambda read, index: ServedGeneration(read, index, catalogue, candidates_from),
        fitting(shapes, signers),
    )


def fitting(shapes: EncoderShapes, signers: Signers = EVERYBODY) -> Fit:
    """Each generation on an encoder of its own shape, with a head of its own inputs."""

    def fit(manifest: Manifest) -> tuple[TextEncoder, Expectations]:
        encoder = shapes.of(manifest)
        return encoder, head_expectations(encoder, signers, manifest)

    return fit


def head_of(read: Generation) -> Head:
    """On the inputs of this version. Raises GenerationRefused when it reads others."""
    head = Head()
    try:
        head.load_state_dict(widened(read.head, inputs_then(read.manifest)))
    except GenerationRefused as error:
        raise GenerationRefused(f"{read.manifest.generation}: {error}") from None
    return head


def head_expectations(
    encoder: TextEncoder, signers: Signers = EVERYBODY, manifest: Manifest | None = None
) -> Expectations:
    """What this version's encoder and head can run; or what a generation says that it needs."""
    shapes = {name: tuple(tensor.shape) for name, tensor in Head().state_dict().items()}
    feature_set = FEATURE_SET
    if manifest is not None and manifest.feature_set != FEATURE_SET:
        feature_set, width = manifest.feature_set, len(inputs_then(manifest))
        shapes |= {name: (width, *shapes[name][1:]) for name in NEUTRAL}
    return replace(expectations(encoder, feature_set, shapes, signers), since=QUERY_PART)
