"""What the ingest tests share: a stage over fakes, and the outcome as comparable values."""

from __future__ import annotations

from collections.abc import Sequence

from streamrec.core.events import Source
from streamrec.core.state.batching import BatchRules
from streamrec.core.state.fold import FoldRules
from streamrec.infra.wire.codec import WireCodec
from streamrec.loop.ingesting.ingest import Ingest, IngestRules
from streamrec.loop.ingesting.ingest_events import EventsRules
from streamrec.loop.ingesting.raw import Edges, RawRecord
from tests.fakes.clock import FakeClock
from tests.fakes.publisher import FakePublisher
from tests.fakes.store import FakePartitionStore
from tests.fakes.streams import catalogue_records

EVENTS = Source("events", 0)
ITEMS = Source("items", 0)
RUN = 10
BATCH = BatchRules(examples=8, bytes=100_000, age_ms=500)


def make_ingest(
    store: FakePartitionStore,
    publisher: FakePublisher,
    *,
    clock: FakeClock | None = None,
    batch: BatchRules = BATCH,
    max_message_bytes: int = 1_000_000,
    partition_of=lambda user_id: 0,
) -> Ingest:
    rules = IngestRules(
        partitions={"items": 1, "events": 1},
        events=EventsRules(
            fold=FoldRules(partitions=1, attribution_window_ms=300_000, sampled_negatives=4),
            batch=batch,
            future_tolerance_ms=86_400_000,
        ),
    )
    codec = WireCodec(max_message_bytes)
    return Ingest(Edges(store, publisher, codec, clock or FakeClock(), partition_of), rules)


def load_catalogue(ingest: Ingest) -> None:
    ingest.take_over(ITEMS)
    ingest.ingest(ITEMS, catalogue_records())


def feed(ingest: Ingest, records: Sequence[RawRecord], position: int) -> None:
    """Records from ``position`` on, in runs; like a consumer that seeks where it is told."""
    while position < len(records):
        position = ingest.ingest(EVENTS, records[position : position + RUN])
    ingest.settle()
