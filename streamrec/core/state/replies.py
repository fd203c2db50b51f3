"""Which outcome belongs to which reply: exactly one to each, in whatever order they come.

A reply that was said waits for what its user does. The first of these closes it:

    accepted, rejected   the user says so (``accept`` and ``reject``, by ``reply_id``)
    clicked              an item that it names is accepted
    rephrased            the next question of the conversation says the same in other words
    ignored              nothing of it within the window, or too many newer replies

An accept or reject may come before the reply itself: two producers write them. It waits for it, as
one of the last ``EARLY``. So may a click, which the user's history remembers. What names a reply
that is closed comes too late and changes nothing.

Knows a user's open replies, as values. Does not know clocks or deadlines (``core.state.deadlines``)
or what an outcome is worth (``tasks.replies``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple

from streamrec.core.events import Interaction, Kind
from streamrec.core.replies.conversation import rephrases
from streamrec.core.state.event_clock import STEP_MS

OPEN, EARLY, CLOSED = 4, 8, 32


class ReplyOutcome(StrEnum):
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    CLICKED = "clicked"
    REPHRASED = "rephrased"
    IGNORED = "ignored"


_SAID = {Kind.ACCEPT: ReplyOutcome.ACCEPTED, Kind.REJECT: ReplyOutcome.REJECTED}


@dataclass(frozen=True, slots=True)
class OpenReply:
    """A reply that waits. ``items``: those it names. ``log``: what its writer noted, as it came.

    ``said_at_ms``: by its own event. ``opened_at_ms``, ``clock_ms``: as of
    ``core.state.user_state.Pending``.
    """

    reply_id: str
    said_at_ms: int
    opened_at_ms: int
    items: tuple[str, ...]
    log: str
    query: str = ""
    conversation_id: str | None = None
    clock_ms: int = 0

    def to_record(self) -> list[Any]:
        words = (self.log, self.query, self.conversation_id)
        times = (self.said_at_ms, self.opened_at_ms, self.clock_ms)
        return [self.reply_id, *times, list(self.items), *words]

    @classmethod
    def from_record(cls, record: list[Any]) -> OpenReply:
        reply_id, said_ms, opened_ms, clock_ms, items, *words = record
        log, query, conversation = words
        return cls(reply_id, said_ms, opened_ms, tuple(items), log, query, conversation, clock_ms)


@dataclass(frozen=True, slots=True)
class Replies:
    """Of one user. ``early``: said of replies that have not come; ``closed``: newest last."""

    open: tuple[OpenReply, ...] = ()
    early: tuple[tuple[str, ReplyOutcome], ...] = ()
    closed: tuple[str, ...] = ()

    def to_record(self) -> dict[str, Any]:
        """Nothing where there is nothing."""
        found = {
            "o": [one.to_record() for one in self.open],
            "e": [[reply_id, outcome.value] for reply_id, outcome in self.early],
            "x": list(self.closed),
        }
        return {"r": found} if self != NO_REPLIES else {}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Replies:
        """Of a user's whole record."""
        if "r" not in record:
            return NO_REPLIES
        found = record["r"]
        return cls(
            tuple(OpenReply.from_record(one) for one in found["o"]),
            tuple((reply_id, ReplyOutcome(outcome)) for reply_id, outcome in found["e"]),
            tuple(found["x"]),
        )


NO_REPLIES = Replies()


class ReplyClosed(NamedTuple):
    """Of an open reply, what became of it."""

    reply: OpenReply
    outcome: ReplyOutcome


class Heard(NamedTuple):
    """The replies after an event, and what it closed."""

    replies: Replies
    closed: tuple[ReplyClosed, ...] = ()


def heard(
    replies: Replies,
    event: Interaction,
    watermark_ms: int,
    accepted_at_ms: Callable[[str], int],
) -> Heard:
    """What an event does to a user's replies.

    ``accepted_at_ms``: when the user last accepted an item, this event aside; 0: never.
    """
    match event.kind:
        case Kind.REPLY:
            asked = _rephrased(replies, event)
            opened = _said(asked.replies, event, watermark_ms, accepted_at_ms)
            return Heard(opened.replies, (*asked.closed, *opened.closed))
        case Kind.SEARCH:
            return _rephrased(replies, event)
        case Kind.ACCEPT | Kind.REJECT:
            return _told(replies, event.reply_id or "", _SAID[event.kind])
    if not event.accepted:
        return Heard(replies)
    named = [
        one
        for one in replies.open
        if event.item_id in one.items and one.said_at_ms <= event.occurred_at_ms
    ]
    return _close(replies, named, ReplyOutcome.CLICKED)


def ignored(replies: Replies, due: Sequence[OpenReply]) -> Heard:
    """Nothing came of these in time."""
    return _close(replies, due, ReplyOutcome.IGNORED)


def _said(
    replies: Replies, event: Interaction, watermark_ms: int, accepted_at_ms: Callable[[str], int]
) -> Heard:
    reply_id = event.reply_id or ""
    if reply_id in replies.closed or any(one.reply_id == reply_id for one in replies.open):
        return Heard(replies)
    opened = _opened(event, watermark_ms)
    pushed = replies.open[: max(0, len(replies.open) + 1 - OPEN)]
    found = _close(replies, pushed, ReplyOutcome.IGNORED)
    replies = replace(found.replies, open=(*found.replies.open, opened))
    known = dict(replies.early).get(reply_id)
    if known is None and any(accepted_at_ms(item) >= event.occurred_at_ms for item in opened.items):
        known = ReplyOutcome.CLICKED
    if known is None:
        return Heard(replies, found.closed)
    decided = _close(replies, [opened], known)
    return Heard(decided.replies, (*found.closed, *decided.closed))


def _opened(event: Interaction, watermark_ms: int) -> OpenReply:
    at_ms = max(event.occurred_at_ms, watermark_ms)
    return OpenReply(
        event.reply_id or "",
        event.occurred_at_ms,
        at_ms,
        _named(event.reply_log),
        event.reply_log or "",
        event.query or "",
        event.conversation_id,
        watermark_ms if at_ms > watermark_ms + STEP_MS else 0,
    )


def _named(log: str | None) -> tuple[str, ...]:
    """Items that a log says the reply names; none where it cannot be read."""
    try:
        found = json.loads(log or "{}")
    except (ValueError, RecursionError):
        return ()
    items = found.get("items", ()) if isinstance(found, dict) else ()
    return tuple(one for one in items if isinstance(one, str)) if isinstance(items, list) else ()


def _told(replies: Replies, reply_id: str, outcome: ReplyOutcome) -> Heard:
    named = [one for one in replies.open if one.reply_id == reply_id]
    if named:
        return _close(replies, named, outcome)
    if reply_id in replies.closed or reply_id in dict(replies.early):
        return Heard(replies)
    return Heard(replace(replies, early=(*replies.early, (reply_id, outcome))[-EARLY:]))


def _rephrased(replies: Replies, event: Interaction) -> Heard:
    """A question that says the same as one before it in the conversation."""
    if not event.query or event.conversation_id is None:
        return Heard(replies)
    before = [
        one
        for one in replies.open
        if one.conversation_id == event.conversation_id
        and one.said_at_ms < event.occurred_at_ms
        and one.reply_id != event.reply_id
        and rephrases(event.query, one.query)
    ]
    return _close(replies, before, ReplyOutcome.REPHRASED)


def _close(replies: Replies, gone: Sequence[OpenReply], why: ReplyOutcome) -> Heard:
    if not gone:
        return Heard(replies)
    names = [one.reply_id for one in gone]
    left = Replies(
        tuple(one for one in replies.open if one.reply_id not in names),
        tuple(one for one in replies.early if one[0] not in names),
        (*replies.closed, *names)[-CLOSED:],
    )
    return Heard(left, tuple(ReplyClosed(one, why) for one in gone))
