"""The trainer dies around everything it does to the outside; nothing is lost or doubled.

Every call of every port is a point to die at. The run is then taken up by a new process, as
the supervisor would, and must end where an undisturbed run ends.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from streamrec.core.ledger import ledger as watermarks
from streamrec.errors import Malformed
from tests.fakes.learner import FakeLearner
from tests.harness.crashes import Crash, Fate, process
from tests.harness.training import SET, World, batches, drain, example


def run(world: World, fate: Fate) -> FakeLearner:
    trainer, learner = process(world, fate)
    trainer.start()
    drain(trainer, world)
    trainer.checkpoint()
    return learner


def make(root: Path) -> World:
    """A stream with re-sends, garbage, a wrong feature set, a gap; good and bad candidates."""
    world = World(root, skill_of=lambda n: 0.2 if 90 < n < 130 else 0.8 if n else 0.6)
    world.schedule = replace(
        world.schedule, release_examples=20, gate_examples=10, checkpoint_s=0.0
    )
    one, two = batches(10), batches(6, partition=1)
    world.feed.log += [
        *one[:4], *two[:2], *one[2:7], Malformed("garbage"), *batches(1, size=75),
        replace(two[2], feature_set="features-0"), *two[3:5], *one[8:],
    ]  # fmt: skip
    return world


def test_a_death_at_any_call_loses_and_doubles_nothing(worlds: Path) -> None:
    clean, fate = make(worlds / "clean"), Fate()
    undisturbed = run(clean, fate).learned
    names, total = set(fate.calls), len(fate.calls)
    assert len(undisturbed) == len(set(undisturbed))
    assert names >= {
        "learner.learn", "learner.save", "learner.snapshot", "learner.write_generation",
        "checkpoints.save", "generations.seal", "store.put", "control.append", "feed.poll",
        "feed.seek", "refuse", "watch.poll",
    }  # fmt: skip
    assert {"activate", "reject"} <= set(clean.actions)
    # dying after a call is dying before the next; after the last there is none
    for at, after in [*((at, False) for at in range(total)), (total - 1, True)]:
        world = make(worlds / "disturbed")
        with pytest.raises(Crash):
            run(world, Fate(at, after))
        learner = run(world, Fate())
        point = f"{'after' if after else 'before'} call {at}, {fate.calls[at]}"
        assert learner.learned == undisturbed, point
        check_outcome(world, clean, point)
        shutil.rmtree(world.root)


def check_outcome(world: World, clean: World, point: str) -> None:
    saved, expected = (w.checkpoints.newest() for w in (world, clean))
    assert saved is not None
    assert expected is not None
    for partition, mark in watermarks.from_record(saved.record["ledger"]).partitions.items():
        other = watermarks.from_record(expected.record["ledger"]).partitions[partition]
        assert (mark.position, mark.trained, mark.checksum, mark.lost) == (
            other.position, other.trained, other.checksum, other.lost,
        ), point  # fmt: skip
    generations = world.store.generations()
    numbers = [name.split("-")[0] for name in generations]
    assert len(set(numbers)) == len(numbers), point  # no sequence number twice
    assert world.champion in generations, point
    for name in generations:
        manifest = world.manifest(name)
        assert manifest["parent"] is None or manifest["parent"] in generations, point
    assert {letter[0] for letter in world.dead_letters} == {11, 13}, point


def test_many_deaths_in_a_row(worlds: Path) -> None:
    """Killed again and again, each time a little later, until it gets through."""
    clean = make(worlds / "clean")
    undisturbed = run(clean, Fate()).learned
    world = make(worlds / "killed")
    for kills in range(200):
        try:
            learner = run(world, Fate(at=12 + kills))
        except Crash:
            continue
        break
    else:
        pytest.fail("it never got through")
    assert kills > 10
    assert learner.learned == undisturbed


def test_examples_of_one_event_cut_apart_are_all_learned(worlds: Path) -> None:
    world = World(worlds)
    several = [example(0, 5, index) for index in range(4)]
    world.feed.log += [
        replace(batches(1)[0], from_offset=0, to_offset=5, examples=several[:2], feature_set=SET),
        replace(batches(1)[0], from_offset=5, to_offset=6, examples=several[2:], feature_set=SET),
    ]
    assert run(world, Fate()).learned == [(0, 5, index) for index in range(4)]
