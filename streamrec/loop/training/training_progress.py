"""How far a trainer has come: what a checkpoint keeps, and what this process has done.

Knows the fields of a checkpoint's record. Does not know the learner's files beside it
(``ports.Checkpoints``), nor when one is written (``loop.training.train``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from streamrec.core.events import Item
from streamrec.core.ledger import ledger as watermarks
from streamrec.core.ledger.ledger import Ledger
from streamrec.core.ledger.quarantine import Quarantine
from streamrec.core.release.weight_shape import Shape
from streamrec.core.state.catalogue import item_from_record, item_record
from streamrec.errors import GenerationRefused

CHECKPOINT_FORMAT = 2
ELSEWHERE = (
    "run that version, or start in another STREAMREC_STATE_DIR: learning then goes on from the "
    "champion, and nothing here is touched"
)


@dataclass(slots=True)
class TrainingCounts:
    """What this process has done since it started."""

    examples: int = 0
    steps: int = 0
    encoder_steps: int = 0
    encoders_tried: int = 0  # versions that challenged the one in use
    encoders_taken: int = 0
    limited: int = 0  # examples that counted less because of their source's quota
    candidates: int = 0
    activated: int = 0
    held: int = 0
    rejected: int = 0
    seen_again: int = 0
    refused_batches: int = 0
    lost_offsets: int = 0
    diverged: int = 0
    quarantined: int = 0
    forgotten: int = 0  # examples not replayed any more because their users asked
    relearned: int = 0
    lag: int = 0
    losses: Mapping[str, float] = field(default_factory=dict)
    fresh_s: Mapping[str, float] = field(default_factory=dict)  # parts: loop.training.freshness


@dataclass(frozen=True, slots=True)
class Arrival:
    """Items that were new or changed right before a mini-batch was learned.

    What is learned depends on the catalogue of that moment: to repeat it, items have to
    arrive at the same place again.
    """

    next_batch: int
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Restart:
    """Here the learner went on from other weights than those it had: ``loop.training.restart``."""

    batch: int  # the first mini-batch that it learned
    why: str
    snapshot: str  # of the learner then


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """What a checkpoint says beside the learner's files."""

    next_batch: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    sequence: int = 1  # of the next candidate
    parent: str | None = None
    parent_batch: int = 0  # training-batches the parent had learned
    parent_trained: int = 0  # examples it had learned
    waiting: int = 0  # examples learned since the last candidate
    steps: int = 0  # optimiser steps, ever
    epoch: int = 0  # the newest relearn that was carried out
    quarantine: tuple[Quarantine, ...] = ()  # never learned in this epoch
    arrivals: tuple[Arrival, ...] = ()  # since the parent, or the newest restart
    restarts: tuple[Restart, ...] = ()  # since the parent
    shape: Shape = field(default_factory=dict)  # of the learner's weights

    def after_parent(self, generation: str, ledger: Ledger, next_batch: int) -> TrainingProgress:
        """``generation`` accounts for what it had learned; the next one owes what came after.

        It had learned ``ledger``, from the mini-batches before ``next_batch``.
        """
        return replace(
            self,
            ledger=watermarks.subtract(self.ledger, ledger),
            parent=generation,
            parent_batch=next_batch,
            parent_trained=ledger.trained,
            arrivals=tuple(at for at in self.arrivals if at.next_batch >= next_batch),
            restarts=(),
        )

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
            "epoch": self.epoch,
            "quarantine": [asdict(at) for at in self.quarantine],
            "arrivals": [
                [arrival.next_batch, [item_record(item) for item in arrival.items]]
                for arrival in self.arrivals
            ],
            "restarts": [asdict(at) for at in self.restarts],
            "shape": dict(self.shape),
        }

    @staticmethod
    def from_record(record: Mapping[str, Any]) -> TrainingProgress:
        """Raises GenerationRefused for a checkpoint of another format, or none at all."""
        fields = dict(record)
        if fields.pop("format", None) != CHECKPOINT_FORMAT:
            raise GenerationRefused(
                f"the checkpoint is not of format {CHECKPOINT_FORMAT}: another version wrote it; "
                f"{ELSEWHERE}"
            )
        try:
            return TrainingProgress(**fields | _rebuilt(fields))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise GenerationRefused(
                f"the checkpoint's record cannot be read ({error!r}); {ELSEWHERE}"
            ) from None


def _rebuilt(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are more than numbers and texts."""
    return {
        "ledger": watermarks.from_record(fields["ledger"]),
        "quarantine": tuple(Quarantine(**at) for at in fields["quarantine"]),
        "arrivals": tuple(
            Arrival(at, tuple(item_from_record(record) for record in records))
            for at, records in fields["arrivals"]
        ),
        "restarts": tuple(Restart(**at) for at in fields.get("restarts", ())),
    }
