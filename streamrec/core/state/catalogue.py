"""The items that can be recommended, as columns.

Knows each item's row, its categories and words, and whether it is available. Does not know its
statistics (``core.state.statistics``) or its vector (``models.item_index``).

A removed item keeps its row and becomes unavailable. In a catalogue that does not reclaim, rows
are append-only: a row never changes its item, so arrays made by row stay valid while they are
shorter than the catalogue. One that reclaims gives the row of an item removed long ago to a new
one; ``changed_since`` names such a row, ``given_since`` no others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat, takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrec.core.events import Item, Variant
from streamrec.core.state.columns import Column
from streamrec.core.state.facets import Facets
from streamrec.core.state.named_items import NamedItems, categories_named
from streamrec.core.state.words import TITLE_WORDS, TitleWords, Vocabulary, words_of

IntArray = NDArray[np.int32]
BoolArray = NDArray[np.bool_]

MAX_CATEGORIES = 6
"""Categories of one item that count in features: its first distinct ones."""

UNKNOWN = -1
"""The row of an item that is not in the catalogue."""


def item_record(item: Item) -> dict[str, Any]:
    """The JSON form of an item as a row of its source partition."""
    record: dict[str, Any] = {"id": item.item_id, "title": item.title}
    if item.text:
        record["text"] = item.text
    if item.categories:
        record["cats"] = list(item.categories)
    if item.attributes:
        record["attrs"] = dict(item.attributes)
    if not item.available:
        record["off"] = True
    if item.variants:
        record["variants"] = [[v.variant_id, v.title, v.text] for v in item.variants]
    return record


def item_from_record(record: Mapping[str, Any]) -> Item:
    return Item(
        item_id=record["id"],
        title=record["title"],
        text=record.get("text", ""),
        categories=tuple(record.get("cats", ())),
        attributes=record.get("attrs", {}),
        available=not record.get("off", False),
        variants=tuple(Variant(*fields) for fields in record.get("variants", ())),
    )


def items_of(rows: Mapping[str, Mapping[str, Any] | None]) -> list[Item]:
    """Items of rows as ``rows_of`` gives them."""
    return [removed(name) if row is None else item_from_record(row) for name, row in rows.items()]


def removed(item_id: str) -> Item:
    """What stays of an item that was removed."""
    return Item(item_id, "", available=False)


def rows_of(items: Iterable[Item]) -> dict[str, dict[str, Any] | None]:
    """Rows of their source partition, by item id; None: the item was removed."""
    return {
        item.item_id: None if item == removed(item.item_id) else item_record(item) for item in items
    }


HELD = 1_000
"""Rows of the items removed last that are not given to others."""


class Catalogue:
    """Items by row. ``version`` grows with every change."""

    def __init__(self, *, reclaims: bool = False, held: int = HELD) -> None:
        """``reclaims``: rows of removed items are used again, but for the last ``held``."""
        self.version = 0
        self._free_beyond = held if reclaims else None
        self._removed: dict[int, None] = {}  # rows, in the order of their removal
        self._given_at: Column[np.int64] = Column((), np.int64)
        self._given: list[tuple[int, int]] = []  # (version, row) used again, ascending
        self._items: list[Item] = []
        self._ids: list[str] = []
        self._row_by_id: dict[str, int] = {}
        self._category_ids: dict[str, int] = {}
        self._available: Column[np.bool_] = Column((), np.bool_)
        self._categories: Column[np.int32] = Column((MAX_CATEGORIES,), np.int32)
        self._vocabulary = Vocabulary()
        self._words: Column[np.int32] = Column((TITLE_WORDS,), np.int32)
        self._title_words: TitleWords | None = None  # None: titles have changed since
        self._named, self._named_version = NamedItems(), 0
        self._facets, self._facets_version = Facets(), 0
        self._changes: list[tuple[int, int]] = []  # (version, row), ascending

    def __len__(self) -> int:
        return len(self._items)

    def apply_rows(self, rows: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Add, change and remove items: rows of an items source, as ``rows_of`` gives them."""
        self.put(items_of(rows))

    def replace_all(self, rows: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Bring it to all the rows there are, of every items source: others are removed."""
        gone = [removed(item_id) for item_id in self._row_by_id if item_id not in rows]
        self.put([*gone, *items_of(rows)])

    def put(self, items: Iterable[Item]) -> None:
        """Add and change items."""
        items = [item for item in items if not self._same(item) and not self._never_here(item)]
        if not items:
            return
        self.version += 1
        for item in items:
            row = self._row_by_id.get(item.item_id)
            if row is None:
                row = self._new_row(item)
            elif self._items[row].title != item.title:
                self._read(row, item.title)
            self._items[row] = item
            self._available.set(row, item.available)
            self._categories.set(row, self._padded(item.categories))
            self._changes.append((self.version, row))
            self._removed.pop(row, None)
            if item == removed(item.item_id):
                self._removed[row] = None
        self._forget_changes()

    def _new_row(self, item: Item) -> int:
        row = len(self._items)
        if self._free_beyond is not None and len(self._removed) > self._free_beyond:
            row = next(iter(self._removed))
            del self._row_by_id[self._ids[row]]
            self._ids[row] = item.item_id
            self._given_at.set(row, self.version)
            self._given.append((self.version, row))
        else:
            self._items.append(item)
            self._ids.append(item.item_id)
        self._row_by_id[item.item_id] = row
        self._read(row, item.title)
        return row

    def _forget_changes(self) -> None:
        """Of each row the last one is enough."""
        most = 2 * len(self._items) + HELD
        self._changes = _last(self._changes) if len(self._changes) > most else self._changes
        self._given = _last(self._given) if len(self._given) > most else self._given

    @property
    def live(self) -> int:
        """Items that have not been removed."""
        return len(self._items) - len(self._removed)

    @property
    def given_at(self) -> NDArray[np.int64]:
        """The version at which each row was last given to another item; 0: never."""
        return self._given_at.view(len(self))

    def given_since(self, version: int) -> list[int]:
        """Rows given to other items by versions after ``version``."""
        newer = takewhile(lambda one: one[0] > version, reversed(self._given))
        return [row for _, row in newer]

    def row(self, item_id: str) -> int | None:
        return self._row_by_id.get(item_id)

    def rows(self, item_ids: Sequence[str]) -> IntArray:
        """Rows of items; ``UNKNOWN`` where the catalogue lacks one. Shape (len(item_ids),)."""
        found = map(self._row_by_id.get, item_ids, repeat(UNKNOWN))
        return np.fromiter(found, np.int32, len(item_ids))

    def item(self, row: int) -> Item:
        return self._items[row]

    def categories_of(self, item_id: str) -> tuple[str, ...]:
        """All of an item's categories; none of an item that nobody has described."""
        row = self.row(item_id)
        return () if row is None else self._items[row].categories

    def ids(self, rows: NDArray[np.integer[Any]]) -> list[str]:
        """Item ids of catalogue rows."""
        ids = self._ids
        return [ids[row] for row in rows.tolist()]

    def changed_since(self, version: int) -> list[int]:
        """Rows added or changed by versions after ``version``, ascending."""
        newer = set()
        for at, row in reversed(self._changes):
            if at <= version:
                break
            newer.add(row)
        return sorted(newer)

    @property
    def available(self) -> BoolArray:
        """Whether each item may be recommended. A view: do not write, do not keep."""
        return self._available.view(len(self))

    @property
    def categories(self) -> IntArray:
        """Category numbers of each item, padded with ``category_count``: (N, most that one has)."""
        padded = _trimmed(self._categories.view(len(self)))
        return np.where(padded < 0, self.category_count, padded).astype(np.int32)

    @property
    def category_count(self) -> int:
        return len(self._category_ids)

    def title_words(self) -> TitleWords:
        """Words of every title; made again only when titles have changed."""
        if self._title_words is None:
            padded, count = _trimmed(self._words.view(len(self))), len(self._vocabulary)
            self._title_words = TitleWords(np.where(padded < 0, count, padded), count)
        return self._title_words

    def named(self, text: str) -> list[int]:
        """Rows of the items that a text names, in order of their last mention."""
        if self._named_version != self.version:
            for row in self.changed_since(self._named_version):
                self._named.put(row, self._items[row].title)
            self._named_version = self.version
        return self._named.named(text)

    def having(self, categories: Iterable[str], attributes: Mapping[str, str]) -> BoolArray:
        """Rows of any of the categories, if some are given, and with all of the attributes: (N,).

        The first call looks at every item, others at those that have changed since.
        """
        if self._facets_version != self.version:
            for row in self.changed_since(self._facets_version):
                self._facets.put(row, self._items[row])
            self._facets_version = self.version
        return self._facets.having(categories, attributes, len(self))

    def categories_named(self, text: str) -> list[int]:
        """Numbers of the categories that a text names."""
        return [self._category_ids[one] for one in categories_named(text, self._category_ids)]

    def _read(self, row: int, title: str) -> None:
        self._words.set(row, self._vocabulary.padded(words_of(title)))
        self._title_words = None

    def _same(self, item: Item) -> bool:
        row = self._row_by_id.get(item.item_id)
        return row is not None and self._items[row] == item

    def _never_here(self, item: Item) -> bool:
        """Whether it is a removal of an item that is not known."""
        return item.item_id not in self._row_by_id and item == removed(item.item_id)

    def _padded(self, categories: Sequence[str]) -> IntArray:
        padded = np.full(MAX_CATEGORIES, -1, np.int32)
        distinct = list(dict.fromkeys(categories))
        for slot, name in enumerate(distinct[:MAX_CATEGORIES]):
            padded[slot] = self._category_ids.setdefault(name, len(self._category_ids))
        return padded


def _trimmed(padded_NM: IntArray) -> IntArray:
    """Without columns that are padding (-1) in every row; at least one stays."""
    used = int((padded_NM >= 0).any(axis=0).sum())
    return padded_NM[:, : max(1, used)]


def _last(changes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The last (version, row) of each row, ascending."""
    return sorted((version, row) for row, version in {row: at for at, row in changes}.items())
