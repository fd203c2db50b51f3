"""A process' own copy of catalogue and statistics, kept fresh from the shared rows.

Knows how often nothing has to be asked again (positions per source) and that a reader must
see one state while it works. Does not know Redis, features' formulas, or who reads.

Rows are fetched without the lock and applied under it, so a reader waits for arithmetic,
never for the network. A catalogue row may be another item's once a reader has let go.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from streamrec.core.events import Source
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.statistics import Statistics
from streamrec.core.variants.credit import CREDIT
from streamrec.ports import Changes, PartitionStore
from streamrec.tasks.ranking.features import FeatureMaker


@dataclass(frozen=True, slots=True)
class View:
    """What a reader may use until it leaves the ``with`` block."""

    catalogue: Catalogue
    features: FeatureMaker
    watermark_ms: int  # the latest event time the statistics include
    positions: Mapping[Source, int]  # next offset of each source that they include
    tables: Callable[[int], list[NDArray[np.float64]]]  # wordings counted, by row and partition


class Mirror:
    """Follows the rows of all partitions of ``items`` and ``events``.

    One thread refreshes, any number read.
    """

    def __init__(self, store: PartitionStore, partitions: Mapping[str, int]) -> None:
        """``partitions``: number of partitions of the topics "items" and "events"."""
        self.catalogue = Catalogue(reclaims=True)
        self._store = store
        self._statistics = Statistics(self.catalogue, partitions["events"])
        self._since = {
            Source(topic, number): 0
            for topic in ("items", "events")  # items first: statistics need their rows
            for number in range(partitions[topic])
        }
        self._lock = threading.Lock()
        self._features = FeatureMaker(self._statistics, self.catalogue)

    def refresh(self) -> int:
        """Take in what has changed; returns the number of rows. Raises Unavailable."""
        read = self._store.read_rows
        fetched = {source: read(source, since) for source, since in self._since.items()}
        behind = [s for s, changes in fetched.items() if changes.whole and self._since[s]]
        if any(source.topic == "items" for source in behind):  # what is missing is gone
            items = [source for source in fetched if source.topic == "items"]
            fetched |= {source: read(source, 0) for source in items}
        if behind or any(changes.rows for changes in fetched.values()):
            with self._lock:
                self._apply(fetched)
        self._since |= {source: changes.position for source, changes in fetched.items()}
        return sum(len(changes.rows) for changes in fetched.values())

    @contextmanager
    def view(self) -> Iterator[View]:
        """Catalogue and features that stand still inside the block."""
        with self._lock:
            yield View(
                self.catalogue,
                self._features,
                self._statistics.watermark_ms,
                dict(self._since),
                partial(self._statistics.counted_apart, CREDIT),
            )

    def _apply(self, fetched: Mapping[Source, Changes]) -> None:
        items = [changes for source, changes in fetched.items() if source.topic == "items"]
        rows = {name: row for changes in items for name, row in changes.rows.items()}
        if all(changes.whole for changes in items):
            self.catalogue.replace_all(rows)
        else:
            self.catalogue.apply_rows(rows)
        for source, changes in fetched.items():
            if source.topic == "events" and (changes.rows or self._since[source]):
                self._statistics.apply_rows(source, changes.rows, whole=changes.whole)
        self._features = FeatureMaker(self._statistics, self.catalogue)
