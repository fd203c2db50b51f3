"""Weights in training, what is kept of them, and what is made of them.

Examples and scores are the task's own: whoever makes them learns and judges them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from streamrec.core.events import Item
from streamrec.core.ledger.quarantine import Quarantine
from streamrec.core.release.manifest import Manifest
from streamrec.ports.state import Record


@dataclass(frozen=True, slots=True)
class ShadowResult:
    """A new encoder version that was tried beside the one in use, and whether it was taken."""

    encoder_version: str
    gain: float  # mean loss of the head in use minus the challenger's, nats per example
    error: float  # standard error of ``gain``
    taken: bool


@dataclass(frozen=True, slots=True)
class LearnReport:
    """What one call of ``Learner.learn`` did."""

    examples: int
    steps: int  # optimiser steps of the head
    encoder_steps: int  # optimiser steps of the encoder's adapter
    losses: Mapping[str, float]  # mean loss by name, over the steps taken
    limited: int = 0  # examples that counted less because of their source's quota
    shadow_results: Sequence[ShadowResult] = ()  # encoder versions whose trial ended


class Scorer(Protocol):
    """Frozen weights of one generation that can score logged examples."""

    def score(self, examples: Sequence[Any]) -> list[Any]:
        """What the weights say of each example, in the task's own terms."""
        ...


class Learner(Protocol):
    """The weights being trained, and everything needed to resume."""

    def learn(self, examples: Sequence[Any]) -> LearnReport:
        """Take the steps that these examples are due, replaying older ones beside them."""
        ...

    def forget(self, user_id: str) -> int:
        """Keep no example of the user any more, to replay it; returns how many those were."""
        ...

    def snapshot(self) -> Scorer:
        """An immutable copy of the current weights."""
        ...

    def write_generation(self, scorer: Scorer, directory: Path) -> None:
        """Write the snapshot's weight files (adapter, head) in the generation layout."""
        ...

    def save(self, directory: Path) -> None:
        """Everything a resume needs: weights, optimisers, random state, replay memory."""
        ...

    def load(self, directory: Path) -> list[Item]:
        """Resume from ``save``; the items that are new or have changed since.

        Raises GenerationRefused when a file is missing or wrong.
        """
        ...

    def restore_items(self, directory: Path) -> list[Item]:
        """Add the items of ``save``, in their order; what they were then.

        Called before any others are added. Raises GenerationRefused.
        """
        ...

    def add_items(self, items: Sequence[Item]) -> list[Item]:
        """Take in items; those that are new or have changed, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """``record`` is what was saved; ``directory`` holds the learner's files."""

    record: Record
    directory: Path


class Checkpoints(Protocol):
    """Places to resume from. The newest whole one counts; those of each ``shape`` for itself."""

    def save(self, record: Record, write: Callable[[Path], None]) -> None:
        """Keep ``record`` and the files that ``write`` puts into a directory, or neither."""
        ...

    def newest(self, fits: Callable[[Record], bool] = lambda _: True) -> Checkpoint | None:
        """Of those whose record fits."""
        ...


class Snapshots(Protocol):
    """Checkpoints kept beyond the next ones, by name: where a generation was made."""

    def take(self, name: str, checkpoint: Checkpoint) -> None:
        """Keep this checkpoint under ``name`` too; cheap. It takes the place of an older one."""
        ...

    def rename(self, name: str, to: str) -> None:
        """Nothing happens when there is none."""
        ...

    def find(self, name: str) -> Checkpoint | None:
        """None when it is gone, or damaged."""
        ...

    def names(self) -> list[str]:
        """Ascending."""
        ...

    def drop(self, name: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a generation comes from: what its manifest says beside names and digests."""

    sequence: int
    parent: str | None  # the generation whose training this one continues
    offsets: Mapping[int, tuple[int, int]]  # source partition -> [from, to) since the parent
    holes: Mapping[int, Sequence[tuple[int, int]]]  # parts of them that were never trained
    training_batches: tuple[int, int]  # [from, to) of that topic, since the parent
    examples: int  # trained since the parent
    gate: Record | None  # the report and decision (``core.release.gate.to_record``)
    created_at_ms: int
    quarantine: Sequence[Quarantine] = ()  # what it must not have learned
    epoch: int = 0  # how often the learner had been taken back (``core.release.registry.Relearn``)
    ledger: Record = field(default_factory=dict)  # of all it had learned (``core.ledger.ledger``)
    restarts: Sequence[Record] = ()  # since the parent: where its learner was not the parent's


@dataclass(frozen=True, slots=True)
class NewStart:
    """How a learner begins where it cannot resume. Without the functions: untrained.

    ``shape``: of its weights (``core.release.weight_shape``). ``carry_over``: takes what fits from
    a save of another shape; the items that have changed since. ``begin_from``: takes the weights
    of a generation's directory. Both raise GenerationRefused.
    """

    shape: Mapping[str, str] = field(default_factory=dict)
    carry_over: Callable[[Path], Sequence[Item]] | None = None
    begin_from: Callable[[Path], object] | None = None


@dataclass(frozen=True, slots=True)
class Sealed:
    """A finished generation directory. ``digest`` is its manifest's."""

    manifest: Manifest
    digest: str

    @property
    def generation(self) -> str:
        return self.manifest.generation


class Generations(Protocol):
    """Weight files to generation directories and back (``models.generation``)."""

    def seal(self, directory: Path, provenance: Provenance) -> Sealed:
        """Write the manifest over the weight files in ``directory``: it is finished."""
        ...

    def scorer(self, directory: Path) -> Scorer:
        """Load a finished one. Raises GenerationRefused when a check fails."""
        ...

    def norms(self, directory: Path, champion: Path | None) -> Mapping[str, float]:
        """How far its weights are from the champion's: ``update_norm/<file>``, relative."""
        ...


class Tracker:
    """Is told how training goes, for people, and never in its way. This one tells nobody.

    ``failures``: what could not be told, ever.
    """

    @property
    def failures(self) -> int:
        return 0

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """One point on each named curve."""

    def made(self, sealed: Sealed, trained: int) -> None:
        """A generation is finished, and judged unless it is the first; ``trained``: examples."""

    def settled(self, generation: str, outcome: str) -> None:
        """What became of it."""

    def close(self) -> None:
        """Nothing comes any more."""
