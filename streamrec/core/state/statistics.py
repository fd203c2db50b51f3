"""A mirror of every partition's aggregate of the item statistics, as columns by catalogue row.

Rows of events sources (``i/`` counts, ``n/`` pairs, ``s/`` declared counters, ``c`` clock) become
arrays; arrays of the partitions add up; the time they speak of is the latest watermark.

ItemCounts are kept "as of a reference" (forward decay, Cormode et al. 2009): a count true at
clock c is stored times 2^((c - ref)/h), so bringing all of them to the present is one
multiplication per half-life, and applying a row costs the same whenever it comes.

Rows of items the catalogue does not know yet wait and are applied when it does. A catalogue row
that is given to another item begins at nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrec.core.events import Source
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.columns import Column
from streamrec.core.state.counters import ROWS, Counter
from streamrec.core.state.event_clock import FUTURE_MS
from streamrec.core.state.item_stats import (
    DECAYS,
    EVENT_HALF_LIVES,
    HOUR_HALF_LIVES,
    MS_PER_HOUR,
    NEVER_MS,
    TIMES,
    partition_half_lives,
)

Array = NDArray[np.float64]
Record = Mapping[str, Any]

REBASE_AT = 200.0
"""Shortest half-lives between the reference and now before arrays are brought up to now."""

EVENTS = len(EVENT_HALF_LIVES)
COUNTS = 2 * len(DECAYS)


class Neighbours(NamedTuple):
    """Co-occurrences of one item in one partition; E entries the catalogue knows."""

    rows_E: NDArray[np.int32]
    after_E: NDArray[np.float32]
    with_E: NDArray[np.float32]
    version: int = 0  # of the catalogue whose rows they are


@dataclass(slots=True)
class _Aggregate:
    """One partition's. Columns of ``counts``: views then accepts, each by ``DECAYS``."""

    clock: int = 0
    watermark_ms: int = 0
    ref_clock: int = 0
    ref_ms: int = 0
    counts: Column[np.float64] = field(default_factory=lambda: Column((COUNTS,), np.float64))
    first_seen_ms: Column[np.int64] = field(default_factory=lambda: Column((), np.int64))
    last_accept_ms: Column[np.int64] = field(default_factory=lambda: Column((), np.int64))
    pair_totals: Column[np.float64] = field(default_factory=lambda: Column((), np.float64))
    pairs: dict[int, Neighbours] = field(default_factory=dict)
    counted: dict[tuple[str, int], Column[np.float64]] = field(default_factory=dict)
    waiting: dict[str, Record] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class ItemCounts:
    """Counts of every item, all partitions added up, at ``watermark_ms``.

    D half-lives, as ``DECAYS`` names them.
    """

    views_ND: Array
    accepts_ND: Array
    first_seen_ms_N: NDArray[np.int64]  # NEVER_MS where never seen
    last_accept_ms_N: NDArray[np.int64]
    watermark_ms: int

    def views(self, decay: str) -> Array:
        """Views that decay with this half-life, (N,). Raises ValueError for an unknown one."""
        return self.views_ND[:, DECAYS.index(decay)]

    def accepts(self, decay: str) -> Array:
        """Accepted events, likewise."""
        return self.accepts_ND[:, DECAYS.index(decay)]


class Statistics:
    """See the module. ``version`` grows whenever an answer may change."""

    def __init__(self, catalogue: Catalogue, partitions: int = 1) -> None:
        self.catalogue = catalogue
        self.version = 0
        self._aggregates: dict[Source, _Aggregate] = {}
        self._half_lives = np.array([*partition_half_lives(partitions), *HOUR_HALF_LIVES])
        self._applied_catalogue = 0
        self._given = 0  # catalogue version up to which rows given to other items are cleared
        self._counts: tuple[tuple[int, int], ItemCounts] | None = None

    @property
    def watermark_ms(self) -> int:
        """The latest event time any partition has seen: the "now" of every statistic."""
        return max((s.watermark_ms for s in self._aggregates.values()), default=0)

    def apply_rows(
        self, source: Source, rows: Mapping[str, Record | None], *, whole: bool = False
    ) -> None:
        """Take in changed rows of an events source; repeating a row is harmless.

        None: removed. ``whole``: these are all rows; what others have brought is gone.
        """
        if whole:
            self._aggregates.pop(source, None)
        if not rows and not whole:
            return
        self._clear_given()
        own = self._aggregates.setdefault(source, _Aggregate())
        self.version += 1
        if clock := rows.get("c"):
            own.clock, own.watermark_ms = clock["n"], clock["t"]
        self._rebase(own)
        self._apply(own, rows)

    def counts(self) -> ItemCounts:
        """All partitions added up at the watermark. Cached until something changes."""
        key = (self.version, self.catalogue.version)
        if self._counts is None or self._counts[0] != key:
            self._catch_up()
            self._counts = (key, self._sum())
        return self._counts[1]

    def neighbours(self, row: int) -> list[Neighbours]:
        """Pairs of an item, one entry for each partition that has some."""
        self._clear_given()
        found = (own.pairs.get(row) for own in self._aggregates.values())
        return [n if n.version >= self._given else self._still(n) for n in found if n is not None]

    def _still(self, pairs: Neighbours) -> Neighbours:
        """Without rows that have been given to other items since."""
        same_E = self.catalogue.given_at[pairs.rows_E] <= pairs.version
        return Neighbours(
            pairs.rows_E[same_E], pairs.after_E[same_E], pairs.with_E[same_E], pairs.version
        )

    def _clear_given(self) -> None:
        """Nothing is known of an item that has been given the row of another."""
        given = self.catalogue.given_since(self._given)
        if not given:
            return
        self._given = self.catalogue.version
        for own in self._aggregates.values():
            for row in given:
                for column in (own.counts, own.first_seen_ms, own.last_accept_ms, own.pair_totals):
                    column.set(row, 0)
                for counted in own.counted.values():
                    counted.set(row, 0)
                own.pairs.pop(row, None)

    def pair_totals(self) -> Array:
        """Total co-occurrence weight of each item, all partitions."""
        self._catch_up()
        total = np.zeros(len(self.catalogue))
        for own in self._aggregates.values():
            total += own.pair_totals.view(len(total))
        return total

    def counted(self, counter: Counter) -> Array:
        """Numbers of a declared counter of items, all partitions added up: (N, width)."""
        self._catch_up()
        total = np.zeros((len(self.catalogue), counter.width))
        for own in self._aggregates.values():
            column = own.counted.get((counter.name, counter.width))
            if column is not None:
                total += column.view(len(total))
        return total

    def counted_apart(self, counter: Counter, row: int) -> list[Array]:
        """Numbers of one item, of each partition that has some."""
        self._catch_up()
        columns = (
            own.counted.get((counter.name, counter.width)) for own in self._aggregates.values()
        )
        found = [column.view(row + 1)[row] for column in columns if column is not None]
        return [numbers for numbers in found if numbers.any()]

    def counted_in(self, source: Source, counter: Counter, row: int) -> Array | None:
        """Numbers of one item in one partition; None where it has counted nothing of any."""
        self._catch_up()
        own = self._aggregates.get(source)
        column = own and own.counted.get((counter.name, counter.width))
        return column.view(row + 1)[row] if column else None

    def _sum(self) -> ItemCounts:
        n, now_ms = len(self.catalogue), self.watermark_ms
        counts = np.zeros((n, COUNTS))
        first, last = np.zeros(n, np.int64), np.zeros(n, np.int64)
        for own in self._aggregates.values():
            scale = self._power(own, own.clock, now_ms, sign=-1.0)
            counts += own.counts.view(n) * scale
            seen = own.first_seen_ms.view(n)
            first = np.where(
                first == NEVER_MS, seen, np.where(seen, np.minimum(first, seen), first)
            )
            last = np.maximum(last, own.last_accept_ms.view(n))
        return ItemCounts(counts[:, : len(DECAYS)], counts[:, len(DECAYS) :], first, last, now_ms)

    def _power(self, own: _Aggregate, clock: Any, at_ms: Any, *, sign: float) -> Array:
        """2^(±(time - reference)/half-life) by column: (2·D,), or (R, 2·D)."""
        ticks = np.asarray(clock - own.ref_clock, float)[..., None]
        hours = np.asarray(at_ms - own.ref_ms, float)[..., None] / MS_PER_HOUR
        ages = np.concatenate(
            [ticks / self._half_lives[:EVENTS], hours / self._half_lives[EVENTS:]], axis=-1
        )
        return np.asarray(np.exp2(sign * np.tile(ages, 2)))

    def _rebase(self, own: _Aggregate) -> None:
        if own.ref_ms == 0:
            own.ref_clock, own.ref_ms = own.clock, own.watermark_ms
        own.ref_ms = min(own.ref_ms, own.watermark_ms + FUTURE_MS)  # its clock may have gone back
        ticks = (own.clock - own.ref_clock) / self._half_lives[0]
        hours = (own.watermark_ms - own.ref_ms) / MS_PER_HOUR / self._half_lives[EVENTS]
        if max(ticks, hours) < REBASE_AT:
            return
        n = len(self.catalogue)
        scale = self._power(own, own.clock, own.watermark_ms, sign=-1.0)
        own.counts.view(n)[:] *= scale
        own.ref_clock, own.ref_ms = own.clock, own.watermark_ms

    def _catch_up(self) -> None:
        if self._applied_catalogue == self.catalogue.version:
            return
        self._applied_catalogue = self.catalogue.version
        self._clear_given()
        for own in self._aggregates.values():
            waiting, own.waiting = own.waiting, {}
            self._apply(own, waiting)

    def _apply(self, own: _Aggregate, rows: Mapping[str, Record | None]) -> None:
        row_of = self.catalogue.row
        known: list[int] = []
        records: list[Sequence[float]] = []
        for key, record in rows.items():
            if record is None:
                self._remove(own, key)
            elif key.startswith("i/"):
                row = row_of(key[2:])
                if row is None:
                    own.waiting[key] = record
                else:
                    own.waiting.pop(key, None)
                    known.append(row)
                    records.append(record["s"])
            elif key.startswith("n/"):
                self._apply_pairs(own, key, record)
            elif key.startswith(ROWS):
                self._apply_counted(own, key, record)
        if known:
            self._apply_counts(own, np.array(known), np.array(records, np.float64))

    def _remove(self, own: _Aggregate, key: str) -> None:
        """What a row says no more counts as if it had never been said."""
        own.waiting.pop(key, None)
        kind, _, rest = key.partition("/")
        name, _, counted = rest.partition("/")
        row = self.catalogue.row(counted if kind == "s" else rest)
        if row is None:
            return
        if kind == "i":
            for column in (own.counts, own.first_seen_ms, own.last_accept_ms):
                column.set(row, 0)
        elif kind == "n":
            own.pairs.pop(row, None)
            own.pair_totals.set(row, 0.0)
        elif kind == "s":
            for (counter, _), numbers in own.counted.items():
                if counter == name:
                    numbers.set(row, 0.0)

    def _apply_counts(self, own: _Aggregate, rows_R: NDArray[np.int64], values: Array) -> None:
        n = len(self.catalogue)
        values[:, 1:TIMES] = np.minimum(values[:, 1:TIMES], own.watermark_ms)
        power = self._power(own, values[:, 0], values[:, 1], sign=1.0)
        own.counts.view(n)[rows_R] = values[:, TIMES:] * power
        own.first_seen_ms.view(n)[rows_R] = values[:, 2]
        own.last_accept_ms.view(n)[rows_R] = values[:, 3]

    def _apply_counted(self, own: _Aggregate, key: str, record: Record) -> None:
        _, name, item_id = key.split("/", 2)
        row = self.catalogue.row(item_id)
        if row is None:
            own.waiting[key] = record
            return
        own.waiting.pop(key, None)
        numbers = record["v"]
        shape = (len(numbers),)
        column = own.counted.setdefault((name, *shape), Column(shape, np.float64))
        column.set(row, numbers)

    def _apply_pairs(self, own: _Aggregate, key: str, record: Record) -> None:
        row = self.catalogue.row(key[2:])
        rows_E = self.catalogue.rows(record["i"])
        known = rows_E >= 0
        if row is None or not known.all():
            own.waiting[key] = record
        else:
            own.waiting.pop(key, None)
        if row is None:
            return
        after, with_ = np.array(record["t"], np.float32), np.array(record["c"], np.float32)
        own.pairs[row] = Neighbours(
            rows_E[known], after[known], with_[known], self.catalogue.version
        )
        own.pair_totals.set(row, record["n"])
