"""A generation made again, put together. Loads torch and the language model."""

from __future__ import annotations

import tempfile
import typing
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from streamrec.apps import clients
from streamrec.apps.model import Model, load_model
from streamrec.core import tasks
from streamrec.core.release.manifest import Manifest
from streamrec.core.tasks import RANKING
from streamrec.errors import UserError
from streamrec.infra.feeds.batch_feed import KafkaBatchFeed
from streamrec.infra.stores.checkpoints import DirectorySnapshots
from streamrec.loop.training.reproduce import Bench, Reproduction, inputs, reproduce
from streamrec.models.generation import file_digest, made_with
from streamrec.models.weight_changes import changes
from streamrec.settings import EncoderSettings, Settings, known_now
from streamrec.tasks.ranking.examples import check

GROUPS = ("encoder", "learning", "trainer")
"""Of the settings in a manifest, those that the weights depend on."""


@dataclass(frozen=True, slots=True)
class Report:
    """``elsewhere``: (then, now) of versions, processor and threads that are not the same."""

    made: Reproduction
    elsewhere: Mapping[str, tuple[str, str]]
    distance: Mapping[str, float]  # relative, by group of tensors; empty when identical


def run(
    settings: Settings,
    generation: str,
    say: Callable[[str], None],
    task: str = RANKING,
    *,
    new_feed: Callable[..., KafkaBatchFeed] = KafkaBatchFeed,
    new_model: Callable[[Settings], Model] = load_model,
) -> Report:
    """Make it again with the settings that its manifest names.

    Raises UserError, GenerationRefused, Unavailable, EncoderUnavailable.
    """
    store = clients.registry_store(settings, task)
    directory = store.get(generation)
    manifest = Manifest.from_json((directory / "manifest.json").read_text())
    then = settings_then(settings, manifest)
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="streamrec-again-")))
        feed = new_feed(then.kafka, clients.codec(then), "streamrec-reproduce", task)
        stack.callback(feed.close)
        snapshots = DirectorySnapshots(tasks.directory(settings.state_dir, task) / "snapshots")
        inputs(feed, snapshots, manifest)  # who lacks one need not wait for the model
        say(f"loading the language model {then.encoder.model}")
        model = new_model(then)
        stack.callback(model.learner.close)
        encoder = model.encoder
        if encoder.base_digest != manifest.base_digest:
            raise UserError(
                f"{then.encoder.model} is not the model that {generation} was trained on "
                f"({encoder.base_digest[:12]}, then {manifest.base_digest[:12]})"
            )
        start, end = manifest.training.get("batches", (0, 0))
        say(f"learning {end - start} mini-batches again, from {manifest.parent}")
        bench = Bench(model.learner, feed, snapshots, check, work, file_digest)
        made = reproduce(bench, manifest)
        distance = {} if made.identical else changes(directory, work)
        return Report(made, _elsewhere(manifest, made_with(encoder)), distance)


def settings_then(settings: Settings, manifest: Manifest) -> Settings:
    """Today's servers and directories with the learner's settings of the manifest.

    Raises UserError when the manifest names settings that this version does not have.
    """
    made = manifest.training.get("made_with", {})
    groups = {
        name: _restored(getattr(settings, name), known_now(name, manifest.settings.get(name, {})))
        for name in GROUPS
    }
    encoder: EncoderSettings = groups["encoder"]
    if str(made.get("threads", "")).isdigit():
        groups["encoder"] = replace(encoder, threads=int(made["threads"]))
    return replace(settings, **groups)


def _restored(group: Any, recorded: Mapping[str, Any]) -> Any:
    hints = typing.get_type_hints(type(group))
    unknown = recorded.keys() - {spec.name for spec in fields(group)}
    if unknown:
        raise UserError(
            f"the manifest names settings that this version does not have ({sorted(unknown)}): "
            "use the version it was made with"
        )
    return replace(group, **{name: _kind(hints[name], value) for name, value in recorded.items()})


def _kind(kind: Any, value: Any) -> Any:
    if not (isinstance(kind, type) and issubclass(kind, StrEnum)):
        return value
    try:
        return kind(value)
    except ValueError:
        raise UserError(f"{value} is not offered here: use the version it was made with") from None


def _elsewhere(manifest: Manifest, now: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    then = manifest.training.get("made_with", {})
    return {
        name: (str(then.get(name, "?")), value)
        for name, value in now.items()
        if then.get(name) != value
    }
