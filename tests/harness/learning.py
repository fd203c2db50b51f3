"""A trainer that really learns, head and adapter, over a tiny language model and no server.

Also a program: ``python -m tests.harness.learning ROOT GENERATION...`` makes generations again
in a process of its own and prints whether their digests are the same.
"""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from streamrec.core.events import Item
from streamrec.core.examples import TrainingBatch
from streamrec.core.release.manifest import Manifest
from streamrec.core.state.catalogue import Catalogue
from streamrec.errors import Malformed, Refused
from streamrec.loop.releasing.release_queue import ReleaseQueue
from streamrec.loop.training.champion import ChampionWatch
from streamrec.loop.training.dependencies import TrainerDependencies, TrainerSchedule
from streamrec.loop.training.reproduce import Bench, Reproduction, reproduce
from streamrec.loop.training.train import Trainer
from streamrec.models.generation import file_digest
from streamrec.models.item_index import ItemIndex
from streamrec.tasks.ranking.examples import check
from streamrec.tasks.ranking.gate_metrics import RankingGateRules, RankingJudge
from streamrec.tasks.ranking.model.adapter_trainer import AdapterConfig
from streamrec.tasks.ranking.model.encoder_rollout import RolloutSchedule
from streamrec.tasks.ranking.model.generations import ModelGenerations
from streamrec.tasks.ranking.model.learner import LearnerConfig, OnlineLearner
from tests.fakes.feed import FakeBatchFeed
from tests.fakes.language_models import tiny_encoder
from tests.harness.training import StepExecutor, World
from tests.harness.training_worker import ITEMS, Stream

RECIPE = LearnerConfig(
    step_examples=8,
    replayed=24,
    recent=64,
    reservoir=64,
    adapter=AdapterConfig(examples=8, publish_steps=4, learning_rate=1e-3),
    schedule=RolloutSchedule(flip_steps=2, shadow_steps=0),
)
ANYTHING_PASSES = RankingGateRules(
    ranking_limit=9, loss_limit_ratio=99, max_update_norm=1e9, max_kl=1e9, max_calibration=9,
    min_coverage_ratio=0, floor_tolerance=9,
)  # fmt: skip


def stream() -> list[TrainingBatch | Refused]:
    """Batches of several sizes from two partitions, one sent again, one that cannot be read."""
    found = Stream(size=16).next_batches(10)
    later = Stream(size=11)
    later.sent = {0: 80, 1: 80}
    return [*found, *found[2:4], Malformed("garbage"), *later.next_batches(14)]


@dataclass
class Shop(World):
    """A world whose trainer learns for real."""

    schedule: TrainerSchedule = field(
        default_factory=lambda: TrainerSchedule(
            release_examples=30, release_s=1e9, gate_examples=8, gate_s=1e9,
            checkpoint_s=1e9, snapshots=50,
        )
    )  # fmt: skip
    items: list[Item] = field(default_factory=lambda: list(ITEMS))

    def real_trainer(self, seed: int = 0) -> tuple[Trainer, OnlineLearner]:
        """A new process, not started."""
        encoder, catalogue = tiny_encoder(), Catalogue()
        learner = OnlineLearner(catalogue, ItemIndex(encoder), seed, RECIPE, encoder)
        generations = ModelGenerations(encoder, catalogue, {}, learner.indexes)
        queue = ReleaseQueue(self.service("trainer"), self.store, StepExecutor(), threading.Event())
        watch = ChampionWatch(self.control.reader(), self.store, generations, learner.snapshot)
        parts = TrainerDependencies(
            self.feed, learner, self.checkpoints, self.snapshots, generations, self.store,
            watch, queue, self.clock, self.tracker, self.root / "work",
            RankingJudge(ANYTHING_PASSES),
            check, self.refuse,
            mirror=self.mirror,
        )  # fmt: skip
        return Trainer(parts, self.schedule), learner


def again(
    root: Path, generation: str, log: list[TrainingBatch | Refused], begins: int = 0
) -> Reproduction:
    """Make it again from what the trainer left in ``root``; the log ``begins`` there."""
    shop = Shop(root, feed=FakeBatchFeed(log))
    shop.feed.begins = begins
    encoder, work = tiny_encoder(), root / "again"
    work.mkdir(exist_ok=True)
    learner = OnlineLearner(Catalogue(), ItemIndex(encoder), 99, RECIPE, encoder)
    text = (shop.store.get(generation) / "manifest.json").read_text()
    bench = Bench(learner, shop.feed, shop.snapshots, check, work, file_digest)
    return reproduce(bench, Manifest.from_json(text))


def changed(item: Item) -> Item:
    return replace(item, title=f"{item.title} again")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[2:]:
        made = again(Path(sys.argv[1]), name, stream())
        sys.stdout.write(json.dumps([name, made.identical, made.examples]) + "\n")
