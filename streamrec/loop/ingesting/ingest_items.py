"""One partition of the items topic: catalogue records into shared rows.

Knows that the topic is compacted (gaps are normal) and that a null value removes an item.
Does not know who reads the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from streamrec.core.events import Item, Source
from streamrec.core.state.catalogue import items_of, rows_of
from streamrec.errors import Refused
from streamrec.loop.ingesting.item_keys import item_of
from streamrec.loop.ingesting.raw import Memory, RawRecord, Refusals
from streamrec.ports import Writes
from streamrec.ports.edges import Edges


class ItemsPartition:
    """One items partition; see ``loop.ingesting.ingest`` for who calls it when.

    A run of records is ingested in this order:

    1. records already applied are skipped;
    2. the rest is decoded; what is refused becomes a dead letter, acknowledged;
    3. one commit writes the rows and moves the position;
    4. the catalogue in memory follows.
    """

    def __init__(self, source: Source, edges: Edges, memory: Memory) -> None:
        self.source = source
        self.position = 0
        self._store = edges.store
        self._codec = edges.codec
        self._refusals = Refusals(edges)
        self._catalogue = memory.catalogue
        self._counts = memory.counts
        self._outdated: dict[str, dict[str, Any] | None] = {}  # rows 0.1 kept of removed items

    def take_over(self) -> None:
        changes = self._store.read_rows(self.source, 0)
        self._catalogue.apply_rows(changes.rows)
        self._outdated = {
            name: row for name, row in rows_of(items_of(changes.rows)).items() if row is None
        }
        self.position = changes.position

    def ingest(self, records: Sequence[RawRecord]) -> None:
        run = [record for record in records if record.offset >= self.position]
        if not run:
            return
        items, refused = [], []
        for record in run:
            try:
                item = self._decode(record)
            except Refused as error:
                refused.append((record, error))
            else:
                items.append(item)
        self._refusals.publish(self.source, refused)
        position = run[-1].offset + 1
        rows = self._outdated | rows_of(items)
        self._store.commit(self.source, self.position, position, Writes(rows=rows))
        self._catalogue.apply_rows(rows)
        self._outdated = {}
        self.position = position
        self._counts.items_applied += len(run) - len(refused)
        self._counts.dead_letters += len(refused)

    def tick(self, now_ms: int) -> None:
        """Nothing here waits for time."""

    def trim(self) -> None:
        """Items cause no messages."""

    def _decode(self, record: RawRecord) -> Item:
        return item_of(self._codec, self._is_known, record.key, record.value)

    def _is_known(self, item_id: str) -> bool:
        return self._catalogue.row(item_id) is not None
