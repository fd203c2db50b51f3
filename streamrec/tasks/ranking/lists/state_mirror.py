"""A process' own copy of catalogue and statistics, kept fresh from the shared rows.

Knows how often nothing has to be asked again (positions per source) and that a reader must
see one state while it works. Does not know Redis, features' formulas, or who reads.

Rows are fetched without the lock and applied under it, so a reader waits for arithmetic,
never for the network. Catalogue rows are only ever added, so what a reader was told about
row numbers stays true after it has let go.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from streamrec.core.events import Source
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.statistics import Statistics
from streamrec.ports import Changes, PartitionStore
from streamrec.tasks.ranking.features import FeatureMaker


@dataclass(frozen=True, slots=True)
class View:
    """What a reader may use until it leaves the ``with`` block."""

    catalogue: Catalogue
    features: FeatureMaker
    watermark_ms: int  # the latest event time the statistics include
    positions: Mapping[Source, int]  # next offset of each source that they include


class Mirror:
    """Follows the rows of all partitions of ``items`` and ``events``.

    One thread refreshes, any number read.
    """

    def __init__(self, store: PartitionStore, partitions: Mapping[str, int]) -> None:
        """``partitions``: number of partitions of the topics "items" and "events"."""
        self.catalogue = Catalogue()
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
        fetched = [
            (source, self._store.read_rows(source, since)) for source, since in self._since.items()
        ]
        changed = [(source, changes) for source, changes in fetched if changes.rows]
        if changed:
            with self._lock:
                self._apply(changed)
        self._since |= {source: changes.position for source, changes in fetched}
        return sum(len(changes.rows) for _, changes in changed)

    @contextmanager
    def view(self) -> Iterator[View]:
        """Catalogue and features that stand still inside the block."""
        with self._lock:
            yield View(
                self.catalogue, self._features, self._statistics.watermark_ms, dict(self._since)
            )

    def _apply(self, changed: Sequence[tuple[Source, Changes]]) -> None:
        for source, changes in changed:
            if source.topic == "items":
                self.catalogue.apply_rows(changes.rows)
            else:
                self._statistics.apply_rows(source, changes.rows)
        self._features = FeatureMaker(self._statistics, self.catalogue)
