"""Spans by OpenTelemetry's SDK, sent by OTLP over HTTP. Needs the extra ``tracing``.

Where they go, how many traces are kept and what is batched, the SDK reads itself from its own
variables (``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_TRACES_SAMPLER``, ``OTEL_BSP_*`` and the others).
It sends in a thread; what it cannot deliver is let go, and that is said.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.trace import SpanKind, StatusCode

from streamrec import __version__
from streamrec.ports import Span, Spans, Tracer

log = logging.getLogger(__name__)

CLOSE_S = 3.0
PREFIX = "streamrec."

KINDS = {
    Spans.SEND: SpanKind.PRODUCER,
    Spans.ASK: SpanKind.CLIENT,
    Spans.FOLD: SpanKind.CONSUMER,
    Spans.BATCH: SpanKind.PRODUCER,
    Spans.SERVE: SpanKind.CONSUMER,
    Spans.LEARN: SpanKind.CONSUMER,
}


class _Exporter(OTLPSpanExporter):
    """Says itself, in one line that is repeated now and then, that nobody takes the spans."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = super().export(spans)
        if result is not SpanExportResult.SUCCESS:
            log.warning("traces are lost: nobody takes them at %s", self._endpoint)
        return result


class _OtelSpan(Span):
    """What the SDK makes of it."""

    def __init__(self, span: trace.Span) -> None:
        super().__init__()
        self._span = span
        context = span.get_span_context()
        flags = int(context.trace_flags)
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{flags:02x}"

    def note(self, **attributes: str | int) -> None:
        self._span.set_attributes(_named(attributes))

    def fail(self, why: str) -> None:
        self._span.set_status(StatusCode.ERROR, why)

    def end(self) -> None:
        self._span.end()


class OtelTracer(Tracer):
    """``role`` and ``worker_id`` say whose spans they are, where the SDK's variables do not."""

    on = True

    def __init__(self, role: str, worker_id: str) -> None:
        ours = {
            "service.namespace": "streamrec",
            "service.name": f"streamrec-{role}",
            "service.version": __version__,
            "service.instance.id": worker_id,
        }
        resource = Resource.create(ours).merge(OTELResourceDetector().detect())
        quiet = logging.getLogger(OTLPSpanExporter.__module__)
        quiet.setLevel(logging.CRITICAL)  # three lines for every try
        self._exporter = _Exporter()
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("streamrec", __version__)

    def span(
        self,
        name: Spans,
        parent: str = "",
        links: Sequence[str] = (),
        **attributes: str | int,
    ) -> Span:
        made = self._tracer.start_span(
            name.value,
            context=_context(parent),
            kind=KINDS.get(name, SpanKind.INTERNAL),
            attributes=_named(attributes),
            links=[trace.Link(_read(link)) for link in links if link],
        )
        return _OtelSpan(made)

    def close(self) -> None:
        """What waits is sent; who does not take it is not waited for."""
        flushing = threading.Thread(target=self._provider.force_flush, daemon=True)
        flushing.start()
        flushing.join(CLOSE_S)
        ending: Any = (self._exporter, self._provider)  # untyped
        for part in ending:
            part.shutdown()


def _context(parent: str) -> Context:
    """Empty without a parent: what the thread happens to be in is not ours."""
    if not parent:
        return Context()
    return trace.set_span_in_context(trace.NonRecordingSpan(_read(parent)), Context())


def _read(traceparent: str) -> trace.SpanContext:
    _, trace_id, span_id, flags = traceparent.split("-")
    kept = trace.TraceFlags(int(flags, 16))
    return trace.SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=kept)


def _named(attributes: dict[str, str | int]) -> dict[str, str | int]:
    return {PREFIX + name: value for name, value in attributes.items()}
