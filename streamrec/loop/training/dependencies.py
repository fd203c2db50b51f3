"""What a trainer is made of, and its schedule.

Knows the edges by their ports. Does not know what is done with them (``loop.training.train``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamrec.core.events import Item
from streamrec.core.examples import Example, TrainingBatch
from streamrec.errors import Refused
from streamrec.loop.releasing.release_queue import ReleaseQueue
from streamrec.loop.training.champion import ChampionWatch
from streamrec.ports import (
    NO_TRACER,
    BatchFeed,
    Checkpoints,
    Clock,
    DeliveredBatch,
    Generations,
    Judge,
    Learner,
    Meter,
    NewStart,
    RegistryStore,
    Snapshots,
    Tracer,
    Tracker,
)


@dataclass(frozen=True, slots=True)
class TrainerSchedule:
    """When things are due."""

    release_examples: int = 500
    release_s: float = 15.0
    gate_examples: int = 200
    gate_s: float = 10.0
    checkpoint_s: float = 30.0
    snapshots: int = 8  # generations that can be gone back to


@dataclass(frozen=True, slots=True)
class TrainerDependencies:
    """The edges a trainer works with. ``work`` is a directory of its own."""

    feed: BatchFeed
    learner: Learner
    checkpoints: Checkpoints
    snapshots: Snapshots
    generations: Generations
    store: RegistryStore
    champions: ChampionWatch
    release_queue: ReleaseQueue
    clock: Clock
    tracker: Tracker
    work: Path
    judge: Judge
    check: Callable[[TrainingBatch], None]  # raises InvalidField for what cannot be learned
    refuse: Callable[[DeliveredBatch, Refused], None]  # to the dead-letter topic; Unavailable
    mirror: Callable[[], Sequence[Item]] = tuple  # items since the last call
    may_train: Callable[[], object] = lambda: None  # raises LeaseLost, Unavailable
    observe: Callable[[Sequence[Example]], object] = lambda _: None  # what is about to be learned
    new_start: NewStart = NewStart()  # where it cannot resume
    start_from: str | None = None  # the generation that an untrained learner was made from
    stopping: Callable[[], bool] = lambda: False
    tracer: Tracer = NO_TRACER
    meter: Meter = Meter()
