"""How far a trainer has come: what a checkpoint keeps, and what this process has done.

Knows the fields of a checkpoint's record. Does not know the learner's files beside it
(``ports.Checkpoints``), nor when one is written (``stages.train``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streamrec.core import watermarks
from streamrec.core.watermarks import Ledger
from streamrec.errors import GenerationRefused

CHECKPOINT_FORMAT = 1


@dataclass(slots=True)
class Counts:
    """What this process has done since it started."""

    examples: int = 0
    steps: int = 0
    encoder_steps: int = 0
    candidates: int = 0
    activated: int = 0
    held: int = 0
    limited: int = 0  # examples that counted less because of their source's quota
    rejected: int = 0
    seen_again: int = 0
    refused_batches: int = 0
    lost_offsets: int = 0
    diverged: int = 0
    lag: int = 0
    losses: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """What a checkpoint says beside the learner's files."""

    next_batch: int = 0
@dataclass(frozen=True, slots=True)
class Arrival:
    """Items that were new or changed right before a mini-batch was learned.

    What is learned depends on the catalogue of that moment: to repeat it, items have to
    arrive at the same place again.
    """

    next_batch: int
    items: tuple[Item, ...]


    ledger: Ledger = field(default_factory=Ledger)
    sequence: int = 1  # of the next candidate
    parent: str | None = None
    parent_batch: int = 0  # training-batches the parent had learned
    parent_trained: int = 0  # examples it had learned
    waiting: int = 0  # examples learned since the last candidate
    steps: int = 0  # optimiser steps, ever

    def to_record(self) -> dict[str, Any]:
        return {
            "format": CHECKPOINT_FORMAT,
            "next_batch": self.next_batch,
            "ledger": watermarks.to_record(self.ledger),
            "sequence": self.sequence,
            "parent": self.parent,
            "parent_batch": self.parent_batch,
            "parent_trained": self.parent_trained,
            "waiting": self.waiting,
            "steps": self.steps,
        }

    @staticmethod
    def from_record(record: Mapping[str, Any]) -> Progress:
        """Raises GenerationRefused for a checkpoint of another format."""
        fields = dict(record)
        if fields.pop("format", None) != CHECKPOINT_FORMAT:
            raise GenerationRefused(
                f"the checkpoint is not of format {CHECKPOINT_FORMAT}: move the directory of "
                "checkpoints away to start untrained"
            )
        return Progress(**fields | {"ledger": watermarks.from_record(fields["ledger"])})
