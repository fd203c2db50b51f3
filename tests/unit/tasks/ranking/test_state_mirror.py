from __future__ import annotations

import threading

from streamrec.core.events import Item, Source
from streamrec.core.state.catalogue import item_record
from streamrec.core.state.item_stats import PartialItemCounts, partition_half_lives
from streamrec.ports import Writes
from streamrec.tasks.ranking.features import ITEM_FEATURES
from streamrec.tasks.ranking.lists.state_mirror import Mirror
from tests.fakes.store import FakePartitionStore

PARTITIONS = {"events": 2, "items": 1}


class CountingStore(FakePartitionStore):
    def __init__(self) -> None:
        super().__init__()
        self.rows_read = 0

    def read_rows(self, source, since):
        changes = super().read_rows(source, since)
        self.rows_read += len(changes.rows)
        return changes


def put(store: FakePartitionStore, source: Source, rows: dict) -> None:
    at = store.position(source)
    store.commit(source, at, at + 1, Writes(rows=rows))


def put_items(store: FakePartitionStore, *items: Item) -> None:
    put(store, Source("items", 0), {item.item_id: item_record(item) for item in items})


def put_accepts(store: FakePartitionStore, partition: int, item_id: str, at_ms: int) -> None:
    counts = PartialItemCounts()
    counts.touch(1, at_ms, partition_half_lives(2), view=True, accept=True)
    rows = {f"i/{item_id}": counts.to_record(), "c": {"n": 1, "t": at_ms}}
    put(store, Source("events", partition), rows)


def accepts_seen(mirror: Mirror, item_id: str) -> float:
    with mirror.view() as view:
        row = view.catalogue.row(item_id)
        assert row is not None
        return float(view.features.item_NI[row, ITEM_FEATURES.index("accepts_500ev")])


def test_only_what_has_changed_is_read_again() -> None:
    store = CountingStore()
    put_items(store, Item("a", "a"), Item("b", "b"))
    mirror = Mirror(store, PARTITIONS)
    assert mirror.refresh() == 2
    assert mirror.refresh() == 0
    put_items(store, Item("b", "another title"))
    assert mirror.refresh() == 1
    assert store.rows_read == 3
    assert mirror.catalogue.item(1).title == "another title"


def test_shares_of_all_partitions_add_up() -> None:
    store = FakePartitionStore()
    put_items(store, Item("a", "a"))
    mirror = Mirror(store, PARTITIONS)
    put_accepts(store, 0, "a", 5_000)
    mirror.refresh()
    one = accepts_seen(mirror, "a")
    put_accepts(store, 1, "a", 6_000)
    mirror.refresh()
    assert accepts_seen(mirror, "a") > one > 0
    with mirror.view() as view:
        assert view.watermark_ms == 6_000


def test_statistics_that_came_before_their_item_count_when_it_comes() -> None:
    store = FakePartitionStore()
    mirror = Mirror(store, PARTITIONS)
    put_accepts(store, 0, "late", 5_000)
    mirror.refresh()
    put_items(store, Item("late", "late"))
    mirror.refresh()
    assert accepts_seen(mirror, "late") > 0


def test_a_reader_sees_one_state_while_it_works() -> None:
    store = FakePartitionStore()
    put_items(store, Item("a", "a"))
    mirror = Mirror(store, PARTITIONS)
    mirror.refresh()
    with mirror.view() as view:
        put_items(store, Item("b", "b"))
        refresh = threading.Thread(target=mirror.refresh)
        refresh.start()
        refresh.join(0.1)
        assert refresh.is_alive()
        assert len(view.catalogue) == len(view.features.item_NI) == 1
    refresh.join(10)
    with mirror.view() as view:
        assert len(view.catalogue) == len(view.features.item_NI) == 2
