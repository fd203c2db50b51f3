"""A Tracer that remembers its spans, in the order in which they were made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from streamrec.ports import Span, Spans, Tracer
from streamrec.ports.tracing import trace_id


class FakeSpan(Span):
    def __init__(self, name: Spans, number: int, parent: str, links: Sequence[str]) -> None:
        super().__init__()
        trace = trace_id(parent) or f"{number:032x}"
        self.name, self.parent, self.links = name, parent, list(links)
        self.traceparent = f"00-{trace}-{number:016x}-{parent[-2:] or '01'}"
        self.attributes: dict[str, str | int] = {}
        self.failed = ""
        self.ended = 0

    def note(self, **attributes: str | int) -> None:
        self.attributes |= attributes

    def fail(self, why: str) -> None:
        self.failed = why

    def end(self) -> None:
        self.ended += 1


@dataclass
class FakeTracer(Tracer):
    spans: list[FakeSpan] = field(default_factory=list)
    on = True

    def span(
        self, name: Spans, parent: str = "", links: Sequence[str] = (), **attributes: str | int
    ) -> Span:
        made = FakeSpan(name, 0xA000 + len(self.spans), parent, links)
        made.note(**attributes)
        self.spans.append(made)
        return made

    def named(self, name: Spans) -> list[FakeSpan]:
        return [span for span in self.spans if span.name is name]
