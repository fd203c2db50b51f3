"""The replay, put together: files, the language model, the learner, what it is compared to.

Loads torch and the language model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from streamrec.bootstrap import clients
from streamrec.bootstrap.recorded import read_events, read_items
from streamrec.core.baselines import WEIGHTS, StatisticRanker
from streamrec.core.catalogue import Catalogue
from streamrec.core.events import Interaction
from streamrec.core.fold import FoldRules
from streamrec.errors import UserError
from streamrec.model.encoder import TextEncoder
from streamrec.model.fast_lane import FastRecipe
from streamrec.model.index import ItemIndex
from streamrec.model.learner import OnlineLearner, Recipe
from streamrec.model.loading import load_encoder
from streamrec.model.sasrec_learner import SasrecLearner
from streamrec.settings import Settings
from streamrec.stages.compare import LearnsUntil, Unlearned
from streamrec.stages.replay import Progress, Replay, ReplayLearner, ReplayOptions, Stream

FROZEN, STATIC, SASREC = "frozen", "static", "sasrec"
BASELINES = (*WEIGHTS, FROZEN, STATIC, SASREC)
STATIC_PART = 0.3
"""*static* learns from this part of the scored stream and stands still from then on."""

FROZEN_RECIPE = Recipe(
    fast=FastRecipe(
        inputs=("sim_decayed", "sim_mean", "accepts_5000ev", "rate_5000ev"), hidden=False
    ),
    slow=None,
)
"""*frozen*: the frozen encoder's cosine, live popularity and click rate, a linear head."""


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """What the command line asks for."""

    items: Path
    events: Path
    warmup_until_ms: int | None = None
    learn: bool = True
    seed: int = 0
    slow_lane: bool = True
    compare: tuple[str, ...] = ()


def run_replay(
    settings: Settings, plan: ReplayPlan, on_progress: Callable[[Progress], None] | None = None
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
        rules=FoldRules(
            partitions=1,
            attribution_window_ms=int(settings.ingest.attribution_window_s * 1_000),
            sampled_negatives=settings.ingest.sampled_negatives,
        ),
    )
    catalogue = Catalogue()
    catalogue.put(items)
    encoder = load_encoder(settings.encoder)
    index = ItemIndex(encoder)
    index.ensure(catalogue)
    make = _Makers(catalogue, encoder, index, plan)
    stop = _static_until(events, plan)
    compare = {name: make.baseline(name, stop) for name in plan.compare}
    replay = Replay(Stream(items, events), catalogue, make.learner(), options, compare)
    return replay.run(on_progress)


@dataclass(frozen=True, slots=True)
class _Makers:
    """Learners over one catalogue and one frozen base."""

    catalogue: Catalogue
    encoder: TextEncoder
    index: ItemIndex
    plan: ReplayPlan

    def learner(self, recipe: Recipe | None = None) -> OnlineLearner:
        recipe = recipe or Recipe()
        if not self.plan.slow_lane:
            recipe = replace(recipe, slow=None)
        return OnlineLearner(self.catalogue, self.index, self.plan.seed, recipe, self.encoder)

    def baseline(self, name: str, static_until: int) -> ReplayLearner:
        if name == FROZEN:
            return self.learner(FROZEN_RECIPE)
        if name == STATIC:
            return LearnsUntil(self.learner(), static_until)
        if name == SASREC:
            return SasrecLearner(self.catalogue)
        return Unlearned(StatisticRanker(WEIGHTS[name]))


def _static_until(events: Sequence[Interaction], plan: ReplayPlan) -> int:
    until_ms = plan.warmup_until_ms or 0
    first = next((n for n, e in enumerate(events) if e.occurred_at_ms >= until_ms), len(events))
    return first + int(STATIC_PART * (len(events) - first))
