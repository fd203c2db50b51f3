"""The training worker over fakes: its turn, outages, what it says, how it ends."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

import pytest

from streamrec.errors import LeaseLost, Unavailable
from streamrec.loop.training import training_worker
from streamrec.loop.training.training_worker import (
    CatalogueMirror,
    Lease,
    TrainingDependencies,
    TrainingWorker,
)
from streamrec.ports import WorkerStatus
from tests.fakes.learner import FakeLearner
from tests.harness.training import World, batches
from tests.harness.waiting import PATIENCE_S, eventually


class FakeLease:
    def __init__(self) -> None:
        self.other: str | None = None
        self.lost = False
        self.down = False
        self.released = False

    def try_acquire(self) -> str | None:
        self.confirm()
        return self.other

    def confirm(self) -> None:
        if self.down:
            raise Unavailable("Redis is away", 0.01)
        if self.lost:
            raise LeaseLost("somebody took it")

    def release(self) -> None:
        self.released = True


class Running:
    """A worker in a thread of this process."""

    def __init__(self, world: World) -> None:
        self.world, self.lease, self.stop = world, FakeLease(), threading.Event()
        self.settled: list[bool] = []
        self.trainer, learner = world.trainer(may_train=self.lease.confirm)
        self.learner: FakeLearner = learner
        self.error: BaseException | None = None
        lease = Lease(self.lease.try_acquire, self.lease.confirm, self.lease.release)
        parts = TrainingDependencies(
            self.trainer, lease, world.fleet, lambda: 123.0, self.is_settled
        )
        self.worker = TrainingWorker(parts, WorkerStatus("t1", "trainer", "h", 1, 0, 0), self.stop)
        self.thread = threading.Thread(target=self._run)

    def is_settled(self) -> bool:
        return self.settled.pop(0) if self.settled else True

    def _run(self) -> None:
        try:
            self.worker.run()
        except Exception as error:
            self.error = error

    def __enter__(self) -> Running:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for name in ("POLL_S", "BEAT_EVERY_S", "SAY_EVERY_S", "LEASE_RETRY_S"):
        monkeypatch.setattr(training_worker, name, 0.02)


def test_it_trains_says_so_and_leaves_a_checkpoint(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path)
    world.feed.log += batches(7)
    with Running(world) as running:
        eventually(lambda: running.trainer.counts.activated == 2)
        eventually(lambda: world.fleet.beats[-1].gauges["examples"] == 70)
        eventually(lambda: world.fleet.beats[-1].active == world.champion)
        eventually(lambda: any("70 examples" in line for line in caplog.messages))
    beat = world.fleet.beats[-1]
    assert (beat.role, beat.active) == ("trainer", world.champion)
    assert beat.gauges["memory_mb"] == 123.0
    assert beat.gauges["loss_rank"] > 0
    assert beat.gauges["activated"] == 2
    assert list(world.fleet.workers()) == []
    assert running.lease.released
    saved = world.checkpoints.newest()
    assert saved is not None
    assert saved.record["next_batch"] == 7
    assert any("examples_per_second" in values for _, values in world.tracker.points)


def test_the_second_waits_and_names_the_first(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path)
    world.feed.log += batches(1)
    running = Running(world)
    running.lease.other = "trainer-0/1234"
    with running:
        eventually(lambda: any("trainer-0/1234 is training" in line for line in caplog.messages))
        assert running.learner.learned == []
        assert world.control.entries == []
        running.lease.other = None
        eventually(lambda: len(running.learner.learned) == 10)


def test_what_goes_away_is_waited_for_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path)
    world.feed.log += batches(1)
    with Running(world) as running:
        eventually(lambda: len(running.learner.learned) == 10)
        world.feed.down = True
        eventually(lambda: any("Kafka is away" in line for line in caplog.messages))
        world.feed.log += batches(1, start=10)
        time.sleep(0.2)
        running.lease.down = True
        world.feed.down = False
        time.sleep(0.1)
        assert len(running.learner.learned) == 10  # no lease, no learning
        running.lease.down = False
        eventually(lambda: len(running.learner.learned) == 20)
    assert sum("away" in line for line in caplog.messages) == 1
    assert any("back; training goes on" in line for line in caplog.messages)


def test_servers_that_are_not_there_yet_are_waited_for(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.feed.log += batches(1)
    running = Running(world)
    running.lease.down = world.control.down = world.feed.down = True
    with running:
        time.sleep(0.1)
        running.lease.down = False
        time.sleep(0.1)
        world.control.down = False
        time.sleep(0.1)
        world.feed.down = False
        eventually(lambda: len(running.learner.learned) == 10)


def test_the_catalogue_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = World(tmp_path)
    running = Running(world)
    running.settled = [False] * 5
    with running:
        eventually(lambda: world.champion)
    assert running.settled == []
    assert any("waiting for the catalogue" in line for line in caplog.messages)


def test_a_lost_lease_ends_it_without_a_checkpoint(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.feed.log += batches(1)
    with Running(world) as running:
        eventually(lambda: len(running.learner.learned) == 10)
        running.lease.lost = True
        running.thread.join(10)
    assert isinstance(running.error, LeaseLost)
    saved = world.checkpoints.newest()
    assert saved is not None
    assert saved.record["next_batch"] == 0  # the other one's progress counts
    assert list(world.fleet.workers()) == []


def test_the_mirror_hands_out_each_stored_item_once() -> None:
    from streamrec.core.events import Item, Source
    from streamrec.core.state.catalogue import item_record, removed
    from streamrec.ports import Writes
    from tests.fakes.store import FakePartitionStore

    store = FakePartitionStore()
    mirror = CatalogueMirror(store, partitions=2)
    assert not mirror.settled()
    assert not mirror.settled()  # nothing is not a catalogue
    for number, title in enumerate(["one", "two"]):
        item = Item(f"i{number}", title)
        store.commit(Source("items", number), 0, 1, Writes(rows={item.item_id: item_record(item)}))
    assert not mirror.settled()  # two at once: more may be coming
    assert mirror.settled()
    assert {item.title for item in mirror.refresh()} == {"one", "two"}
    assert mirror.refresh() == []
    changed = Item("i0", "uno")
    store.commit(Source("items", 0), 1, 2, Writes(rows={"i0": item_record(changed)}))
    assert mirror.refresh() == [changed]
    store.commit(Source("items", 0), 2, 3, Writes(rows={"i0": None}))
    assert mirror.refresh() == [removed("i0")]
    del store.partitions[Source("items", 1)]  # a store that went back
    assert mirror.refresh() == [removed("i1")]
