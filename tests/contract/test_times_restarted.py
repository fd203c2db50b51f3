"""Over a real store: a restart with another window, and a clock that stands in the future."""

from __future__ import annotations

import pytest

from streamrec.core.events import Interaction, Kind
from streamrec.infra.stores.redis_client import connect_redis
from streamrec.infra.stores.redis_store import RedisPartitionStore
from streamrec.loop.ingesting.raw import RawRecord
from streamrec.ports import Writes
from streamrec.settings import RedisSettings
from streamrec.tasks.ranking.examples import ExampleKind
from tests.fakes.publisher import FakePublisher
from tests.fakes.store import FakePartitionStore
from tests.harness.codec import wire_codec
from tests.harness.kinds import REDISES
from tests.unit.loop.ingesting import EVENTS, feed, load_catalogue, make_ingest

CODEC = wire_codec()
BEGIN_MS = 1_767_323_045_000
WINDOW_MS = 300_000
FAR_MS = 3_786_912_000_000  # 2090


@pytest.fixture(params=["fake", REDISES[0]])
def store(request, fresh_prefix):
    if request.param == "fake":
        yield FakePartitionStore()
        return
    client = connect_redis(RedisSettings(url=request.getfixturevalue(request.param)))
    yield RedisPartitionStore(client, fresh_prefix.redis)
    client.close()


class World:
    """Events sent one after the other; a worker is a new one whenever ``work`` is called."""

    def __init__(self, store) -> None:
        self.store, self.publisher = store, FakePublisher()
        self.log: list[RawRecord] = []
        load_catalogue(make_ingest(store, FakePublisher()))

    def say(self, user: str, item: str, kind: Kind, at_ms: int, impression: str | None) -> None:
        number = len(self.log)
        event = Interaction(f"e{number}", user, item, kind, at_ms, None, impression)
        value = CODEC.encode("events", event)
        self.log.append(RawRecord(number, at_ms, user.encode(), value))

    def passers(self, at_ms: int) -> None:
        for n in range(10):
            self.say(f"passer{n}", "i9", Kind.VIEW, at_ms + n, None)

    def work(self, window_ms: int = WINDOW_MS) -> None:
        worker = make_ingest(self.store, self.publisher, window_ms=window_ms)
        feed(worker, self.log, worker.take_over(EVENTS))
        worker.take_over(EVENTS)  # what waits in outboxes goes out

    @property
    def lists(self) -> list[dict[str, float]]:
        batches = [CODEC.decode("training-batches", v) for v in self.published]
        found = {(e.offset, e.index): e for batch in batches for e in batch.examples}
        return [
            dict(zip(e.candidates, e.labels_C.tolist(), strict=True))
            for e in found.values()
            if e.kind is ExampleKind.IMPRESSION
        ]

    @property
    def published(self) -> list[bytes]:
        return self.publisher.values("training-batches")

    @property
    def event_time_ms(self) -> int:
        return self.store.read_rows(EVENTS, 0).rows["c"]["t"]


@pytest.mark.parametrize("window_ms", [WINDOW_MS // 5, 3 * WINDOW_MS])
def test_a_worker_restarted_with_another_window_closes_open_lists_once(store, window_ms) -> None:
    world = World(store)
    for item in ("i1", "i2"):
        world.say("u", item, Kind.VIEW, BEGIN_MS, "p")
    world.passers(BEGIN_MS)
    world.work()
    world.say("u", "i2", Kind.CLICK, BEGIN_MS + 10_000, "p")
    world.work(window_ms)
    assert world.lists == []
    for late_ms in (2, 5, 9):
        world.passers(BEGIN_MS + late_ms * WINDOW_MS)
        world.work(window_ms)
    assert world.lists == [{"i1": 0.0, "i2": 1.0}]
    _, (record,) = store.read_users(EVENTS, ["u"])
    assert record["p"] == []


def test_a_clock_that_version_0_1_left_in_2090_comes_back_by_itself(store) -> None:
    world = World(store)
    store.commit(EVENTS, 0, 1, Writes(rows={"c": {"n": 1, "t": FAR_MS}}))
    world.say("odd", "i0", Kind.VIEW, BEGIN_MS, None)  # stands for the one that was applied
    world.passers(BEGIN_MS)
    for item in ("i1", "i2"):
        world.say("u", item, Kind.VIEW, BEGIN_MS + 1_000, "p")
    world.say("u", "i1", Kind.CLICK, BEGIN_MS + 5_000, "p")
    world.work()
    assert BEGIN_MS <= world.event_time_ms <= BEGIN_MS + 5_000
    world.passers(BEGIN_MS + 2 * WINDOW_MS)
    world.work()
    assert world.lists == [{"i1": 1.0, "i2": 0.0}]
