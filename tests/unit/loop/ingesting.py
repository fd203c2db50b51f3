"""What the ingest tests share: a stage over fakes, and the outcome as comparable values."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streamrec.core.events import Source
from streamrec.core.state.batching import BatchRules
from streamrec.core.state.fold import FoldRules
from streamrec.loop.ingesting.ingest import Ingest, IngestRules
from streamrec.loop.ingesting.ingest_events import EventsRules
from streamrec.loop.ingesting.raw import RawRecord
from streamrec.ports import NO_TRACER, Tracer
from streamrec.ports.edges import Edges
from streamrec.tasks.ranking.example_maker import example_source
from tests.fakes.clock import FakeClock
from tests.fakes.publisher import FakePublisher
from tests.fakes.store import FakePartitionStore
from tests.fakes.streams import catalogue_records
from tests.harness.codec import wire_codec

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
    foreign: Callable[[int], object] | None = None,
    keep_ms: int = 0,
    window_ms: int = 300_000,
    tracer: Tracer = NO_TRACER,
) -> Ingest:
    rules = IngestRules(
        partitions={"items": 1, "events": 1},
        events=EventsRules(
            fold=FoldRules(partitions=1, attribution_window_ms=window_ms, keep_ms=keep_ms),
            batch=batch,
            future_tolerance_ms=86_400_000,
        ),
    )
    codec = wire_codec(max_message_bytes, foreign=foreign)
    edges = Edges(store, publisher, codec, clock or FakeClock(), partition_of, tracer=tracer)
    return Ingest(edges, rules, [example_source(negatives=4)])


def load_catalogue(ingest: Ingest) -> None:
    ingest.take_over(ITEMS)
    ingest.ingest(ITEMS, catalogue_records())


def feed(ingest: Ingest, records: Sequence[RawRecord], position: int) -> None:
    """Records from ``position`` on, in runs; like a consumer that seeks where it is told."""
    while position < len(records):
        position = ingest.ingest(EVENTS, records[position : position + RUN])
    ingest.settle()
