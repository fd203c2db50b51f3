"""The replay, put together: files, the language model, the learner, what it is compared to.

Loads torch and the language model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from streamrec.apps import clients
from streamrec.core.state.catalogue import Catalogue
from streamrec.errors import UserError
from streamrec.lab.baselines.sasrec_learner import DEFAULTS as SASREC_DEFAULTS
from streamrec.lab.baselines.sasrec_learner import SasrecLearner
from streamrec.lab.baselines.statistics import (
    CLICK_RATE,
    HALF_LIVES,
    ITEM_KNN,
    POPULARITY,
    WEIGHTS,
    StatisticRanker,
)
from streamrec.lab.measures.leaderboard import ScoredSpan
from streamrec.lab.replay.compare import LearnsUntil, Unlearned, strongest
from streamrec.lab.replay.contest import ReplayLearner
from streamrec.lab.replay.recorded import RecordedStream
from streamrec.lab.replay.recorded_main import fold_rules, read_events, read_items
from streamrec.lab.replay.replay import Replay, ReplayOptions, ReplayProgress
from streamrec.models.encoder import TextEncoder
from streamrec.models.item_index import ItemIndex
from streamrec.models.loading import load_encoder
from streamrec.settings import Settings
from streamrec.tasks.ranking.model.config import learner_config
from streamrec.tasks.ranking.model.head_trainer import HeadConfig
from streamrec.tasks.ranking.model.learner import LearnerConfig, OnlineLearner

FROZEN, STATIC, SASREC = "frozen", "static", "sasrec"
BASELINES = (*WEIGHTS, FROZEN, STATIC, SASREC)
STATIC_PART = 0.3
"""*static* learns from this part of the scored stream and stands still from then on; the
half-lives of popularity and click rate are chosen on it."""


def frozen_config(statistics: Mapping[str, str]) -> LearnerConfig:
    """*frozen*: the frozen encoder's cosine, live popularity and click rate, a linear head.

    ``statistics``: the feature that each of the last two is read from.
    """
    inputs = ("sim_decayed", "sim_mean", statistics[POPULARITY], statistics[CLICK_RATE])
    return LearnerConfig(head=HeadConfig(inputs=inputs, hidden=False), adapter=None)


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """What the command line asks for."""

    items: Path
    events: Path
    warmup_until_ms: int | None = None
    learn: bool = True
    seed: int = 0
    train_adapter: bool = True
    compare: tuple[str, ...] = ()


def run_replay(
    settings: Settings,
    plan: ReplayPlan,
    on_progress: Callable[[ReplayProgress], None] | None = None,
    new_learner: Callable[..., OnlineLearner] = OnlineLearner,
) -> dict[str, Any]:
    """The report of one pass over the stream.

    Raises:
        UserError: a file or a line in it cannot be used, an unknown baseline.
        EncoderUnavailable, SettingsError: the language model cannot be made.
    """
    unknown = sorted(set(plan.compare) - set(BASELINES))
    if unknown:
        raise UserError(f"no baseline {', '.join(unknown)}; there are {', '.join(BASELINES)}")
    codec = clients.codec(settings)
    items = read_items(plan.items, codec)
    events = read_events(plan.events, codec)
    options = ReplayOptions(
        warmup_until_ms=plan.warmup_until_ms,
        learn=plan.learn,
        rules=fold_rules(settings),
        seed=plan.seed,
    )
    stream = RecordedStream(items, events)
    catalogue = Catalogue()
    catalogue.put(items)
    encoder = load_encoder(settings.encoder)
    index = ItemIndex(encoder)
    index.ensure(catalogue)
    static_until = _static_until(stream, plan)
    statistics: dict[str, str] = {}
    if set(plan.compare) & {*HALF_LIVES, FROZEN}:
        statistics = strongest_statistics(stream, catalogue, options, static_until)
    config = learner_config(_seeded(settings, plan.seed), encoder)
    make = _Makers(catalogue, encoder, index, plan, config, statistics, new_learner)
    compare = {name: make.baseline(name, static_until) for name in plan.compare}
    replay = Replay(stream, catalogue, make.learner(), options, compare)
    return replay.run(on_progress) | {"baselines": {"statistics": statistics}}


@dataclass(frozen=True, slots=True)
class _Makers:
    """Learners over one catalogue and one frozen base."""

    catalogue: Catalogue
    encoder: TextEncoder
    index: ItemIndex
    plan: ReplayPlan
    config: LearnerConfig
    statistics: Mapping[str, str]  # by baseline: the feature it reads
    new_learner: Callable[..., OnlineLearner]

    def learner(self, config: LearnerConfig | None = None) -> OnlineLearner:
        config = config or self.config
        if not self.plan.train_adapter:
            config = replace(config, adapter=None)
        return self.new_learner(self.catalogue, self.index, self.plan.seed, config, self.encoder)

    def baseline(self, name: str, static_until: int) -> ReplayLearner:
        if name == FROZEN:
            return self.learner(frozen_config(self.statistics))
        if name == STATIC:
            return LearnsUntil(self.learner(), static_until)
        if name == SASREC:
            return SasrecLearner(self.catalogue, replace(SASREC_DEFAULTS, seed=self.plan.seed))
        weights = WEIGHTS[ITEM_KNN] if name == ITEM_KNN else {self.statistics[name]: 1.0}
        return Unlearned(StatisticRanker(weights))


def _seeded(settings: Settings, seed: int) -> Settings:
    return replace(settings, trainer=replace(settings.trainer, seed=seed))


def _static_until(stream: RecordedStream, plan: ReplayPlan) -> int:
    return ScoredSpan(stream.first_at(plan.warmup_until_ms), len(stream.events)).part(STATIC_PART)


def strongest_statistics(
    stream: RecordedStream, catalogue: Catalogue, options: ReplayOptions, until: int
) -> dict[str, str]:
    """Which half-life serves popularity and click rate best, before event ``until``."""
    early = RecordedStream(stream.items, stream.events[:until])
    options = replace(options, learn=False)
    return {
        name: strongest(
            early, catalogue, options, {at: StatisticRanker({at: 1.0}) for at in columns}
        )
        for name, columns in HALF_LIVES.items()
    }
