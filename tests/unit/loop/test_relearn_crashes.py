"""The trainer dies around everything it does while it goes back; it goes back once, in effect.

Two ways to hear of it: while it works, and when it starts again. In both, every call of every
port is a point to die at, and the run taken up again ends where an undisturbed one ends.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from streamrec.core.ledger import ledger as watermarks
from streamrec.core.ledger import quarantine, undo
from streamrec.core.ledger.undo import UndoPoint
from streamrec.core.release import transitions
from streamrec.core.release.registry import Action, ControlRecord
from streamrec.loop.training.training_progress import TrainingProgress
from tests.fakes.learner import FakeLearner
from tests.harness.crashes import Crash, Fate, process
from tests.harness.training import World, batches, drain

BAD = quarantine.written("0:37-52")
BEFORE, AFTER = batches(8), batches(3, start=80)
EXPECTED = [(0, offset, 0) for offset in range(110) if not BAD.start <= offset < BAD.end]


@pytest.fixture
def learned(worlds: Path) -> World:
    """A trainer that has released several generations, some of them from the bad range."""
    world = World(worlds / "learned", skill_of=lambda n: 0.6 + n / 10_000)
    world.schedule = replace(world.schedule, release_examples=20, gate_examples=10)
    world.feed.log += BEFORE
    run(world, Fate(), decided=True)
    return world


def again(learned: World, root: Path) -> World:
    """The same situation, to be disturbed."""
    shutil.copytree(learned.root, root)
    world = World(root, skill_of=learned.skill_of, schedule=learned.schedule)
    world.control.entries += learned.control.entries
    world.feed.log += BEFORE
    return world


def decide(world: World) -> None:
    """What the operator's command does, once: newest generation that fits, then the record."""
    if "relearn" in world.actions:
        return
    latest = world.control.reader().latest()
    assert latest is not None
    state = latest.state
    places = [place(world, name) for name in (state.champion, *reversed(state.history)) if name]
    to = undo.choose(places, world.snapshots.names(), 0, [BAD]).generation
    after = transitions.relearn(state, to, [BAD])
    world.control.write(ControlRecord(Action.RELEARN, "ana", "a bot", 0, after, to))
    world.feed.log += AFTER


def place(world: World, generation: str) -> UndoPoint:
    made = world.manifest(generation)
    through = {int(p): to for p, (_, to) in made["offsets"].items()}
    return UndoPoint(generation, through, made["training_batches"][1])


def run(world: World, fate: Fate, *, decided: bool) -> FakeLearner:
    """``decided``: before the trainer starts, or never; otherwise while it works."""
    trainer, learner = process(world, fate)
    trainer.start()
    drain(trainer, world)
    if not decided:
        decide(world)
        drain(trainer, world)
    trainer.checkpoint()
    return learner


@pytest.mark.parametrize("while_away", [False, True], ids=["while it works", "while it is away"])
def test_a_death_at_any_call_goes_back_once_in_effect(
    learned: World, worlds: Path, while_away: bool
) -> None:
    fate, clean = Fate(), again(learned, worlds / "clean")
    if while_away:
        decide(clean)
    assert run(clean, fate, decided=while_away).learned == EXPECTED
    check(clean, "undisturbed")
    assert set(fate.calls) >= {"learner.load", "learner.save", "checkpoints.save", "snapshots.find"}
    for at, call in enumerate(fate.calls):  # dying after one is dying before the next
        world = again(learned, worlds / str(at))
        if while_away:
            decide(world)
        with pytest.raises(Crash):
            run(world, Fate(at), decided=while_away)
        point = f"before call {at}, {call}"
        assert run(world, Fate(), decided=while_away).learned == EXPECTED, point
        check(world, point)
        shutil.rmtree(world.root)


def check(world: World, point: str) -> None:
    """Each example is trained once or quarantined; nothing void is left to answer or go back to."""
    saved = world.checkpoints.newest()
    assert saved is not None
    progress = TrainingProgress.from_record(saved.record)
    assert (progress.epoch, progress.quarantine) == (1, (BAD,)), point
    mark = progress.ledger.partitions[0]
    assert (mark.trained, mark.quarantined, mark.lost) == (len(EXPECTED), 15, 0), point
    assert mark.position == (110, 0), point
    proof = sum(watermarks.checksum(e) for b in (*BEFORE, *AFTER) for e in b.examples
                if not BAD.covers(e))  # fmt: skip
    assert mark.checksum == proof % watermarks.CHECKSUM_MODULUS, point
    actions = world.actions
    assert actions.count("relearn") == 1, point
    decided = world.control.entries[actions.index("relearn")]
    assert decided.generation is not None
    later = [e for e in world.control.entries[actions.index("relearn") :] if e.generation]
    for name in {e.generation for e in later if e.action is Action.ACTIVATE and e.generation}:
        assert world.manifest(name)["epoch"] == 1, point
    for name in world.snapshots.names():
        snapshot = world.snapshots.find(name)
        assert snapshot is not None, point
        void = name > decided.generation and snapshot.record["epoch"] == 0
        assert not void, f"{point}: {name} is what the learner went back from"


def test_killed_again_and_again_while_it_goes_back(learned: World, worlds: Path) -> None:
    world = again(learned, worlds / "killed")
    decide(world)
    for kills in range(200):
        try:
            found = run(world, Fate(at=8 + kills), decided=True)
        except Crash:
            continue
        break
    else:
        pytest.fail("it never got through")
    assert kills > 5
    assert found.learned == EXPECTED
    check(world, "many deaths")


def test_wherever_the_first_start_ends_the_first_generation_can_be_gone_back_to(
    worlds: Path,
) -> None:
    fate = Fate()
    process(World(worlds / "clean"), fate)[0].start()
    for at, call in enumerate(fate.calls):
        world = World(worlds / str(at))
        with pytest.raises(Crash):
            process(world, Fate(at))[0].start()
        process(world, Fate())[0].start()
        assert world.champion is not None
        assert world.snapshots.find(world.champion) is not None, f"before call {at}, {call}"
