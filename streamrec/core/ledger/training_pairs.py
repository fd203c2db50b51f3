"""Who learned from a person: lessons by their place, and the generations behind them.

Knows that a generation has learned every mini-batch before the end its manifest names, less what
its lineage had quarantined.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from streamrec.core.release.manifest import Manifest


@dataclass(frozen=True, slots=True)
class TrainingPair:
    """An example of the person: its mini-batch, and the event that closed it."""

    batch: int
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class GenerationRange:
    """A generation and how many of the lessons are in its weights."""

    generation: str
    examples: int


def learned_from(
    manifests: Iterable[Manifest], training_pairs: Sequence[TrainingPair], user_id: str
) -> list[GenerationRange]:
    """The generations with at least one of the lessons in them, as they come."""
    counted = (GenerationRange(m.generation, _count(m, training_pairs, user_id)) for m in manifests)
    return [found for found in counted if found.examples]


def _count(manifest: Manifest, training_pairs: Sequence[TrainingPair], user_id: str) -> int:
    _, end = manifest.training.get("batches") or (0, 0)
    ranges = manifest.training.get("quarantine", [])
    return sum(
        lesson.batch < end and not any(_covers(at, lesson, user_id) for at in ranges)
        for lesson in training_pairs
    )


def _covers(at: dict[str, object], lesson: TrainingPair, user_id: str) -> bool:
    """``at``: a ``core.ledger.quarantine.Quarantine`` as its fields."""
    start, end = at["start"], at["end"]
    return (
        at["partition"] == lesson.partition
        and isinstance(start, int)
        and isinstance(end, int)
        and start <= lesson.offset < end
        and at["user_id"] in (None, user_id)
    )


def span(training_pairs: Sequence[TrainingPair]) -> str:
    """The range of events that closed them, as ``--quarantine`` takes it; "" without any."""
    if not training_pairs:
        return ""
    offsets = [lesson.offset for lesson in training_pairs]
    return f"{training_pairs[0].partition}:{min(offsets)}-{max(offsets) + 1}"
