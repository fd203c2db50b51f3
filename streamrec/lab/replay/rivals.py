"""What a replay compares to, made where it races: in a process beside the model's own.

Knows the baselines by name, and which half-life serves those that read statistics best. Imports
torch for those alone that need it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from streamrec.core.events import Interaction, Item
from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import Catalogue
from streamrec.lab.baselines.statistics import (
    CLICK_RATE,
    HALF_LIVES,
    ITEM_KNN,
    POPULARITY,
    WEIGHTS,
    StatisticRanker,
)
from streamrec.lab.replay.compare import Unlearned, strongest
from streamrec.lab.replay.contest import ReplayLearner
from streamrec.lab.replay.recorded import RecordedStream
from streamrec.lab.replay.replay import ReplayOptions

if TYPE_CHECKING:
    from streamrec.tasks.ranking.model.learner import LearnerConfig

FROZEN, STATIC, SASREC, BM25 = "frozen", "static", "sasrec", "bm25"
BASELINES = (*WEIGHTS, FROZEN, STATIC, SASREC, BM25)
STATIC_PART = 0.3
"""*static* learns from this part of the scored stream and stands still from then on; the
half-lives of popularity and click rate are chosen on it."""


class MadeVectors(NamedTuple):
    """By the language model as it came: of the items, and of the texts that were asked for."""

    items_ND: FloatArray
    texts: list[str]
    texts_TD: FloatArray


@dataclass(frozen=True, slots=True)
class Race:
    """Some of them, by name, over one stream; ``until``: the event where ``STATIC_PART`` ends."""

    names: tuple[str, ...]
    items: Sequence[Item]
    events: Sequence[Interaction]
    options: ReplayOptions
    until: int
    seed: int

    @property
    def wants_statistics(self) -> bool:
        return bool({*self.names} & {*HALF_LIVES, FROZEN})

    @property
    def wants_vectors(self) -> bool:
        """Of items and queries, by the language model as it came."""
        return FROZEN in self.names

    def rival(
        self,
        name: str,
        catalogue: Catalogue,
        statistics: Mapping[str, str],
        made: MadeVectors | None,
    ) -> ReplayLearner:
        """``statistics``: by baseline, the feature it reads."""
        if name == FROZEN and made is not None:
            return _frozen(catalogue, made, statistics, self.seed)
        if name == BM25:
            return _bm25(catalogue)
        if name == SASREC:
            return _sasrec(catalogue, self.seed)
        weights = WEIGHTS[ITEM_KNN] if name == ITEM_KNN else {statistics[name]: 1.0}
        return Unlearned(StatisticRanker(weights))


def strongest_statistics(
    stream: RecordedStream, catalogue: Catalogue, options: ReplayOptions, until: int
) -> dict[str, str]:
    """Which half-life serves popularity and click rate best, before event ``until``."""
    early = RecordedStream(stream.items, stream.events[:until])
    rankers = {
        name: {at: StatisticRanker({at: 1.0}) for at in columns}
        for name, columns in HALF_LIVES.items()
    }
    return strongest(early, catalogue, replace(options, learn=False), rankers)


def frozen_config(statistics: Mapping[str, str]) -> LearnerConfig:
    """*frozen*: the frozen encoder's cosine with history and query, live popularity and click rate,
    a linear head.

    ``statistics``: the feature that each of the last two is read from.
    """
    from streamrec.tasks.ranking.model.head_trainer import HeadConfig  # noqa: PLC0415 - torch
    from streamrec.tasks.ranking.model.learner import LearnerConfig  # noqa: PLC0415

    inputs = ("sim_decayed", "sim_mean", statistics[POPULARITY], statistics[CLICK_RATE])
    asked = ("query_last", "query_mean")
    return LearnerConfig(head=HeadConfig(inputs=(*inputs, *asked), hidden=False), adapter=None)


def _frozen(
    catalogue: Catalogue, made: MadeVectors, statistics: Mapping[str, str], seed: int
) -> ReplayLearner:
    torch = _torch_in_one_thread()
    from streamrec.models.item_index import FixedVectors  # noqa: PLC0415
    from streamrec.tasks.ranking.model.learner import OnlineLearner  # noqa: PLC0415

    read = dict(zip(made.texts, torch.from_numpy(made.texts_TD), strict=True))
    index = FixedVectors(torch.from_numpy(made.items_ND), read)
    return OnlineLearner(catalogue, index, seed, frozen_config(statistics))


def _sasrec(catalogue: Catalogue, seed: int) -> ReplayLearner:
    _torch_in_one_thread()
    from streamrec.lab.baselines.sasrec_learner import DEFAULTS, SasrecLearner  # noqa: PLC0415

    return SasrecLearner(catalogue, replace(DEFAULTS, seed=seed))


def _bm25(catalogue: Catalogue) -> ReplayLearner:
    _torch_in_one_thread()
    from streamrec.lab.baselines.bm25 import Bm25Ranker  # noqa: PLC0415

    return Unlearned(Bm25Ranker(catalogue))


def _torch_in_one_thread() -> Any:
    import torch  # noqa: PLC0415 - most of these need none of it

    torch.set_num_threads(1)
    return torch
