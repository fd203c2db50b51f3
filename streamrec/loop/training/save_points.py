"""What the trainer can go back to: its newest checkpoint, and a snapshot for each generation.

Knows which learner files and which progress belong together, and how progress looks after
going back. Does not know when to go (``loop.training.train``) or where it is kept (``ports``).

A candidate's snapshot is taken when the candidate is frozen, under its number; it gets the
generation's name when the gate lets it pass, and goes when it does not. A snapshot is the
checkpoint of that moment, kept: the trainer at the parent is where the next generation
starts from, so it is also what a repetition needs (``loop.training.reproduce``).
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from streamrec.core.ledger import ledger as watermarks
from streamrec.core.ledger.quarantine import Quarantine
from streamrec.core.ledger.undo import UndoPoint
from streamrec.core.release.registry import RegistryState
from streamrec.loop.training.restart import RESTART, fits, restarted
from streamrec.loop.training.training_progress import Arrival, TrainingProgress
from streamrec.ports import (
    Checkpoint,
    Checkpoints,
    Clock,
    Learner,
    NewStart,
    Record,
    RegistryStore,
    Snapshots,
)

log = logging.getLogger(__name__)

CANDIDATE = "candidate-"


@dataclass(slots=True)
class SavePoints:
    """``keep`` snapshots of generations, beside those that are spared."""

    learner: Learner
    checkpoints: Checkpoints
    snapshots: Snapshots
    clock: Clock
    store: RegistryStore  # says of what shape a generation of version 0.1 was
    new_start: NewStart = NewStart()
    keep: int = 8
    _saved_ms: int = field(default=0, init=False)

    def begin(self) -> Checkpoint | None:
        """Where to resume. The time until the next checkpoint counts from here."""
        self._saved_ms = self.clock.now_ms()
        self.sweep()
        return self.newest()

    def save(self, progress: TrainingProgress) -> None:
        """Keep learner, ledger and position, together."""
        ours = replace(progress, shape=self.new_start.shape)
        self.checkpoints.save(ours.to_record(), self.learner.save)
        self._saved_ms = self.clock.now_ms()

    def due(self, seconds: float) -> bool:
        """Whether the newest checkpoint is as old as that."""
        return self.clock.now_ms() - self._saved_ms >= seconds * 1000

    def newest(self) -> Checkpoint | None:
        """Of our shape."""
        return self.checkpoints.newest(lambda record: not self.changed(record))

    def of_another_shape(self) -> Checkpoint | None:
        """The newest of all, where there is none of ours and it can be carried over."""
        return self.checkpoints.newest() if self.new_start.carry_over else None

    def changed(self, record: Record) -> list[str]:
        """What is other now than in a checkpoint; nothing: it can be resumed from."""
        return fits(record, self.new_start.shape, self.store)

    def resume(self, saved: Checkpoint) -> TrainingProgress:
        """Learner and progress as they were; of another shape, what fits. Raises
        GenerationRefused."""
        carry_over = self.new_start.carry_over if self.changed(saved.record) else None
        changed = (carry_over or self.learner.load)(saved.directory)
        progress = TrainingProgress.from_record(saved.record)
        if not changed:
            return progress
        arrival = Arrival(progress.next_batch, tuple(changed))
        return replace(progress, arrivals=(*progress.arrivals, arrival))

    # -- snapshots --------------------------------------------------------------------

    def keep_newest(self, name: str) -> None:
        """The newest checkpoint stays, under this name too."""
        newest = self.newest()
        if newest is not None:
            self.snapshots.take(name, newest)

    def freeze(self, sequence: int, progress: TrainingProgress) -> None:
        """A checkpoint that stays as long as this candidate may become a generation."""
        self.save(progress)
        self.keep_newest(_candidate(sequence))

    def passed(self, sequence: int, generation: str, spare: Collection[str | None]) -> None:
        """The candidate is a generation; the oldest snapshots beyond ``keep`` go."""
        self.snapshots.rename(_candidate(sequence), generation)
        names = self.generations()
        for name in names[: -self.keep]:
            if name not in spare:
                self.snapshots.drop(name)
        restarts = [name for name in self.snapshots.names() if name.startswith(RESTART)]
        for name in restarts[: -self.keep]:
            self.snapshots.drop(name)

    def failed(self, sequence: int) -> None:
        self.snapshots.drop(_candidate(sequence))

    def sweep(self) -> None:
        """Candidates that a process before us had on trial are on trial no more."""
        for name in self.snapshots.names():
            if name.startswith(CANDIDATE):
                self.snapshots.drop(name)

    def forget_after(self, generation: str | None) -> None:
        """What came after it was learned from what is quarantined now."""
        for name in self.generations():
            if generation is not None and name > generation:
                self.snapshots.drop(name)

    def generations(self) -> list[str]:
        """Those that can be gone back to."""
        return [n for n in self.snapshots.names() if not n.startswith((CANDIDATE, RESTART))]

    # -- going back -------------------------------------------------------------------

    def back(self, state: RegistryState, now: TrainingProgress) -> TrainingProgress:
        """Learner and progress as the newest ``relearn`` wants them.

        1. The snapshot of the generation it names, or the newest before it that has learned
           nothing of what is quarantined. None: the learner stays, and only the quarantine
           is followed from here on.
        2. Load the learner.
        3. TrainingProgress: of the snapshot, owing an account of nothing; epoch and quarantine of
           the registry; the sequence number goes on.

        Nothing is kept yet: until the next checkpoint a crash leads back here.
        """
        assert state.relearn is not None  # noqa: S101 - callers look first
        wanted = state.relearn.generation
        found = self._untainted(wanted, state.quarantine)
        if found is None:
            log.error(
                "there is no snapshot of %s, nor an older one that fits: the learner keeps what "
                "it has learned, and only what is still to come is quarantined",
                wanted,
            )
            return replace(now, epoch=state.epoch, quarantine=state.quarantine)
        name, snapshot = found
        log.warning("the learner goes back to %s; never learned: %s", name, _said(state.quarantine))
        other = self.changed(snapshot.record)
        carry_over = self.new_start.carry_over if other else None
        changed = tuple((carry_over or self.learner.load)(snapshot.directory))
        then = TrainingProgress.from_record(snapshot.record)
        progress = replace(
            then,
            ledger=watermarks.subtract(then.ledger, then.ledger),
            sequence=max(then.sequence, now.sequence),
            parent=name,
            parent_batch=then.next_batch,
            parent_trained=then.ledger.trained,
            waiting=0,
            epoch=state.epoch,
            quarantine=state.quarantine,
            arrivals=(Arrival(then.next_batch, changed),) if changed else (),
            restarts=(),
        )
        return (
            restarted(progress, f"{name} was made with {'; '.join(other)}") if other else progress
        )

    def _untainted(
        self, wanted: str, ranges: tuple[Quarantine, ...]
    ) -> tuple[str, Checkpoint] | None:
        older = [name for name in self.generations() if name <= wanted]
        for name in reversed(older):
            snapshot = self.snapshots.find(name)
            if snapshot is not None and not learned_from(snapshot, ranges):
                return name, snapshot
        return None


def learned_from(snapshot: Checkpoint, ranges: Iterable[Quarantine]) -> list[Quarantine]:
    """The ranges of which the learner at this snapshot may have learned."""
    then = TrainingProgress.from_record(snapshot.record)
    marks = then.ledger.partitions
    begun = {  # an event of whose examples it has some counts as learned
        partition: mark.position.offset + (mark.position.nth > 0)
        for partition, mark in marks.items()
    }
    return UndoPoint("", begun, then.next_batch, then.quarantine).tainted(ranges)


def _candidate(sequence: int) -> str:
    return f"{CANDIDATE}{sequence:06d}"


def _said(ranges: Iterable[Quarantine]) -> str:
    return ", ".join(map(str, ranges))
