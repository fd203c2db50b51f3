"""One partition of the items topic: catalogue records into shared rows.

Knows that the topic is compacted (gaps are normal) and that a null value removes an item.
Does not know who reads the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from streamrec.core import topics
from streamrec.core.events import Item, Source
from streamrec.core.state.catalogue import items_of, removed, rows_of
from streamrec.errors import InvalidField, NotAllowed, Refused
from streamrec.loop.ingesting.item_keys import item_of
from streamrec.loop.ingesting.raw import Memory, RawRecord, Refusals
from streamrec.ports import Writes
from streamrec.ports.edges import Edges

RefusedRecords = list[tuple[RawRecord, Refused]]

FRESH_MS = 600_000
"""A removal by a key that leads elsewhere is sent on for so long after it was written."""


class ItemsPartition:
    """One items partition; see ``loop.ingesting.ingest`` for who calls it when.

    A run of records is ingested in this order:

    1. records already applied are skipped;
    2. the rest is decoded; what is refused becomes a dead letter, acknowledged; a removal whose
       key led it to another partition than its item's is sent on by the item's own key;
    3. one commit writes the rows and moves the position;
    4. the catalogue in memory follows.
    """

    def __init__(
        self,
        source: Source,
        edges: Edges,
        memory: Memory,
        check: Callable[[Item], None] = lambda _: None,
    ) -> None:
        """``check`` raises Refused for an item that is not to be shown."""
        self._check = check
        self.source = source
        self.position = 0
        self._store = edges.store
        self._codec = edges.codec
        self._refusals = Refusals(edges)
        self._catalogue = memory.catalogue
        self._counts = memory.counts
        self._publisher, self._clock = edges.publisher, edges.clock
        self._own: set[str] = set()  # items whose rows this partition holds
        self._outdated: dict[str, dict[str, Any] | None] = {}  # rows 0.1 kept of removed items

    def take_over(self) -> None:
        changes = self._store.read_rows(self.source, 0)
        self._catalogue.apply_rows(changes.rows)
        self._outdated = {
            name: row for name, row in rows_of(items_of(changes.rows)).items() if row is None
        }
        self._own = {name for name, row in changes.rows.items() if row is not None}
        self.position = changes.position

    def ingest(self, records: Sequence[RawRecord]) -> None:
        run = [record for record in records if record.offset >= self.position]
        if not run:
            return
        items, refused = self._decode(run)
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

    def _decode(self, run: Sequence[RawRecord]) -> tuple[list[Item], RefusedRecords]:
        items: list[Item] = []
        refused: RefusedRecords = []
        elsewhere: list[tuple[RawRecord, str]] = []
        for record in run:
            try:
                item = item_of(self._codec, self._own.__contains__, record.key, record.value)
                self._check(item)
            except Refused as error:
                refused.append((record, error))
            else:
                if self._lies_elsewhere(record, item):
                    elsewhere.append((record, item.item_id))
                else:
                    self._note(item)
                    items.append(item)
        return items, [*refused, *self._send_on(elsewhere)]

    def _note(self, item: Item) -> None:
        if item == removed(item.item_id):
            self._own.discard(item.item_id)
        else:
            self._own.add(item.item_id)

    def _lies_elsewhere(self, record: RawRecord, item: Item) -> bool:
        """Whether a removal is keyed otherwise than its item, and so in another partition."""
        own_key = record.key == item.item_id.encode()
        return item == removed(item.item_id) and not own_key and item.item_id not in self._own

    def _send_on(self, removals: Sequence[tuple[RawRecord, str]]) -> RefusedRecords:
        """Remove what lies in other partitions by its own key, acknowledged; what cannot be.

        Only while it is fresh: read again much later (state lost), it would remove an item that
        has come back since.
        """
        oldest_ms = self._clock.now_ms() - FRESH_MS
        fresh = [(record, name) for record, name in removals if record.timestamp_ms >= oldest_ms]
        stale = [(record, name) for record, name in removals if record.timestamp_ms < oldest_ms]
        refused: RefusedRecords = [
            (record, _no_key(name, "too old to")) for record, name in stale if self._is_live(name)
        ]
        try:
            for _, name in fresh:
                self._publisher.publish(topics.ITEMS, name.encode(), None)
            if fresh:
                self._publisher.flush()
        except NotAllowed as error:
            told = f"not allowed ({error}) to"
            refused += [(record, _no_key(name, told)) for record, name in fresh]
        return refused

    def _is_live(self, item_id: str) -> bool:
        row = self._catalogue.row(item_id)
        return row is not None and self._catalogue.item(row).available


def _no_key(item_id: str, why_not: str) -> InvalidField:
    return InvalidField(
        f"the key is not the item's id {item_id!r}, whose row is in another partition for it; "
        f"{why_not} be sent on. Expected the key to be the id as text"
    )
