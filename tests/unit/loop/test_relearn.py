"""Going back: the learner, the ledger and the place, without what is quarantined."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from streamrec.core.events import Item
from streamrec.core.ledger import ledger as watermarks
from streamrec.core.ledger import quarantine
from streamrec.core.ledger.ledger import OffsetSpan
from streamrec.core.release import transitions
from streamrec.core.release.registry import Action, ControlRecord
from streamrec.errors import Unavailable
from streamrec.loop.training.save_points import learned_from
from streamrec.loop.training.train import Trainer
from tests.fakes.learner import FakeLearner
from tests.harness.training import StepExecutor, World, batches, drain, example


@pytest.fixture
def tmp_path(worlds: Path) -> Path:
    return worlds


def learned_offsets(learner: FakeLearner) -> list[int]:
    return [offset for _, offset, _ in learner.learned]


def relearn(world: World, to: str, *ranges: str) -> None:
    """What an operator's command appends."""
    log = world.control.reader()
    latest = log.latest()
    assert latest is not None
    state = transitions.relearn(latest.state, to, [quarantine.written(at) for at in ranges])
    log.append(ControlRecord(Action.RELEARN, "ana", "odd lists", 0, state, to))


def released(world: World) -> list[str]:
    return [e.generation for e in world.control.entries if e.action is Action.ACTIVATE]


def kept(world: World) -> list[str]:
    """Without that of a candidate that still is on trial."""
    return [name for name in world.snapshots.names() if not name.startswith("candidate-")]


def running(world: World, executor: StepExecutor | None = None) -> tuple[Trainer, FakeLearner]:
    trainer, learner = world.trainer(executor)
    trainer.start()
    drain(trainer, world)
    return trainer, learner


def away(world: World, trainer: Trainer) -> None:
    """A round in which no mini-batch can be read."""
    world.feed.down = True
    with pytest.raises(Unavailable):
        trainer.round(0)


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, skill_of=lambda n: 0.6 + n / 10_000)
    world.feed.log += batches(30)  # offsets 0 to 299, a candidate every 50
    return world


def test_every_released_generation_can_be_gone_back_to(world: World) -> None:
    running(world)
    assert len(released(world)) >= 3
    assert kept(world) == released(world)


def test_only_so_many_snapshots_are_kept_and_the_champion_is_spared(world: World) -> None:
    world.schedule = replace(world.schedule, snapshots=2)
    running(world)
    assert kept(world) == released(world)[-3:]  # the newest two, and the champion then


def test_a_rejected_candidate_leaves_no_snapshot(world: World) -> None:
    world.skill_of = lambda n: 0.7 if n < 100 else 0.1
    running(world)
    assert "reject" in world.actions
    assert kept(world) == released(world)


def test_the_learner_goes_back_and_learns_on_without_the_range(world: World) -> None:
    trainer, learner = running(world)
    _, good, *_ = released(world)
    assert learned_offsets(learner) == list(range(300))
    relearn(world, good, "0:120-150")
    drain(trainer, world)
    assert learned_offsets(learner) == [*range(120), *range(150, 300)]
    mark = trainer.progress.ledger.partitions[0]
    assert (mark.trained, mark.quarantined, mark.lost) == (270, 30, 0)
    assert trainer.counts.relearned == 1
    assert world.champion not in (None, good)  # no pin is left: the next good one answers


def test_the_new_lineage_shows_the_hole(world: World) -> None:
    trainer, _ = running(world)
    good = released(world)[1]
    relearn(world, good, "0:70-90")
    drain(trainer, world)
    child = next(
        m for g in world.store.generations()
        if (m := world.manifest(g))["parent"] == good and m["epoch"] == 1
    )  # fmt: skip
    assert child["holes"] == {"0": [[70, 90]]}
    assert child["quarantine"] == [{"partition": 0, "start": 70, "end": 90, "user_id": None}]
    assert child["training_batches"][0] == world.manifest(good)["training_batches"][1]


def test_it_happens_once_also_after_a_restart(world: World) -> None:
    trainer, _ = running(world)
    relearn(world, released(world)[1], "0:120-150")
    drain(trainer, world)
    trainer.checkpoint()
    later, learner = running(world)
    assert later.counts.relearned == 0
    assert learned_offsets(learner) == [*range(120), *range(150, 300)]


def test_a_restart_obeys_what_was_decided_while_it_was_away(world: World) -> None:
    trainer, _ = running(world)
    trainer.checkpoint()
    relearn(world, released(world)[1], "0:120-150")
    later, learner = running(world)
    assert later.counts.relearned == 1
    assert learned_offsets(learner) == [*range(120), *range(150, 300)]


def test_what_is_on_its_way_is_not_released_any_more(world: World) -> None:
    slow = StepExecutor()
    world.feed.log, rest = world.feed.log[:15], world.feed.log[15:]
    trainer, _ = running(world, slow)
    slow.at_once = False
    world.feed.log += rest
    drain(trainer, world)
    assert trainer.stage == "releasing"
    before = len(released(world))
    relearn(world, released(world)[0], "0:20-60")
    slow.step()  # the release goes on with what is void now
    assert len(released(world)) == before
    slow.at_once = True
    drain(trainer, world)
    assert all(world.manifest(g)["epoch"] == 1 for g in released(world)[before:])


def test_a_snapshot_that_is_gone_gives_way_to_an_older_one(world: World) -> None:
    trainer, learner = running(world)
    good = released(world)[2]
    world.snapshots.drop(good)
    relearn(world, good, "0:200-210")
    drain(trainer, world)
    assert learned_offsets(learner) == [*range(200), *range(210, 300)]
    assert trainer.counts.relearned == 1


def test_a_snapshot_that_learned_from_the_range_is_passed_over(world: World) -> None:
    trainer, learner = running(world)
    relearn(world, released(world)[2], "0:10-20")
    drain(trainer, world)
    assert learned_offsets(learner) == [*range(10), *range(20, 300)]


def test_a_range_that_touches_an_older_one_is_no_reason_to_go_further_back(tmp_path: Path) -> None:
    """Joined, the two begin before the snapshot; it has learned of neither."""
    world = World(tmp_path, skill_of=lambda n: 0.6 + n / 10_000)
    world.schedule = replace(world.schedule, release_examples=20, gate_examples=10)
    world.feed.log += batches(9)
    trainer, _ = running(world)
    relearn(world, released(world)[1], "0:95-130")
    world.feed.log += [*batches(4, start=90), *batches(6, partition=1)]
    drain(trainer, world)
    reached = released(world)[-1]
    assert world.manifest(reached)["offsets"]["0"][1] == 130
    relearn(world, reached, "0:130-140")
    away(world, trainer)
    assert trainer.progress.quarantine == (quarantine.written("0:95-140"),)
    assert trainer.progress.parent == reached


def test_a_snapshot_amid_the_examples_of_an_event_has_learned_from_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    several = [example(0, 5, index) for index in range(4)]
    world.feed.log.append(replace(batches(1)[0], to_offset=5, examples=several[:2]))
    trainer, _ = running(world)
    trainer.checkpoint()
    saved = world.checkpoints.newest()
    assert saved is not None
    assert learned_from(saved, [quarantine.written("0:5-9")])
    assert not learned_from(saved, [quarantine.written("0:6-9")])


def test_without_any_snapshot_the_learner_stays_and_says_so(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    trainer, learner = running(world)
    for name in world.snapshots.names():
        world.snapshots.drop(name)
    relearn(world, released(world)[1], "0:310-320")
    drain(trainer, world)
    world.feed.log += batches(3, start=300)
    drain(trainer, world)
    assert "no snapshot" in caplog.text
    assert learned_offsets(learner) == [*range(310), *range(320, 330)]


def test_the_account_begins_anew_where_the_learner_went_back_to(world: World) -> None:
    trainer, _ = running(world)
    good = released(world)[1]
    through = world.manifest(good)["offsets"]["0"][1]
    snapshot = world.snapshots.find(good)
    assert snapshot is not None
    relearn(world, good, "0:400-410")
    away(world, trainer)
    mark = trainer.progress.ledger.partitions[0]
    assert mark.position.offset == through
    assert (mark.spans, mark.holes) == ((), ())
    then = watermarks.from_record(snapshot.record["ledger"]).partitions[0]
    assert then.spans[-1] == OffsetSpan(then.spans[-1].start, through)


def test_items_that_came_later_are_noted_to_have_come_before(world: World) -> None:
    trainer, _ = running(world)
    world.items.append(Item("new", "a title"))
    world.feed.log += batches(1, start=300)
    drain(trainer, world)
    relearn(world, released(world)[1], "0:120-150")
    away(world, trainer)
    (arrival,) = trainer.progress.arrivals
    assert arrival.next_batch == trainer.progress.next_batch
    assert [item.item_id for item in arrival.items] == ["new"]
