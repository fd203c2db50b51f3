"""Which trace the events of a partition belong to, until what they caused is on its way.

Knows spans, and an outbox of their own: what a commit causes is published by whoever owns the
partition then, and goes on in the same trace (docs/adr/0134). Nothing of all this where nobody
traces: no span, no entry, no header.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from streamrec.core.events import Source
from streamrec.core.examples import TrainingBatch
from streamrec.errors import Refused
from streamrec.loop.ingesting.raw import RawRecord
from streamrec.ports import LINKS, OutboxEntry, Span, Spans, headers, sampled
from streamrec.ports.edges import Edges
from streamrec.ports.tracing import Header

TRACES = "traces"
"""The outbox: ``traceparent`` of an event's fold, at the event's place."""
KEPT = 5_000
"""Of one partition, read at once after a takeover, and remembered."""


class Folding:
    """The spans of one run, by offset. As a context manager it ends them all."""

    def __init__(self, spans: Mapping[int, Span]) -> None:
        self._spans = spans

    def refuse(self, refused: Sequence[tuple[RawRecord, Refused]]) -> None:
        """These are no part of what is committed."""
        if self._spans:
            for record, error in refused:
                self._spans[record.offset].fail(f"{error.code}: {error}")

    def entries(self) -> dict[str, list[OutboxEntry]]:
        """Of the outbox, if there is something to put into it."""
        kept = [
            OutboxEntry(offset, 0, span.traceparent.encode())
            for offset, span in self._spans.items()
            if sampled(span.traceparent)
        ]
        return {TRACES: kept} if kept else {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        for span in self._spans.values():
            if error is not None:
                span.fail(f"folded again: {error}")
            span.end()


NOTHING = Folding({})


class EventTraces:
    """Of one partition of the events; see the module."""

    def __init__(self, source: Source, edges: Edges) -> None:
        self._source, self._store, self._tracer = source, edges.store, edges.tracer
        self._of: dict[int, str] = {}  # offset -> traceparent, of what may still cause a message

    def take_over(self) -> None:
        """What an earlier owner of the partition had begun. Raises Unavailable."""
        found = self._store.outbox(self._source, TRACES, KEPT)
        if self._tracer.on:
            self._of = {entry.offset: entry.payload.decode() for entry in found}
        elif found:
            self._store.trim_outbox(self._source, TRACES, found[-1])

    def fold(self, run: Sequence[RawRecord]) -> Folding:
        """Begins a span for each event of a run."""
        if not self._tracer.on:
            return NOTHING
        spans = {
            record.offset: self._tracer.span(
                Spans.FOLD,
                record.traceparent,
                partition=self._source.partition,
                offset=record.offset - record.base,
            )
            for record in run
        }
        self._of |= {offset: span.traceparent for offset, span in spans.items()}
        return Folding(spans)

    def headers(self, offset: int) -> tuple[Header, ...]:
        """Of a message that an event has caused."""
        return headers(self._of.get(offset, "")) if self._of else ()

    def batch(self, batch: TrainingBatch) -> Span:
        """A mini-batch is of many traces: it begins one, with links to some of them."""
        traced = [self._of.get(example.offset, "") for example in batch.examples]
        links = [one for one in dict.fromkeys(traced) if sampled(one)][:LINKS]
        return self._tracer.span(
            Spans.BATCH,
            links=links,
            partition=batch.partition,
            from_offset=batch.from_offset,
            to_offset=batch.to_offset,
            examples=len(batch.examples),
        )

    def trim(self, before: int) -> None:
        """Events before this offset cause nothing any more."""
        gone = [offset for offset in self._of if offset < before]
        if not gone:
            return
        self._store.trim_outbox(self._source, TRACES, OutboxEntry(max(gone), 0, b""))
        for offset in gone:
            del self._of[offset]
