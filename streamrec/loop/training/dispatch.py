"""From a candidate to a generation on its way out: weight files, manifest, release line.

Knows what a generation says of its origin. Does not know when one is due or good
(``loop.training.candidates``), nor how it is released (``loop.releasing.release_queue``).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from streamrec.errors import GenerationRefused, Unavailable
from streamrec.loop.releasing.release_queue import PendingRelease, ReleaseQueue
from streamrec.loop.training.champion import ChampionWatch
from streamrec.loop.training.training_progress import TrainingProgress
from streamrec.loop.training.trial import Candidate
from streamrec.ports import Generations, Learner, Provenance, Record, RegistryStore, Sealed

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Dispatch:
    """``work`` is a directory of its own."""

    learner: Learner
    generations: Generations
    store: RegistryStore
    champions: ChampionWatch
    line: ReleaseQueue
    work: Path

    def write(self, candidate: Candidate) -> Path:
        """A directory with the candidate's weight files."""
        directory = self.work / f"candidate-{candidate.sequence:06d}"
        _empty(directory)
        self.learner.write_generation(candidate.scorer, directory)
        return directory

    def norms(self, directory: Path) -> Mapping[str, float]:
        """How far the weights are from the champion's; nothing if those cannot be read."""
        generation = self.champions.champion.generation
        try:
            champion = self.store.get(generation) if generation else None
            return self.generations.norms(directory, champion)
        except (GenerationRefused, Unavailable) as error:
            log.warning("how far the weights moved is not judged: %s", error)
            return {}

    def send(
        self,
        candidate: Candidate,
        directory: Path,
        sealed: Sealed,
        reason: str,
        *,
        accepted: bool,
    ) -> None:
        """Hand a finished directory to the line, which works in the background."""
        self.champions.know(sealed.generation, candidate.scorer)
        self.line.submit(PendingRelease(sealed, directory, candidate, reason, accepted))


def provenance(candidate: Candidate, progress: TrainingProgress, report: Record) -> Provenance:
    """Where a candidate comes from. ``report``: the gate's, with its decision."""
    ledger = candidate.ledger
    return Provenance(
        sequence=candidate.sequence,
        parent=progress.parent,
        offsets=dict(ledger.since_parent()),
        holes=dict(ledger.holes_since_parent()),
        training_batches=(progress.parent_batch, candidate.next_batch),
        examples=max(0, ledger.trained - progress.parent_trained),
        gate=report,
        created_at_ms=candidate.made_at_ms,
        quarantine=progress.quarantine,
        epoch=progress.epoch,
    )


def _empty(directory: Path) -> None:
    """An empty directory; what a crash left in it is gone."""
    for path in sorted(directory.rglob("*"), reverse=True) if directory.exists() else ():
        path.rmdir() if path.is_dir() else path.unlink()
    directory.mkdir(parents=True, exist_ok=True)
