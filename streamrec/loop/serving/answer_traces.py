"""The spans of a micro-batch: one for each answer that is made. None where nobody traces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from streamrec.ports import LINKS, NO_SPAN, Answer, Asked, Delivered, Span, Spans, Tracer


class AnswerSpans:
    """As a context manager it ends them all; one without an answer says so."""

    def __init__(self, tracer: Tracer, asked: Sequence[Asked], batch: Sequence[Delivered]) -> None:
        """``batch``: all that was asked; updates that a later one stands for become links."""
        self._spans: dict[int, Span] = {}
        if not tracer.on:
            return
        by_key: dict[bytes | None, list[str]] = defaultdict(list)
        for message in batch:
            by_key[message.key].append(message.traceparent)
        for one in asked:
            message = one.message
            others = [at for at in by_key[message.key] if at and at != message.traceparent]
            self._spans[id(one)] = tracer.span(
                Spans.SERVE,
                message.traceparent,
                others[-LINKS:],
                topic=message.topic,
                partition=message.partition,
                offset=message.offset,
            )

    def answered(self, answer: Answer) -> Span:
        """The span of what is about to be published."""
        span = self._spans.pop(id(answer.asked), NO_SPAN)
        span.note(generation=answer.generation)
        return span

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        for span in self._spans.values():
            span.note(answered="nothing")
            if error is not None:
                span.fail(f"not answered: {error}")
            span.end()
