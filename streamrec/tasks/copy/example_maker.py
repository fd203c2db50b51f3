"""From views and clicks that name a wording to examples, a few dozen clicks each.

Knows the table of an item's impressions since its last example (``core.variants.unlearned``), as
it was before the run and as the run moves it on. Does not know when an event counts (the fold).
"""

from __future__ import annotations

import numpy as np

from streamrec.core.events import Item, Source
from streamrec.core.examples import Example
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.counters import Numbers
from streamrec.core.state.example_maker import ExampleMaker
from streamrec.core.state.run import Located
from streamrec.core.state.statistics import Statistics
from streamrec.core.tasks import COPY
from streamrec.core.variants.credit import counts_of, credited
from streamrec.core.variants.unlearned import NOTHING, UNLEARNED, worth_an_example
from streamrec.ports import ExampleSource
from streamrec.tasks.copy.examples import FORMAT, CopyExample, variant_text

NOBODY = ""
"""Examples are counts of many people: forgetting one of them changes none."""


class CopyExamples(ExampleMaker):
    """Of one partition. Items that are not in the catalogue make none: nobody knows their words."""

    def __init__(self, partition: int, catalogue: Catalogue, statistics: Statistics) -> None:
        self._source = Source("events", partition)
        self._catalogue, self._statistics = catalogue, statistics
        self._open: dict[str, Numbers] = {}  # of this run
        self._made: list[Example] = []

    def counted(self, at: Located) -> None:
        row = self._catalogue.row(at.event.item_id)
        if at.event.recommendation_id is None or row is None:
            return
        item = self._catalogue.item(row)
        before = self._open.get(item.item_id)
        if before is None:
            before = self._before_the_run(row)
        after = credited(before, at.event)
        if worth_an_example(after):
            self._make(at, item, after)
            after = NOTHING
        self._open[item.item_id] = after

    def finish(self) -> list[Example]:
        made, self._made = self._made, []
        self._open.clear()
        return made

    def _before_the_run(self, row: int) -> Numbers:
        numbers = self._statistics.counted_in(self._source, UNLEARNED, row)
        return NOTHING if numbers is None else tuple(numbers.tolist())

    def _make(self, at: Located, item: Item, table: Numbers) -> None:
        """An example of the wordings that the item has now, where two of them were seen."""
        ids = [variant.variant_id for variant in item.variants]
        views_A, clicks_A = counts_of(ids, [np.array(table)])
        seen_A = views_A > 0
        if seen_A.sum() < 2:
            return
        words = [variant_text(one.title, one.text) for one in item.variants]
        self._made.append(
            CopyExample(
                partition=self._source.partition,
                offset=at.offset,
                index=0,
                user_id=NOBODY,
                produced_at_ms=at.produced_at_ms,
                item_id=item.item_id,
                texts=tuple(text for text, seen in zip(words, seen_A, strict=True) if seen),
                views_A=views_A[seen_A].astype(np.float32),
                clicks_A=clicks_A[seen_A].astype(np.float32),
            )
        )


def example_source() -> ExampleSource:
    """Who makes copy's examples in a feature worker."""
    return ExampleSource(COPY, FORMAT, CopyExamples, (UNLEARNED,))
