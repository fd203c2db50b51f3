"""A generation made again, put together. Loads torch and the language model."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from streamrec.apps import clients
from streamrec.apps.ranking import RankingTask
from streamrec.apps.worker_context import WorkerContext
from streamrec.core import tasks
from streamrec.core.release.manifest import Manifest
from streamrec.infra.feeds.batch_feed import KafkaBatchFeed
from streamrec.infra.stores.checkpoints import DirectorySnapshots
from streamrec.loop.training.reproduce import Bench, Reproduction, inputs, reproduce
from streamrec.models.generation import file_digest
from streamrec.ports import Task
from streamrec.settings import Settings


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
    task: Task[WorkerContext, Settings] | None = None,
    *,
    new_feed: Callable[..., KafkaBatchFeed] = KafkaBatchFeed,
) -> Report:
    """Make it again with the settings that its manifest names. Without ``task``: ranking.

    Raises UserError, GenerationRefused, Unavailable, EncoderUnavailable.
    """
    task = task or RankingTask()
    source = task.examples
    directory = clients.registry_store(settings, source.task).get(generation)
    manifest = Manifest.from_json((directory / "manifest.json").read_text())
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="streamrec-again-")))
        codec = clients.codec(settings, {source.task: source.format})
        feed = new_feed(settings.kafka, codec, "streamrec-reproduce", source.task)
        stack.callback(feed.close)
        snapshots = DirectorySnapshots(
            tasks.directory(settings.state_dir, source.task) / "snapshots"
        )
        inputs(feed, snapshots, manifest)  # who lacks one need not wait for the model
        say(f"loading {manifest.base_model}")
        again = task.again(settings, manifest)
        start, end = manifest.training.get("batches", (0, 0))
        say(f"learning {end - start} mini-batches again, from {manifest.parent}")
        bench = Bench(again.learner, feed, snapshots, again.check, work, file_digest)
        made = reproduce(bench, manifest)
        distance = {} if made.identical else again.distance(directory, work)
        return Report(made, _elsewhere(manifest, again.made_with), distance)


def _elsewhere(manifest: Manifest, now: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    then = manifest.training.get("made_with", {})
    return {
        name: (str(then.get(name, "?")), value)
        for name, value in now.items()
        if then.get(name) != value
    }
