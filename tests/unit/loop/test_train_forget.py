"""The trainer and the mark that says to forget: followed in its place, once, and never learned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from streamrec.core.examples import ForgetMark, TrainingBatch
from streamrec.core.ledger.quarantine import Quarantine, admitted
from tests.harness.training import SET, World, batches, drain, example


@pytest.fixture
def tmp_path(worlds: Path) -> Path:
    return worlds


def mark(user: str, offset: int):
    return ForgetMark(0, offset, 0, user, 1, asked_at_ms=1)


def test_it_is_followed_in_its_place_and_not_learned(tmp_path: Path) -> None:
    world = World(tmp_path)
    trainer, learner = world.trainer()
    trainer.start()
    world.feed.log += batches(1)
    world.feed.log.append(TrainingBatch(0, 10, 12, SET, [mark("u3", 10), example(0, 11)]))
    drain(trainer, world)
    assert learner.forgotten == [("u3", 10)]
    assert learner.learned[-1] == (0, 11, 0)
    assert (0, 10, 0) not in learner.learned
    assert trainer.counts.forgotten == 1
    assert trainer.progress.ledger.trained_through == {0: 12}


def test_what_came_before_it_in_its_batch_is_not_learned(tmp_path: Path) -> None:
    world = World(tmp_path)
    trainer, learner = world.trainer()
    trainer.start()
    mixed = [example(0, 0), example(0, 1), mark("u1", 2), example(0, 3)]
    world.feed.log.append(TrainingBatch(0, 0, 4, SET, mixed))
    drain(trainer, world)
    assert learner.learned == [(0, 0, 0), (0, 3, 0)]


def test_a_mark_alone_is_a_batch_like_any_other(tmp_path: Path) -> None:
    world = World(tmp_path)
    trainer, learner = world.trainer()
    trainer.start()
    world.feed.log.append(TrainingBatch(0, 0, 1, SET, [mark("u1", 0)]))
    world.feed.log.append(TrainingBatch(0, 0, 1, SET, [mark("u1", 0)]))  # sent again
    drain(trainer, world)
    assert learner.forgotten == [("u1", 0)]
    assert learner.calls == []
    assert trainer.progress.next_batch == 2


def test_a_restart_obeys_it_again_from_the_checkpoint(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.feed.log += [*batches(1), TrainingBatch(0, 10, 11, SET, [mark("u3", 10)])]
    first, _ = world.trainer()
    first.start()
    drain(first, world)  # dies without a checkpoint of it
    again, learner = world.trainer()
    again.start()
    drain(again, world)
    assert learner.forgotten == [("u3", 10)]


def test_quarantine_never_covers_the_mark() -> None:
    everything = Quarantine(0, 0, 100)
    assert admitted([example(0, 1), mark("u1", 2)], [everything])[0].offset == 2
    theirs = replace(everything, user_id="u1")
    assert [e.offset for e in admitted([example(0, 1), mark("u1", 2)], [theirs])] == [2]
