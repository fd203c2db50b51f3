"""Rows of removed items are used again, by workers, mirrors and indexes; nothing of them stays."""

from __future__ import annotations

import numpy as np
import pytest

from streamrec.core.events import Item, Source
from streamrec.core.state.catalogue import Catalogue, item_record, removed, rows_of
from streamrec.core.state.item_stats import PartialItemCounts, partition_half_lives
from streamrec.core.state.statistics import Statistics
from streamrec.models.item_index import ItemIndex
from streamrec.ports import Writes
from streamrec.tasks.ranking.lists.state_mirror import Mirror
from tests.fakes.language_models import tiny_encoder
from tests.fakes.publisher import FakePublisher
from tests.fakes.store import FakePartitionStore
from tests.harness.codec import wire_codec
from tests.unit.loop.ingesting import ITEMS, make_ingest
from tests.unit.loop.test_ingest import record

EVENTS = Source("events", 0)
LIVE = [Item(f"live{n}", f"Live {n}") for n in range(100)]


def counted(at_ms: int = 1_000) -> dict:
    counts = PartialItemCounts()
    counts.touch(1, at_ms, partition_half_lives(1), view=True, accept=True)
    return counts.to_record()


def season(number: int, size: int = 400) -> list[Item]:
    return [Item(f"s{number}-{n}", f"Of season {number}, {n}") for n in range(size)]


class Shop:
    """A store whose catalogue changes, written as items partitions write it."""

    def __init__(self) -> None:
        self.store = FakePartitionStore()
        self.put(LIVE)

    def put(self, items: list[Item]) -> None:
        at = self.store.position(ITEMS)
        self.store.commit(ITEMS, at, at + 1, Writes(rows=rows_of(items)))

    def take_away(self, items: list[Item]) -> None:
        self.put([removed(item.item_id) for item in items])


def test_a_mirror_of_a_catalogue_that_changes_holds_what_lives_and_little_else() -> None:
    shop = Shop()
    mirror = Mirror(shop.store, {"items": 1, "events": 1})
    mirror.refresh()
    for number in range(40):  # 16,000 items come and go
        shop.put(season(number))
        mirror.refresh()
        shop.take_away(season(number))
        mirror.refresh()
    assert mirror.catalogue.live == len(LIVE)
    assert len(mirror.catalogue) <= 100 + 1_000 + 2 * 400
    assert [mirror.catalogue.row(item.item_id) for item in LIVE] == list(range(100))
    assert mirror.catalogue.available.sum() == 100
    assert len(shop.store.read_rows(ITEMS, 0).rows) == 100
    started_again = Mirror(shop.store, {"items": 1, "events": 1})
    started_again.refresh()
    assert len(started_again.catalogue) == 100


def test_a_feature_worker_reclaims_too_and_a_removal_of_a_stranger_is_no_row() -> None:
    store = FakePartitionStore()
    ingest, codec = make_ingest(store, FakePublisher()), wire_codec()
    ingest.take_over(ITEMS)
    offset = 0
    for number in range(12):
        for items, gone in ((season(number), False), (season(number), True)):
            values = [None if gone else codec.encode("items", item) for item in items]
            run = [
                record(offset + n, value, item.item_id.encode())
                for n, (item, value) in enumerate(zip(items, values, strict=True))
            ]
            offset = ingest.ingest(ITEMS, run)
    strangers = [record(offset + n, None, b"never-%d" % n) for n in range(3_000)]
    ingest.ingest(ITEMS, strangers)
    assert store.read_rows(ITEMS, 0).rows == {}


def test_nothing_of_the_item_before_stays_in_its_row() -> None:
    catalogue = Catalogue(reclaims=True, held=0)
    statistics = Statistics(catalogue)
    catalogue.put([Item("old", "Old"), Item("other", "Other")])
    pairs = {"i": ["other"], "c": [2.0], "t": [1.0], "n": 2.0}
    back = {"i": ["old"], "c": [2.0], "t": [1.0], "n": 2.0}
    rows = {"c": {"n": 1, "t": 1_000}, "i/old": counted(), "s/hours/old": {"v": [3.0]}}
    statistics.apply_rows(EVENTS, rows | {"n/old": pairs, "n/other": back, "i/other": counted()})
    assert statistics.counts().accepts("168h").tolist() == [1.0, 1.0]
    catalogue.put([removed("old")])
    catalogue.put([Item("new", "New")])
    assert catalogue.row("new") == 0
    assert catalogue.row("old") is None
    counts = statistics.counts()
    assert counts.accepts("168h").tolist() == [0.0, 1.0]
    assert counts.first_seen_ms_N.tolist() == [0, 1_000]
    assert statistics.neighbours(0) == []
    (of_other,) = statistics.neighbours(1)
    assert of_other.rows_E.tolist() == []
    assert statistics.pair_totals().tolist() == [0.0, 2.0]
    statistics.apply_rows(EVENTS, {"n/other": {"i": ["new"], "c": [1.0], "t": [0.0], "n": 1.0}})
    (of_other,) = statistics.neighbours(1)
    assert of_other.rows_E.tolist() == [0]


def test_a_row_removed_lately_is_left_alone_and_one_that_comes_back_is_its_own() -> None:
    catalogue = Catalogue(reclaims=True, held=2)
    catalogue.put([Item(name, name) for name in "abcd"])
    catalogue.put([removed(name) for name in "abc"])
    catalogue.put([Item("a", "again")])
    catalogue.put([Item("e", "e")])
    assert [catalogue.row(name) for name in "abcde"] == [0, 1, 2, 3, 4]
    catalogue.put([removed("d")])
    catalogue.put([Item("f", "f")])
    assert (catalogue.row("f"), catalogue.row("b")) == (1, None)
    assert catalogue.item(1).title == "f"


def test_a_catalogue_that_does_not_reclaim_only_grows() -> None:
    catalogue = Catalogue()
    for number in range(5):
        catalogue.put(season(number))
        catalogue.put([removed(item.item_id) for item in season(number)])
    assert len(catalogue) == 2_000


def test_an_index_encodes_the_new_item_of_a_row() -> None:
    catalogue = Catalogue(reclaims=True, held=0)
    catalogue.put([Item("old", "an old text"), Item("other", "another")])
    encoder = tiny_encoder(rank=2, layers=1)
    index = ItemIndex(encoder)
    index.ensure(catalogue)
    catalogue.put([removed("old")])
    catalogue.put([Item("new", "something else")])
    assert index.ensure(catalogue) == 1
    fresh = ItemIndex(encoder)
    fresh.ensure(catalogue)
    np.testing.assert_array_equal(index.vectors.numpy(), fresh.vectors.numpy())


@pytest.mark.parametrize("items", [1, 2])
def test_who_missed_the_removals_reads_everything_and_drops_what_is_missing(items: int) -> None:
    shop = Shop()
    other = Source("items", 1)
    shop.store.commit(other, 0, 7, Writes(rows={"far": item_record(Item("far", "Far"))}))
    mirror = Mirror(shop.store, {"items": items, "events": 1})
    shop.store.commit(EVENTS, 0, 5, Writes(rows={"c": {"n": 1, "t": 9}, "i/live3": counted()}))
    mirror.refresh()
    del shop.store.partitions[ITEMS], shop.store.partitions[EVENTS]  # a store that went back
    shop.put(LIVE[:5])
    shop.store.partitions[ITEMS].position = 0
    shop.store.commit(ITEMS, 0, 0, Writes())
    mirror.refresh()
    assert mirror.catalogue.live == 5 + (items - 1)
    with mirror.view() as view:
        assert not view.features.item_NI[:, :4].any()
