"""The replay, put together: files, the language model, the learner, what it is compared to.

Loads torch and the language model. The model, and *static*, which is the model until it stands
still, race here; the other baselines beside it, in processes of their own.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from streamrec.apps import clients
from streamrec.core.state.catalogue import Catalogue
from streamrec.errors import UserError
from streamrec.lab.measures.leaderboard import ScoredSpan
from streamrec.lab.replay.beside import Beside, beside, packed
from streamrec.lab.replay.compare import LearnerWithStatic
from streamrec.lab.replay.recorded import RecordedStream
from streamrec.lab.replay.recorded_main import fold_rules, read_events, read_items, roomy
from streamrec.lab.replay.replay import Replay, ReplayOptions, ReplayProgress
from streamrec.lab.replay.rivals import BASELINES, STATIC, STATIC_PART, MadeVectors, Race
from streamrec.models.item_index import ItemIndex
from streamrec.models.loading import load_encoder
from streamrec.models.vector_cache import VectorCache
from streamrec.settings import Settings
from streamrec.tasks.ranking.model.config import learner_config
from streamrec.tasks.ranking.model.learner import OnlineLearner
from streamrec.tasks.ranking.model.query_inputs import pieces_of


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


Tell = Callable[[ReplayProgress], None]


def run_replay(
    settings: Settings,
    plan: ReplayPlan,
    on_progress: Tell = lambda _: None,
    new_learner: Callable[..., OnlineLearner] = OnlineLearner,
) -> dict[str, Any]:
    """The report of one pass over the stream.

    Raises:
        UserError: a file or a line in it cannot be used, an unknown baseline.
        EncoderUnavailable, SettingsError: the language model cannot be made.
        GroupBroken: a baseline's process has died.
    """
    unknown = sorted(set(plan.compare) - set(BASELINES))
    if unknown:
        raise UserError(f"no baseline {', '.join(unknown)}; there are {', '.join(BASELINES)}")
    codec = clients.codec(settings)
    stream = RecordedStream(read_items(plan.items, codec), read_events(plan.events, codec))
    options = ReplayOptions(
        warmup_until_ms=plan.warmup_until_ms,
        learn=plan.learn,
        rules=fold_rules(settings),
        seed=plan.seed,
    )
    with beside(_races(stream, options, plan)) as rivals:
        replay = _prepared(settings, plan, stream, options, new_learner=new_learner, rivals=rivals)
        return _raced(replay, plan, rivals, on_progress)


def _races(stream: RecordedStream, options: ReplayOptions, plan: ReplayPlan) -> list[Race]:
    """What does not race here, for one process fewer than there are cores."""
    names, until = [name for name in plan.compare if name != STATIC], _static_until(stream, plan)
    dealt = packed(names, max(1, (os.cpu_count() or 2) - 1))
    return [Race(n, stream.items, stream.events, options, until, plan.seed) for n in dealt]


def _prepared(
    settings: Settings,
    plan: ReplayPlan,
    stream: RecordedStream,
    options: ReplayOptions,
    *,
    new_learner: Callable[..., OnlineLearner],
    rivals: Beside,
) -> Replay:
    catalogue = Catalogue()
    catalogue.put(stream.items)
    kept = VectorCache(settings.state_dir / "vectors")
    encoder = load_encoder(roomy(settings.encoder), kept=kept)
    index = ItemIndex(encoder)
    index.ensure(catalogue)
    rivals.send_vectors(_made(stream, index))
    seeded = replace(settings, trainer=replace(settings.trainer, seed=plan.seed))
    config = learner_config(seeded, encoder)
    if not plan.train_adapter:
        config = replace(config, adapter=None)
    learner = new_learner(catalogue, index, plan.seed, config, encoder)
    if STATIC not in plan.compare:
        return Replay(stream, catalogue, learner, options)
    both = LearnerWithStatic(learner, _static_until(stream, plan))
    return Replay(stream, catalogue, both, options, {STATIC: both.static})


def _made(stream: RecordedStream, index: ItemIndex) -> MadeVectors:
    """Queries are read many at once: it is faster."""
    pieces = pieces_of(event.query for event in stream.events if event.query)
    return MadeVectors(index.vectors.numpy(), pieces, index.encode_queries(pieces).numpy())


def _raced(replay: Replay, plan: ReplayPlan, rivals: Beside, on_progress: Tell) -> dict[str, Any]:
    last: ReplayProgress | None = None

    def tell(at: ReplayProgress) -> None:
        nonlocal last
        last = at
        elsewhere = rivals.events
        on_progress(at if elsewhere is None else replace(at, events=min(at.events, elsewhere)))

    def catch_up(events: int) -> None:
        if last is not None:
            on_progress(replace(last, events=events))

    _, *others = replay.play(tell)
    records = dict(zip([STATIC], (static.record for static in others), strict=False))
    statistics: dict[str, str] = {}
    for raced in rivals.finish(catch_up):
        records |= raced.records
        statistics |= raced.statistics
    report = replay.report({name: records[name] for name in plan.compare})
    return report | {"baselines": {"statistics": statistics}}


def _static_until(stream: RecordedStream, plan: ReplayPlan) -> int:
    return ScoredSpan(stream.first_at(plan.warmup_until_ms), len(stream.events)).part(STATIC_PART)
