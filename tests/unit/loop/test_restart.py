"""A trainer whose settings were changed, or whose checkpoints are gone."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest

from streamrec.core.ledger.quarantine import Quarantine
from streamrec.core.release.manifest import Manifest
from streamrec.core.release.weight_shape import shape
from streamrec.errors import UserError
from streamrec.loop.training.reproduce import inputs
from streamrec.loop.training.train import Trainer
from tests.fakes.learner import FakeLearner, ManifestGenerations, identity
from tests.harness.training import World, batches, drain, example


@pytest.fixture
def world(worlds: Path) -> World:
    return World(worlds, generations=ManifestGenerations())


def set_rank(world: World, rank: int) -> None:
    """In the settings of every worker."""
    world.generations.encoder = {"rank": rank, "max_tokens": 32}
    world.shape = dict(shape(world.generations.encoder, "none", "f"))


def started(world: World) -> tuple[Trainer, FakeLearner]:
    trainer, learner = world.trainer()
    trainer.start()
    trainer.round(0)
    return trainer, learner


def learned_by(world: World, count: int, start: int = 0) -> tuple[Trainer, FakeLearner]:
    trainer, learner = started(world)
    world.feed.log += batches(count, start=start)
    drain(trainer, world)
    return trainer, learner


def manifest(world: World, generation: str | None) -> dict:
    return json.loads((world.store.get(str(generation)) / "manifest.json").read_text())


def once(learner: FakeLearner, count: int) -> bool:
    return learner.learned == [identity(example(0, offset)) for offset in range(count)]


def test_a_changed_rank_goes_on_beside_the_old_champion(world, caplog) -> None:
    set_rank(world, 8)
    trainer, _ = learned_by(world, 9)
    old = world.champion
    trainer.checkpoint()
    set_rank(world, 4)
    trainer, learner = started(world)
    assert world.champion == old
    assert learner.carried == 1
    assert "STREAMREC_ENCODER_RANK 8, now 4" in caplog.text
    world.feed.log += batches(9, start=90)
    drain(trainer, world)
    assert once(learner, 180)
    made = manifest(world, world.champion)
    assert world.champion != old
    assert made["parent"] == old
    (restart,) = made["training"]["restarts"]
    assert restart["batch"] == 9
    assert "RANK" in restart["why"]
    assert made["offsets"]["0"][0] == manifest(world, old)["offsets"]["0"][1]
    assert restart["snapshot"] in world.snapshots.names()


def test_the_old_value_goes_on_with_the_old_checkpoint(world, caplog) -> None:
    caplog.set_level(logging.INFO)
    set_rank(world, 8)
    learned_by(world, 9)[0].checkpoint()
    set_rank(world, 4)
    learned_by(world, 9, start=90)[0].checkpoint()
    set_rank(world, 8)
    trainer, learner = started(world)
    assert learner.carried == 0
    assert "resuming at mini-batch 9" in caplog.text
    drain(trainer, world)
    assert once(learner, 180)
    trainer.checkpoint()
    set_rank(world, 4)
    assert started(world)[1].carried == 0


def test_without_its_checkpoints_learning_goes_on_from_the_champion(world, caplog) -> None:
    trainer, _ = learned_by(world, 9)
    champion, ledger = world.champion, trainer.progress.ledger
    trainer.checkpoint()
    shutil.rmtree(world.checkpoints.root)
    shutil.rmtree(world.snapshots.root)
    trainer, learner = started(world)
    assert f"learning goes on from the champion {champion}" in caplog.text
    assert world.champion == champion
    drain(trainer, world)
    assert once(learner, 90)
    marks = trainer.progress.ledger.partitions
    assert {p: (m.position, m.trained, m.checksum) for p, m in marks.items()} == {
        p: (m.position, m.trained, m.checksum) for p, m in ledger.partitions.items()
    }
    world.feed.log += batches(12, start=90)
    drain(trainer, world)
    first = min(g for g in world.store.generations() if g > str(champion))
    made = manifest(world, first)
    assert made["parent"] == champion
    (restart,) = made["training"]["restarts"]
    assert restart["why"] == f"there was no checkpoint: the weights of {champion}"
    assert restart["batch"] == manifest(world, champion)["training"]["batches"][1]
    later = manifest(world, world.champion)
    assert world.champion != first
    assert later["training"]["restarts"] == []


def test_of_version_01_the_positions_are_those_of_the_whole_line(world, caplog) -> None:
    world.generations.version_0_1 = True
    trainer, _ = learned_by(world, 16)
    other = batches(6, partition=1)
    world.feed.log += other
    drain(trainer, world)
    shutil.rmtree(world.checkpoints.root)
    world.feed.log += [*batches(4, start=160), *other]  # the other partition is sent again
    trainer, learner = started(world)
    drain(trainer, world)
    assert len(set(learner.learned)) == len(learner.learned) == 200 + 60
    assert "so do the counts" in caplog.text


def test_a_topic_made_anew_is_read_from_its_beginning(world, caplog) -> None:
    learned_by(world, 16)
    champion, through = world.champion, 16 * 10
    shutil.rmtree(world.checkpoints.root)
    world.feed.log.clear()
    world.feed.log += batches(4, start=through)
    trainer, learner = started(world)
    assert "read from their beginning" in caplog.text
    assert trainer.progress.restarts[0].batch == 0
    drain(trainer, world)
    known = manifest(world, champion)["offsets"]["0"][1]
    assert learner.learned == [
        identity(example(0, at)) for at in [*range(known), *range(through, through + 40)]
    ]
    assert trainer.progress.ledger.lost == through - known  # between them nobody can know


def test_a_control_log_without_a_record_is_told(world) -> None:
    trainer, _ = learned_by(world, 16)
    trainer.checkpoint()
    world.control.entries.clear()
    trainer, _ = world.trainer()
    with pytest.raises(UserError, match="the control log has no record"):
        trainer.start()
    assert not world.control.entries


def test_a_quarantine_outlives_the_disk(world) -> None:
    learned_by(world, 16)
    champion = str(world.champion)
    world.service().relearn("a bot", champion, [Quarantine(0, 180, 190)])
    shutil.rmtree(world.checkpoints.root)
    shutil.rmtree(world.snapshots.root)
    trainer, learner = started(world)
    assert trainer.counts.relearned == 0
    world.feed.log += batches(5, start=160)
    drain(trainer, world)
    assert not [at for at in learner.learned if 180 <= at[1] < 190]
    assert (0, 199, 0) in learner.learned


def test_what_was_made_before_the_loss_cannot_be_repeated_and_that_is_said(world) -> None:
    learned_by(world, 16)
    then = Manifest.from_json((world.store.get(str(world.champion)) / "manifest.json").read_text())
    shutil.rmtree(world.snapshots.root)
    with pytest.raises(UserError, match="a snapshot is gone"):
        inputs(world.feed, world.snapshots, then)


def test_a_champion_that_cannot_be_read_is_said_and_learning_begins(world, caplog) -> None:
    learned_by(world, 9)
    left = json.dumps({"generation": world.champion})
    (world.store.get(str(world.champion)) / "manifest.json").write_text(left)
    shutil.rmtree(world.checkpoints.root)
    trainer, learner = started(world)
    assert "the champion cannot be gone on with" in caplog.text
    drain(trainer, world)
    assert once(learner, 90)
