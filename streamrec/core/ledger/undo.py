"""Which generation to go back to, so that nothing of a bad range stays learned.

Knows what each generation had learned and which snapshots are left. Does not know how the
range was found, nor how the trainer goes back (``loop.training.save_points``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from streamrec.core.ledger import quarantine
from streamrec.core.ledger.quarantine import Quarantine
from streamrec.core.release.manifest import Manifest
from streamrec.errors import UserError


@dataclass(frozen=True, slots=True)
class UndoPoint:
    """A generation as a point to go back to."""

    generation: str
    through: Mapping[int, int]  # source partition -> next offset not learned
    next_batch: int  # of training-batches, where learning goes on
    quarantine: tuple[Quarantine, ...] = ()  # what it is known not to have learned

    def tainted(self, ranges: Iterable[Quarantine]) -> list[Quarantine]:
        """The ranges of which it may have learned."""
        return [
            at
            for at in ranges
            if quarantine.covered_to(at, self.quarantine)
            < min(at.end, self.through.get(at.partition, 0))
        ]


def place_of(manifest: Manifest) -> UndoPoint:
    batches = manifest.training.get("batches", (0, 0))
    return UndoPoint(
        generation=manifest.generation,
        through={int(p): to for p, to in manifest.trained_through.items()},
        next_batch=batches[1],
        quarantine=tuple(Quarantine(**at) for at in manifest.training.get("quarantine", ())),
    )


def choose(
    places: Sequence[UndoPoint],
    snapshots: Collection[str],
    first_batch: int,
    ranges: Sequence[Quarantine],
    to: str | None = None,
) -> UndoPoint:
    """The newest place, or ``to``, from which the trainer can go on without the ranges.

    ``places``: champion and former champions, newest first. ``snapshots``: what the trainer
    still has. ``first_batch``: the oldest mini-batch that Kafka still has.

    Raises UserError that says what is in the way, and what is possible instead.
    """
    wrong = {at.generation: _why_not(at, snapshots, first_batch, ranges) for at in places}
    possible = [at for at in places if not wrong[at.generation]]
    if to is not None and wrong.get(to, "it was never champion"):
        why = wrong.get(to, "it was never champion")
        raise UserError(f"{to} cannot be gone back to: {why}. {_instead(possible)}")
    if not possible:
        reasons = "; ".join(f"{name}: {why}" for name, why in wrong.items()) or "no champion yet"
        raise UserError(f"no generation can be gone back to ({reasons}). {_instead(possible)}")
    return next(at for at in possible if to in (None, at.generation))


def _why_not(
    place: UndoPoint, snapshots: Collection[str], first_batch: int, ranges: Sequence[Quarantine]
) -> str:
    if tainted := place.tainted(ranges):
        return f"it has learned from {', '.join(map(str, tainted))}"
    if place.generation not in snapshots:
        return "the trainer has no snapshot of it any more (STREAMREC_TRAINER_SNAPSHOTS)"
    if place.next_batch < first_batch:
        return (
            f"the mini-batches {place.next_batch} to {first_batch - 1} that came after it are "
            "gone (retention of training-batches)"
        )
    return ""


def _instead(possible: Sequence[UndoPoint]) -> str:
    if possible:
        return f"Possible: {', '.join(at.generation for at in possible)}"
    return (
        "Possible: a narrower or later range; or `streamrec adapters rollback` without "
        "--relearn, which flips back what answers and leaves the learner as it is"
    )
