"""A trainer that dies before or after any call of its ports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from streamrec.loop.releasing.release import ReleaseService
from streamrec.loop.releasing.release_queue import ReleaseQueue
from streamrec.loop.training.champion import ChampionWatch
from streamrec.loop.training.dependencies import TrainerDependencies
from streamrec.loop.training.train import Trainer
from streamrec.tasks.ranking.examples import check
from streamrec.tasks.ranking.gate_metrics import RankingGateRules, RankingJudge
from tests.fakes.learner import FakeLearner
from tests.harness.training import StepExecutor, World


class Crash(BaseException):
    """SIGKILL: nothing catches it."""


@dataclass
class Fate:
    """Counts calls of ports; kills the process around the chosen one."""

    at: int = -1
    after: bool = False
    calls: list[str] = field(default_factory=list)

    def wrap(self, target: Any, name: str) -> Any:
        return _Mortal(target, name, self)

    def context(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            here = len(self.calls) == self.at
            self.calls.append(name)
            if here and not self.after:
                raise Crash(name)
            result = call(*args, **kwargs)
            if here:
                raise Crash(name)
            return result

        return guarded


class _Mortal:
    def __init__(self, target: Any, name: str, fate: Fate) -> None:
        self._target, self._name, self._fate = target, name, fate

    def __getattr__(self, method: str) -> Any:
        value = getattr(self._target, method)
        return self._fate.context(f"{self._name}.{method}", value) if callable(value) else value


def process(world: World, fate: Fate) -> tuple[Trainer, FakeLearner]:
    """A trainer all of whose edges are mortal."""
    learner = FakeLearner(world.skill_of)
    store: Any = fate.wrap(world.store, "store")
    generations: Any = fate.wrap(world.generations, "generations")
    service = ReleaseService(
        fate.wrap(world.control.reader(), "control"), world.fleet, store, world.clock, "trainer",
        stage_timeout_s=0.0, sleep=world.pass_s,
    )  # fmt: skip
    parts = TrainerDependencies(
        feed=fate.wrap(world.feed, "feed"),
        learner=fate.wrap(learner, "learner"),
        checkpoints=fate.wrap(world.checkpoints, "checkpoints"),
        snapshots=fate.wrap(world.snapshots, "snapshots"),
        generations=generations,
        store=store,
        champions=ChampionWatch(
            fate.wrap(world.control.reader(), "watch"), store, generations, learner.snapshot
        ),
        release_queue=ReleaseQueue(service, store, StepExecutor()),
        clock=world.clock,
        tracker=world.tracker,
        work=world.root / "work",
        judge=RankingJudge(RankingGateRules()),
        check=check,
        refuse=fate.context("refuse", world.refuse),
    )
    return Trainer(parts, world.schedule), learner
