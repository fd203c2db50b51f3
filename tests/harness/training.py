"""A whole trainer over fakes, for the tests of the stage."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from streamrec.core.events import Item
from streamrec.core.examples import TrainingBatch
from streamrec.errors import Refused
from streamrec.infra.stores.checkpoints import DirectoryCheckpoints, DirectorySnapshots
from streamrec.loop.releasing.release import ReleaseService
from streamrec.loop.releasing.release_queue import ReleaseQueue
from streamrec.loop.training.champion import ChampionWatch
from streamrec.loop.training.dependencies import TrainerDependencies, TrainerSchedule
from streamrec.loop.training.train import Trainer
from streamrec.ports import NO_TRACER, DeliveredBatch, NewStart, Sealed, Tracer, Tracker
from streamrec.tasks.ranking.examples import ExampleKind, RankingExample, check
from streamrec.tasks.ranking.features import FEATURE_SET, FEATURES
from streamrec.tasks.ranking.gate_metrics import RankingGateRules, RankingJudge
from tests.fakes.clock import FakeClock
from tests.fakes.control import SharedLog
from tests.fakes.feed import FakeBatchFeed
from tests.fakes.fleet import FakeFleet
from tests.fakes.learner import FakeGenerations, FakeLearner
from tests.fakes.registry import FakeRegistryStore

SET = FEATURE_SET


class StepExecutor(Executor):
    """Runs what is submitted when the test says so, or at once."""

    def __init__(self, *, at_once: bool = True) -> None:
        self.at_once = at_once
        self._waiting: list[Callable[[], None]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def run() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except Exception as error:
                future.set_exception(error)

        self._waiting.append(run)
        if self.at_once:
            self.step()
        return future

    def step(self) -> None:
        waiting, self._waiting = self._waiting, []
        for run in waiting:
            run()


class NotedTracker(Tracker):
    def __init__(self) -> None:
        self.generations: list[tuple[str, int]] = []
        self.outcomes: list[tuple[str, str]] = []
        self.points: list[tuple[int, dict[str, float]]] = []

    def write(self, step: int, values: Any) -> None:
        self.points.append((step, dict(values)))

    def made(self, sealed: Sealed, trained: int) -> None:
        self.generations.append((sealed.generation, trained))

    def settled(self, generation: str, outcome: str) -> None:
        self.outcomes.append((generation, outcome))


def example(partition: int, offset: int, index: int = 0) -> RankingExample:
    return RankingExample(
        partition, offset, index, f"u{offset}", 0, ExampleKind.IMPRESSION, 0,
        ("x", "y", "z", "w"), ("a", "b", "c", "d"), np.array([0, 1, 0, 0], np.float32),
        np.full((4, len(FEATURES)), 9.0, np.float32), np.zeros(4, np.float32),
    )  # fmt: skip


def batches(count: int, size: int = 10, partition: int = 0, start: int = 0) -> list[TrainingBatch]:
    """Consecutive batches of one partition: one example per event."""
    return [
        TrainingBatch(
            partition, at, at + size, SET, [example(partition, o) for o in range(at, at + size)]
        )
        for at in range(start, start + count * size, size)
    ]


@dataclass
class World:
    """What survives a crash of the trainer: topics, registry, checkpoints."""

    root: Path
    feed: FakeBatchFeed = field(default_factory=FakeBatchFeed)
    control: SharedLog = field(default_factory=SharedLog)
    fleet: FakeFleet = field(default_factory=FakeFleet)
    clock: FakeClock = field(default_factory=FakeClock)
    generations: FakeGenerations = field(default_factory=FakeGenerations)
    tracker: NotedTracker = field(default_factory=NotedTracker)
    dead_letters: list[tuple[int, str]] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)  # the catalogue's rows
    skill_of: Callable[[int], float] = lambda n: 0.7
    tracer: Tracer = NO_TRACER
    shape: dict[str, str] = field(default_factory=dict)  # of the settings, as they are now
    schedule: TrainerSchedule = field(
        default_factory=lambda: TrainerSchedule(
            release_examples=50, release_s=1e9, gate_examples=20, gate_s=1e9, checkpoint_s=1e9
        )
    )

    @property
    def store(self) -> FakeRegistryStore:
        return FakeRegistryStore(self.root / "registry")

    @property
    def checkpoints(self) -> DirectoryCheckpoints:
        return DirectoryCheckpoints(self.root / "checkpoints")

    @property
    def snapshots(self) -> DirectorySnapshots:
        return DirectorySnapshots(self.root / "snapshots")

    def pass_s(self, seconds: float) -> None:
        self.clock.pass_ms(int(seconds * 1000))

    def service(self, actor: str = "operator") -> ReleaseService:
        return ReleaseService(
            self.control.reader(), self.fleet, self.store, self.clock, actor,
            stage_timeout_s=0.0, sleep=self.pass_s, tracer=self.tracer,
        )  # fmt: skip

    def trainer(
        self, executor: StepExecutor | None = None, may_train: Callable[[], object] = lambda: None
    ) -> tuple[Trainer, FakeLearner]:
        """A new process, not started."""
        learner = FakeLearner(self.skill_of)
        store, stop = self.store, threading.Event()
        queue = ReleaseQueue(self.service("trainer"), store, executor or StepExecutor(), stop)
        champions = ChampionWatch(self.control.reader(), store, self.generations, learner.snapshot)
        parts = TrainerDependencies(
            self.feed, learner, self.checkpoints, self.snapshots, self.generations, store,
            champions, queue, self.clock, self.tracker, self.root / "work",
            RankingJudge(RankingGateRules()),
            check, self.refuse,
            mirror=self.mirror,
            may_train=may_train,
            new_start=NewStart(self.shape, learner.carry_over, learner.begin_from),
            tracer=self.tracer,
        )  # fmt: skip
        return Trainer(parts, self.schedule), learner

    def refuse(self, delivered: DeliveredBatch, reason: Refused) -> None:
        self.dead_letters.append((delivered.offset, str(reason)))

    def mirror(self) -> list[Item]:
        return list(self.items)

    @property
    def champion(self) -> str | None:
        return self.control.entries[-1].state.champion if self.control.entries else None

    @property
    def actions(self) -> list[str]:
        return [entry.action.value for entry in self.control.entries]

    def manifest(self, generation: str) -> dict[str, Any]:
        import json

        text = (self.store.get(generation) / "manifest.json").read_text()
        return dict(json.loads(text))


def drain(trainer: Trainer, world: World) -> None:
    """Rounds until everything has been taken in, and then some for what follows from it."""
    while world.feed.lag():
        trainer.round(0)
    for _ in range(3):
        trainer.round(0)
