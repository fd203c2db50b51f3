"""Offline training, put together: files, the language model, the learner, a registry.

Loads torch and the language model.
"""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from streamrec.apps import clients
from streamrec.apps.model import load_model
from streamrec.core.release.manifest import last_sequence
from streamrec.errors import BadFile, UserError
from streamrec.infra.clock import SystemClock
from streamrec.infra.stores.datasets import movielens_100k
from streamrec.infra.stores.registry_store import open_registry
from streamrec.lab.recipes.names import Chosen, chosen
from streamrec.lab.replay.offline import Fitted, Offline, OfflineProgress, Schedule
from streamrec.lab.replay.recorded import RecordedStream
from streamrec.lab.replay.recorded_main import fold_rules, read_events, read_items, roomy
from streamrec.lab.replay.time_split import TimeSplit, time_split
from streamrec.ports import Provenance, RegistryStore
from streamrec.settings import Settings
from streamrec.tasks.ranking.model.generations import ModelGenerations
from streamrec.tasks.ranking.model.learner import LearnerConfig, LearnerSnapshot, OnlineLearner

DATASETS = ("movielens-100k",)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TrainPlan:
    """What the command line asks for: two files, or a data set by name."""

    items: Path | None = None
    events: Path | None = None
    dataset: str = ""
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1)
    schedule: Schedule = Schedule()
    seed: int = 0
    train_adapter: bool = True
    registry: str = ""  # empty: the settings'
    limit: int = 0  # only the first so many events; 0: all
    recipes: tuple[str, ...] = ()  # of the laboratory (``lab.recipes``)


def run_training(
    settings: Settings,
    plan: TrainPlan,
    say: Say = lambda _: None,
    on_progress: Callable[[OfflineProgress], None] = lambda _: None,
) -> dict[str, Any]:
    """The report; the best epoch's weights are in the registry, as a generation.

    Raises:
        BadFile: a file or a line in it cannot be used.
        UserError: an unknown data set or config, a stream too short to be cut.
        EncoderUnavailable, SettingsError: the language model cannot be made.
    """
    recipes = chosen(plan.recipes)
    settings = replace(settings, encoder=roomy(recipes.encoder(settings.encoder)))
    name, stream = _stream(settings, plan, say)
    try:
        split = time_split([event.occurred_at_ms for event in stream.events], plan.shares)
    except ValueError as error:
        raise UserError(f"--split: {error}") from None
    settings = replace(settings, trainer=replace(settings.trainer, seed=plan.seed))
    model = load_model(settings, change=partial(_way, plan, recipes), method=recipes.method)
    with closing(model.learner) as learner:
        say(f"encoding {len(stream.items):,} items …")
        learner.add_items(stream.items)
        offline = Offline(stream, split, model.catalogue, fold_rules(settings), on_progress)
        try:
            fitted = offline.fit(learner, plan.schedule)
        except ValueError as error:
            raise UserError(f"{name}: {error}; give the validation part a larger share") from None
        compared = offline.test(fitted.first, fitted.scorer, plan.seed)
        report = _report(name, split, fitted, plan) | {"test": compared}
        url = plan.registry or clients.registry_url(settings)
        store = open_registry(url, settings.state_dir / "registry-cache")
        generations = model.generations({"offline": report})
        written = None
        if fitted.best.number and not recipes.own_method:
            written = _write(learner, fitted, generations, store)
    return report | {"generation": written, "registry": url}


def _way(plan: TrainPlan, recipes: Chosen, config: LearnerConfig) -> LearnerConfig:
    config = recipes.learning(config)
    return config if plan.train_adapter else replace(config, adapter=None)


def _stream(settings: Settings, plan: TrainPlan, say: Say) -> tuple[str, RecordedStream]:
    if plan.dataset:
        if plan.dataset not in DATASETS:
            raise UserError(f"no data set {plan.dataset}; there is {', '.join(DATASETS)}")
        films = movielens_100k(settings.state_dir / "datasets", say)
        name, items, events = plan.dataset, list(films.items), list(films.interactions)
    elif plan.items is None or plan.events is None:
        raise UserError("give --items and --events, or --dataset")
    else:
        codec = clients.codec(settings)
        items, events = read_items(plan.items, codec), read_events(plan.events, codec)
        name = f"{plan.events.name} {_digest(plan.events)}"
    return name, RecordedStream(items, events[: plan.limit or None])


def _digest(path: Path) -> str:
    """Which file it was: the manifest must not say more than is true tomorrow."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error.strerror}") from None


def _report(name: str, split: TimeSplit, fitted: Fitted, plan: TrainPlan) -> dict[str, Any]:
    epochs = [{k: _finite(v) for k, v in asdict(epoch).items()} for epoch in fitted.epochs]
    return {
        "stream": name,
        "split": split.sizes | {"examples": fitted.examples},
        "metric": fitted.metric,
        "epochs": epochs,
        "best_epoch": fitted.best.number,
        "stopped_early": len(epochs) <= plan.schedule.epochs,
        "seed": plan.seed,
        "recipes": list(plan.recipes),
    }


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write(
    learner: OnlineLearner, fitted: Fitted, generations: ModelGenerations, store: RegistryStore
) -> str:
    """Write, seal and store the best epoch's weights; the id of the generation."""
    assert isinstance(fitted.scorer, LearnerSnapshot)  # noqa: S101 - the learner's own
    with tempfile.TemporaryDirectory(prefix="streamrec-train-") as scratch:
        directory = Path(scratch)
        learner.write_generation(fitted.scorer, directory)
        origin = Provenance(
            sequence=last_sequence(store.generations()) + 1,
            parent=None,
            offsets={},  # of Kafka; a file has none
            holes={},
            training_batches=(0, 0),
            examples=fitted.examples * fitted.best.number,
            gate=None,
            created_at_ms=SystemClock().now_ms(),
        )
        sealed = generations.seal(directory, origin)
        store.put(sealed.generation, directory)
    return sealed.generation
