"""A mirror of every partition's share of the item statistics, as columns by catalogue row.

Knows how rows of events sources (``i/`` counts, ``n/`` pairs, ``c`` clock) become arrays,
how shares add up, and the time they speak of: the latest watermark. Does not know where the
rows are stored, nor what features are made of them (``tasks.ranking.features``).

ItemCounts are kept "as of a reference" (forward decay, Cormode et al. 2009): a count true at
clock c is stored times 2^((c - ref)/h), so bringing all of them to the present is one
multiplication per half-life, and applying a row costs the same whenever it comes.

Rows of items the catalogue does not know yet wait and are applied when it does.
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
from streamrec.core.state.item_stats import (
    DECAYS,
    EVENT_HALF_LIVES,
    HOUR_HALF_LIVES,
    MS_PER_HOUR,
    NEVER_MS,
    share_half_lives,
)

Array = NDArray[np.float64]
Record = Mapping[str, Any]

REBASE_AT = 200.0
"""Shortest half-lives between the reference and now before arrays are brought up to now."""

EVENTS = len(EVENT_HALF_LIVES)


class Neighbours(NamedTuple):
    """Companions of one item in one share; E entries the catalogue knows."""

    rows_E: NDArray[np.int32]
    after_E: NDArray[np.float32]
    with_E: NDArray[np.float32]


@dataclass(slots=True)
class _Share:
    """One partition's share. Columns: views then accepts, each by ``DECAYS``."""

    clock: int = 0
    watermark_ms: int = 0
    ref_clock: int = 0
    ref_ms: int = 0
    counts: Column[np.float64] = field(default_factory=lambda: Column((2 * DECAYS,), np.float64))
    first_seen_ms: Column[np.int64] = field(default_factory=lambda: Column((), np.int64))
    last_accept_ms: Column[np.int64] = field(default_factory=lambda: Column((), np.int64))
    pair_totals: Column[np.float64] = field(default_factory=lambda: Column((), np.float64))
    pairs: dict[int, Neighbours] = field(default_factory=dict)
    waiting: dict[str, Record] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class ItemCounts:
    """Everything known of every item, all shares added up, at ``watermark_ms``."""

    views_ND: Array
    accepts_ND: Array
    first_seen_ms_N: NDArray[np.int64]  # NEVER_MS where never seen
    last_accept_ms_N: NDArray[np.int64]
    watermark_ms: int


class Statistics:
    """See the module. ``version`` grows whenever an answer may change."""

    def __init__(self, catalogue: Catalogue, partitions: int = 1) -> None:
        self.catalogue = catalogue
        self.version = 0
        self._shares: dict[Source, _Share] = {}
        self._half_lives = np.array([*share_half_lives(partitions), *HOUR_HALF_LIVES])
        self._applied_catalogue = 0
        self._counts: tuple[tuple[int, int], ItemCounts] | None = None

    @property
    def watermark_ms(self) -> int:
        """The latest event time any share has seen: the "now" of every statistic."""
        return max((s.watermark_ms for s in self._shares.values()), default=0)

    def apply_rows(self, source: Source, rows: Mapping[str, Record]) -> None:
        """Take in changed rows of an events source; repeating a row is harmless."""
        if not rows:
            return
        share = self._shares.setdefault(source, _Share())
        self.version += 1
        if "c" in rows:
            share.clock, share.watermark_ms = rows["c"]["n"], rows["c"]["t"]
        self._rebase(share)
        self._apply(share, rows)

    def counts(self) -> ItemCounts:
        """All shares added up at the watermark. Cached until something changes."""
        key = (self.version, self.catalogue.version)
        if self._counts is None or self._counts[0] != key:
            self._catch_up()
            self._counts = (key, self._sum())
        return self._counts[1]

    def neighbours(self, row: int) -> list[Neighbours]:
        """Pairs of an item, one entry per share that has some."""
        found = (share.pairs.get(row) for share in self._shares.values())
        return [n for n in found if n is not None]

    def pair_totals(self) -> Array:
        """Total co-occurrence weight of each item, all shares."""
        self._catch_up()
        total = np.zeros(len(self.catalogue))
        for share in self._shares.values():
            total += share.pair_totals.view(len(total))
        return total

    def _sum(self) -> ItemCounts:
        n, now_ms = len(self.catalogue), self.watermark_ms
        counts = np.zeros((n, 2 * DECAYS))
        first, last = np.zeros(n, np.int64), np.zeros(n, np.int64)
        for share in self._shares.values():
            scale = self._power(share, share.clock, now_ms, sign=-1.0)
            counts += share.counts.view(n) * scale
            seen = share.first_seen_ms.view(n)
            first = np.where(
                first == NEVER_MS, seen, np.where(seen, np.minimum(first, seen), first)
            )
            last = np.maximum(last, share.last_accept_ms.view(n))
        return ItemCounts(counts[:, :DECAYS], counts[:, DECAYS:], first, last, now_ms)

    def _power(self, share: _Share, clock: Any, at_ms: Any, *, sign: float) -> Array:
        """2^(±(time - reference)/half-life) by column: (2·DECAYS,), or (R, 2·DECAYS)."""
        ticks = np.asarray(clock - share.ref_clock, float)[..., None]
        hours = np.asarray(at_ms - share.ref_ms, float)[..., None] / MS_PER_HOUR
        ages = np.concatenate(
            [ticks / self._half_lives[:EVENTS], hours / self._half_lives[EVENTS:]], axis=-1
        )
        return np.asarray(np.exp2(sign * np.tile(ages, 2)))

    def _rebase(self, share: _Share) -> None:
        if share.ref_ms == 0:
            share.ref_clock, share.ref_ms = share.clock, share.watermark_ms
        ticks = (share.clock - share.ref_clock) / self._half_lives[0]
        hours = (share.watermark_ms - share.ref_ms) / MS_PER_HOUR / self._half_lives[EVENTS]
        if max(ticks, hours) < REBASE_AT:
            return
        n = len(self.catalogue)
        scale = self._power(share, share.clock, share.watermark_ms, sign=-1.0)
        share.counts.view(n)[:] *= scale
        share.ref_clock, share.ref_ms = share.clock, share.watermark_ms

    def _catch_up(self) -> None:
        if self._applied_catalogue == self.catalogue.version:
            return
        self._applied_catalogue = self.catalogue.version
        for share in self._shares.values():
            waiting, share.waiting = share.waiting, {}
            self._apply(share, waiting)

    def _apply(self, share: _Share, rows: Mapping[str, Record]) -> None:
        row_of = self.catalogue.row
        known: list[int] = []
        records: list[Sequence[float]] = []
        for key, record in rows.items():
            if key.startswith("i/"):
                row = row_of(key[2:])
                if row is None:
                    share.waiting[key] = record
                else:
                    share.waiting.pop(key, None)
                    known.append(row)
                    records.append(record["s"])
            elif key.startswith("n/"):
                self._apply_pairs(share, key, record)
        if known:
            self._apply_counts(share, np.array(known), np.array(records, np.float64))

    def _apply_counts(self, share: _Share, rows_R: NDArray[np.int64], values: Array) -> None:
        n = len(self.catalogue)
        power = self._power(share, values[:, 0], values[:, 1], sign=1.0)
        share.counts.view(n)[rows_R] = values[:, 4:] * power
        share.first_seen_ms.view(n)[rows_R] = values[:, 2]
        share.last_accept_ms.view(n)[rows_R] = values[:, 3]

    def _apply_pairs(self, share: _Share, key: str, record: Record) -> None:
        row = self.catalogue.row(key[2:])
        rows_E = self.catalogue.rows(record["i"])
        known = rows_E >= 0
        if row is None or not known.all():
            share.waiting[key] = record
        else:
            share.waiting.pop(key, None)
        if row is None:
            return
        after, with_ = np.array(record["t"], np.float32), np.array(record["c"], np.float32)
        share.pairs[row] = Neighbours(rows_E[known], after[known], with_[known])
        share.pair_totals.set(row, record["n"])
