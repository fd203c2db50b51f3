"""A generation made again: from its parent, over exactly the mini-batches it learned.

Knows what the weights are a function of, in order:

1. the trainer as it was at the parent (its snapshot: weights, optimisers, random state,
   replay memory, ledger, catalogue with the order of its rows);
2. the mini-batches ``[from, to)`` of the manifest, each learned by one call;
3. the items that were new or changed right before each of them (the generation's own
   snapshot names them);
4. what was left out: holes and quarantine of the manifest;
5. versions, processor, threads: not brought about here, but named where they differ.

When candidates were frozen, what was served and how often the trainer was restarted are not
among them (docs/adr/0090). Does not know tensors, Kafka or where snapshots are kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from streamrec.core.examples import TrainingBatch
from streamrec.core.ledger.quarantine import Quarantine
from streamrec.core.release.manifest import Manifest
from streamrec.errors import UserError
from streamrec.loop.training.learn import admit
from streamrec.loop.training.restart import RESTART
from streamrec.loop.training.training_progress import Arrival, TrainingProgress
from streamrec.ports import BatchFeed, Checkpoint, Learner, Snapshots

BATCHES_AT_ONCE = 16
MAX_EMPTY_POLLS = 30
"""Polls without an answer before a mini-batch counts as missing."""


@dataclass(frozen=True, slots=True)
class Bench:
    """``learner`` is new and knows no item yet; ``work`` is an empty directory."""

    learner: Learner
    feed: BatchFeed
    snapshots: Snapshots
    check: Callable[[TrainingBatch], None]
    work: Path
    digest: Callable[[Path], str]


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What came out. ``digests``: file -> (in the manifest, of the file made now)."""

    generation: str
    parent: str
    batches: tuple[int, int]
    examples: int
    digests: Mapping[str, tuple[str, str]]

    @property
    def identical(self) -> bool:
        return all(then == now for then, now in self.digests.values())


def inputs(
    feed: BatchFeed, snapshots: Snapshots, manifest: Manifest
) -> tuple[Checkpoint, Checkpoint]:
    """Snapshots of the parent and of the generation; ``feed`` then stands at the first batch.

    Raises UserError when an input is gone, and says which; Unavailable.
    """
    if manifest.parent is None:
        raise UserError(
            f"{manifest.generation} has no parent: it is what training began with, and has "
            "learned nothing"
        )
    if manifest.gate is not None and not manifest.gate["accepted"]:
        raise UserError(
            f"{manifest.generation} was rejected by its gate: snapshots are kept of generations "
            "that passed. `streamrec adapters show` says why it was"
        )
    _, end = manifest.training["batches"]
    start, base = begins_at(manifest)
    parent, own = (
        _snapshot(snapshots, name, manifest.generation)
        for name in (base or manifest.parent, manifest.generation)
    )
    first = feed.seek(start)
    if first > start and start < end:
        raise UserError(
            f"the mini-batches {start} to {min(first, end) - 1} are gone (retention of "
            f"training-batches): {manifest.generation} learned from {start} to {end - 1}"
        )
    return parent, own


def reproduce(bench: Bench, manifest: Manifest) -> Reproduction:
    """Make it again, in ``bench.work``.

    Raises:
        UserError: an input is gone; the message says which.
        GenerationRefused: a snapshot does not fit this version or these settings.
        Unavailable: Kafka does not answer.
    """
    parent, own = inputs(bench.feed, bench.snapshots, manifest)
    assert manifest.parent is not None  # noqa: S101 - or there were no inputs
    bench.learner.restore_items(parent.directory)
    bench.learner.load(parent.directory)
    start, end = begins_at(manifest)[0], manifest.training["batches"][1]
    examples = _learn(bench, manifest, parent, own)
    bench.learner.write_generation(bench.learner.snapshot(), bench.work)
    digests = {
        name: (then, bench.digest(bench.work / name))
        for name, then in manifest.files.items()
        if (bench.work / name).is_file()
    }
    return Reproduction(manifest.generation, manifest.parent, (start, end), examples, digests)


def begins_at(manifest: Manifest) -> tuple[int, str]:
    """The first mini-batch, and the snapshot it was learned by where that is not the parent's."""
    restarts = manifest.training.get("restarts", ())
    if restarts:
        return restarts[-1]["batch"], restarts[-1]["snapshot"]
    return manifest.training["batches"][0], ""


def left_out(manifest: Manifest) -> list[Quarantine]:
    """Everything that was not learned between the parent and this generation."""
    told = [Quarantine(**at) for at in manifest.training.get("quarantine", ())]
    holes = manifest.training.get("holes", {})
    return told + [Quarantine(int(p), a, b) for p, spans in holes.items() for a, b in spans]


def _learn(bench: Bench, manifest: Manifest, parent: Checkpoint, own: Checkpoint) -> int:
    """Steps 2 to 4 of the module; how many examples were learned."""
    start, end = begins_at(manifest)[0], manifest.training["batches"][1]
    ledger = TrainingProgress.from_record(parent.record).ledger
    arrivals = deque(TrainingProgress.from_record(own.record).arrivals)
    ranges = left_out(manifest)
    before, position, silent = ledger.trained, start, 0
    while position < end:
        found = bench.feed.poll(1.0, min(BATCHES_AT_ONCE, end - position))
        silent = 0 if found else silent + 1
        if silent > MAX_EMPTY_POLLS:
            raise UserError(f"training-batches ends at {position}: it was made anew, or cut")
        for delivered in found:
            _arrive(bench.learner, arrivals, delivered.offset)
            taken = admit(delivered, ledger, bench.check, ranges)
            if taken.intake.fresh:
                bench.learner.learn(taken.intake.fresh)
            ledger, position = taken.ledger, delivered.offset + 1
    _arrive(bench.learner, arrivals, end)
    return ledger.trained - before


def _arrive(learner: Learner, arrivals: deque[Arrival], next_batch: int) -> None:
    while arrivals and arrivals[0].next_batch <= next_batch:
        learner.add_items(arrivals.popleft().items)


def _snapshot(snapshots: Snapshots, name: str, generation: str) -> Checkpoint:
    found = snapshots.find(name)
    if found is None:
        left = ", ".join(snapshots.names()) or "none"
        whose = "its own" if name == generation else f"that of its parent {name}"
        if name.startswith(RESTART):
            whose = f"that of where its learner was begun anew, {name}"
        raise UserError(
            f"{generation} cannot be made again: a snapshot is gone, {whose} "
            f"(STREAMREC_TRAINER_SNAPSHOTS keeps the newest). Snapshots here: {left}"
        )
    return found
