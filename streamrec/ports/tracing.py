"""What a process tells of how one message led to the next, for people.

Spans that nobody asked for are no spans: nothing is made, kept or sent. What travels between
processes is one ``traceparent`` as the W3C wrote it down, 55 characters, or nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, Token
from enum import StrEnum
from typing import Self

from streamrec.errors import StreamrecError

TRACEPARENT = "traceparent"
"""The name of the header of a message."""

TRACE_ID: ContextVar[str] = ContextVar("trace_id", default="")
"""The trace that is being worked for: log lines say it."""

LINKS = 64
"""Of one span, at most."""

_WELL_FORMED = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)

Header = tuple[str, bytes]


class Spans(StrEnum):
    """What is told of, in the order of a click's journey."""

    SEND = "send"  # an event, by our command line or gateway
    ASK = "ask"  # a request, and the waiting for its answer
    FOLD = "fold"  # an event into state
    BATCH = "mini-batch"  # cut, linked to its events
    SERVE = "serve"  # a list
    CANDIDATE = "candidate"  # from its first mini-batch to its release
    LEARN = "learn"  # a mini-batch
    GATE = "gate"
    STAGE = "stage"
    CANARY = "canary"
    ACTIVATE = "activate"


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
        if self.traceparent:
            self._within = TRACE_ID.set(trace_id(self.traceparent))
        return self

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if self._within is not None:
            TRACE_ID.reset(self._within)
            self._within = None
        if error is not None:
            self.fail(str(error) if isinstance(error, StreamrecError) else repr(error))
        self.end()


NO_SPAN = Span()


class Tracer:
    """Makes spans. This one makes none, and costs nothing. Any thread may call it."""

    on = False

    def span(
        self,
        name: Spans,
        parent: str = "",
        links: Sequence[str] = (),
        **attributes: str | int,
    ) -> Span:
        """One that begins now. ``parent``, ``links``: ``traceparent`` of others, "" for none."""
        del name, parent, links, attributes
        return NO_SPAN

    def close(self) -> None:
        """What has ended is sent, as far as that goes quickly."""


NO_TRACER = Tracer()


def headers(traceparent: str) -> tuple[Header, ...]:
    """Of a message that carries on a trace."""
    return ((TRACEPARENT, traceparent.encode()),) if traceparent else ()


def carried(found: Iterable[tuple[str, bytes | None]]) -> str:
    """The ``traceparent`` among a message's headers, whoever wrote them; "" where there is none."""
    for name, value in found:
        if name.lower() == TRACEPARENT and _WELL_FORMED.fullmatch(value or b""):
            return (value or b"").decode()
    return ""


def sampled(traceparent: str) -> bool:
    """Whether somebody wants to see it."""
    return bool(traceparent) and bool(int(traceparent[-2:], 16) & 1)


def trace_id(traceparent: str) -> str:
    """The 32 hexadecimal digits that all spans of a trace share; "" without one."""
    return traceparent[3:35]


@contextmanager
def within(traceparent: str) -> Iterator[None]:
    """Log lines of the block say this trace."""
    token = TRACE_ID.set(trace_id(traceparent))
    try:
        yield
    finally:
        TRACE_ID.reset(token)
