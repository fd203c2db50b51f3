"""A trainer that cannot go on from a checkpoint of its own: where it begins instead.

In this order:

1. A checkpoint of our shape, however old: training goes on there, as if nothing had been.
2. A checkpoint of another shape (a setting was changed): what fits of it is carried over, by the
   task; ledger and place go on, the rest begins anew. The old one stays, for the way back.
3. No checkpoint, but a champion (the disk was lost): its weights, its ledger, its place.
4. Neither: untrained.

After 2 and 3 the next generation's parent is not all it comes from: it names the restart, whose
snapshot a repetition begins at (``loop.training.reproduce``). docs/adr/0112.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from streamrec.core.ledger import ledger as watermarks
from streamrec.core.ledger.ledger import ExamplePosition, Ledger, Watermark
from streamrec.core.ledger.quarantine import Quarantine
from streamrec.core.release.lineage import ancestors
from streamrec.core.release.manifest import Manifest
from streamrec.core.release.registry import RegistryState
from streamrec.core.release.weight_shape import Shape, changes, shape_of
from streamrec.errors import GenerationRefused
from streamrec.loop.training.training_progress import Restart, TrainingProgress
from streamrec.ports import Record, RegistryStore

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
RESTART = "restart-"
"""What the names of snapshots begin with that belong to no generation."""


def fits(record: Record, shape: Shape, store: RegistryStore) -> list[str]:
    """What has to be other to resume from this checkpoint; nothing: it fits."""
    return changes(_shape_then(record, store), shape)


def _shape_then(record: Record, store: RegistryStore) -> Shape:
    """A checkpoint of version 0.1 has the shape of the generation it came from."""
    if "shape" in record:
        return dict(record["shape"])
    try:
        return shape_of(read_manifest(store, record.get("parent") or ""))
    except GenerationRefused:
        return {}


def read_manifest(store: RegistryStore, generation: str) -> Manifest:
    """Raises GenerationRefused, Unavailable."""
    try:
        return Manifest.from_json((store.get(generation) / MANIFEST).read_bytes())
    except OSError as error:
        raise GenerationRefused(f"{generation}: {MANIFEST} cannot be read: {error}") from error


def after_change(changed: Sequence[str], next_batch: int) -> str:
    """Said when a checkpoint of another shape is gone on with; the reason, for the lineage."""
    why = f"made with {'; '.join(changed)}"
    log.warning(
        "the checkpoint was %s: what fits of it is carried over, the rest begins anew at "
        "mini-batch %d. The champion answers until a candidate of the new shape passes the gate; "
        "with the old value training goes on from the old checkpoint",
        why,
        next_batch,
    )
    return why


def after_loss(store: RegistryStore, state: RegistryState, champion: str) -> TrainingProgress:
    """What a champion says of how far training had come.

    Raises GenerationRefused when it cannot be read.
    """
    manifest = read_manifest(store, champion)
    training = manifest.training
    ledger, counted = _ledger(store, manifest)
    to = training.get("batches", (0, 0))[1]
    told = tuple(Quarantine(**at) for at in training.get("quarantine", ()))
    epoch = int(training.get("epoch", 0))
    if state.relearn is not None and state.relearn.generation == champion:
        epoch, told = state.epoch, state.quarantine  # it has learned nothing of them
    progress = TrainingProgress(
        next_batch=to,
        ledger=watermarks.subtract(ledger, ledger),
        parent=champion,
        parent_batch=to,
        parent_trained=ledger.trained,
        epoch=epoch,
        quarantine=told,
    )
    log.warning(
        "there is no checkpoint here: learning goes on from the champion %s, at mini-batch %d. "
        "Its weights are kept; optimisers and replay memory begin anew%s",
        champion,
        to,
        "" if counted else ", and so do the counts of what was learned",
    )
    return progress


def _ledger(store: RegistryStore, manifest: Manifest) -> tuple[Ledger, bool]:
    """Of everything a generation had learned, and whether it is counted: version 0.1 wrote only
    how far each had come since its parent."""
    if recorded := manifest.training.get("ledger"):
        return watermarks.from_record(recorded), True
    manifests = {manifest.generation: manifest}
    parent = manifest.parent
    while parent and parent not in manifests:
        try:
            manifests[parent] = read_manifest(store, parent)
        except GenerationRefused:
            break
        parent = manifests[parent].parent
    positions: dict[str, int] = {}
    for name in (manifest.generation, *ancestors(manifests, manifest.generation)):
        positions = dict(manifests[name].trained_through) | positions
    marks = {int(p): Watermark(ExamplePosition(to, 0)) for p, to in positions.items()}
    return Ledger(marks), not marks


def restarted(progress: TrainingProgress, why: str) -> TrainingProgress:
    """The next generation is told of it; what is to be repeated begins at its snapshot."""
    name = f"{RESTART}{progress.sequence:06d}-{progress.next_batch}"
    here = Restart(progress.next_batch, why, name)
    return replace(progress, waiting=0, restarts=(*progress.restarts, here), arrivals=())
