"""One trace for each candidate: the mini-batches it learned, its gate, its release.

Learning goes on while one is judged and released, so there may be two: of the candidate that is
out, and of the next. Nothing of it where nobody traces.
"""

from __future__ import annotations

from streamrec.ports import NO_SPAN, DeliveredBatch, Span, Spans, Tracer, sampled


class GenerationTraces:
    """Told by the trainer, in its thread, what happens to whom."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._next: Span = NO_SPAN  # of the candidate that is still learning
        self._out: Span = NO_SPAN  # of the one that is frozen
        self._gate: Span = NO_SPAN

    @property
    def out(self) -> str:
        """``traceparent`` of the candidate that is on trial or on its way."""
        return self._out.traceparent

    def learn(self, delivered: DeliveredBatch) -> Span:
        """Of one mini-batch; linked to where it was cut."""
        if not self._tracer.on:
            return NO_SPAN
        links = [delivered.traceparent] if sampled(delivered.traceparent) else []
        root = self._root().traceparent
        return self._tracer.span(Spans.LEARN, root, links, batch=delivered.offset)

    def freeze(self, sequence: int, champion: str) -> None:
        """Its trial begins."""
        self._out, self._next = self._root(), NO_SPAN
        self._out.note(candidate=sequence)
        self._gate = self._tracer.span(Spans.GATE, self.out, champion=champion)

    def judge(self, generation: str, reason: str, *, accepted: bool) -> None:
        """Its trial has ended."""
        verdict = "accepted" if accepted else "rejected"
        self._gate.note(generation=generation, verdict=verdict, reason=reason)
        self._gate.end()
        self._gate = NO_SPAN
        self._out.note(generation=generation, verdict=verdict)

    def settle(self, outcome: str) -> None:
        """What became of it: that is the end of its trace."""
        self._out.note(outcome=outcome)
        self._out.end()
        self._out = NO_SPAN

    def drop(self, why: str) -> None:
        """What it has learned is void."""
        for span in (self._gate, self._out, self._next):
            span.fail(why)
            span.end()
        self._gate = self._out = self._next = NO_SPAN

    def _root(self) -> Span:
        if self._next is NO_SPAN:
            self._next = self._tracer.span(Spans.CANDIDATE)
        return self._next
