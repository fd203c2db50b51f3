"""A store that lost its last moments: Redis with appendfsync everysec, after a power cut."""

from __future__ import annotations

import copy

import pytest

from streamrec.errors import Unavailable
from tests.fakes.clock import FakeClock
from tests.fakes.publisher import FakePublisher
from tests.fakes.store import FakePartitionStore
from tests.fakes.streams import event_records
from tests.unit.loop.ingesting import EVENTS, feed, load_catalogue, make_ingest


def test_a_store_that_went_back_is_noticed_though_no_event_comes() -> None:
    records = event_records(60, seed=3)
    store, clock = FakePartitionStore(), FakeClock()
    ingest = make_ingest(store, FakePublisher(), clock=clock)
    load_catalogue(ingest)
    ingest.take_over(EVENTS)
    feed(ingest, records[:20], 0)
    before = copy.deepcopy(store.partitions)
    feed(ingest, records, 20)
    after = copy.deepcopy(store.partitions)
    clock.pass_ms(1_000)
    ingest.tick()

    store.partitions = before
    clock.pass_ms(1_000)
    with pytest.raises(Unavailable, match=r"events-0 went back from 60 to 20"):
        ingest.tick()

    position = ingest.take_over(EVENTS)
    assert position == 20
    feed(ingest, records, position)
    now, then = store.partitions[EVENTS], after[EVENTS]
    assert now.position == then.position
    assert now.users.keys() == then.users.keys()
    assert {n: row for n, (_, row) in now.rows.items()} == {
        n: row for n, (_, row) in then.rows.items()
    }
