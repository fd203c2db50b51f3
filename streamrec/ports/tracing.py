"""What a process tells of how one message led to the next, for people.

Spans that nobody asked for are no spans: nothing is made, kept or sent. What travels between
processes is one ``traceparent`` as the W3C wrote it down, 55 characters, or nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar, Token
from typing import Self

from streamrec.errors import StreamrecError

TRACEPARENT = "traceparent"
"""The name of the header of a message."""

TRACE_ID: ContextVar[str] = ContextVar("trace_id", default="")
"""The trace that is being worked for: log lines say it."""

Header = tuple[str, bytes]


class Span:
    """Something that is done, from when it is made until ``end``. This one is told to nobody.

    As a context manager it ends with the block, and log lines within say its trace.
    """

    traceparent = ""  # what the next one names as its parent, or links to

    def __init__(self) -> None:
        self._within: Token[str] | None = None

    @property
    def headers(self) -> tuple[Header, ...]:
        """Of the message that carries it on."""
        return headers(self.traceparent)

    def note(self, **attributes: str | int) -> None:
        """What is known of it only now."""

    def fail(self, why: str) -> None:
        """It did not do what it was to do."""

    def end(self) -> None:
        """It is over; nothing more is said of it."""

    def __enter__(self) -> Self:
        self._within = TRACE_ID.set(trace_id(self.traceparent)) if self.traceparent else None
        return self

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if self._within is not None:
            TRACE_ID.reset(self._within)
        if error is not None:
            self.fail(str(error) if isinstance(error, StreamrecError) else repr(error))
        self.end()


NO_SPAN = Span()


class Tracer:
    """Makes spans. This one makes none, and costs nothing. Any thread may call it."""

    on = False

    def span(
        self,
        name: str,
        parent: str = "",
        links: Sequence[str] = (),
        **attributes: str | int,
    ) -> Span:
        """One that begins now. ``parent``, ``links``: ``traceparent`` of others, "" for none."""
        del name, parent, links, attributes
        return NO_SPAN

    def close(self) -> None:
        """What has ended is sent, as far as that goes quickly."""


def headers(traceparent: str) -> tuple[Header, ...]:
    """Of a message that carries on a trace."""
    return ((TRACEPARENT, traceparent.encode()),) if traceparent else ()


def trace_id(traceparent: str) -> str:
    """The 32 hexadecimal digits that all spans of a trace share; "" without one."""
    return traceparent[3:35]
