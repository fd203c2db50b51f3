"""Replies looked at and decided on by a person: what is said, what waits, approved and rejected.

A decision is an event as a user's own yes or no is one, and is learned from. Messages first, then
what is kept: decided again after a crash, they are the same events.
"""

from __future__ import annotations

from streamrec.apps import clients
from streamrec.core import topics
from streamrec.core.events import Interaction, Kind, ReplyMessage
from streamrec.errors import UserError
from streamrec.infra.clock import SystemClock
from streamrec.settings import Settings
from streamrec.tasks.replies.made import MadeReply, judged


def held(settings: Settings) -> list[MadeReply]:
    """What waits, oldest first. Raises Unavailable."""
    with clients.redis(settings) as redis:
        return clients.replies(settings, redis).held()


def of(settings: Settings, reply_id: str) -> MadeReply:
    """Raises UserError when nothing is kept of it, Unavailable."""
    with clients.redis(settings) as redis:
        found = clients.replies(settings, redis).of(reply_id)
    if found is None:
        raise UserError(f"nothing is kept of {reply_id}: it is too old, or never was")
    return found


def approve(settings: Settings, reply_id: str) -> ReplyMessage:
    """It is said now. Raises UserError when it does not wait, Unavailable."""
    return _decide(settings, reply_id, Kind.ACCEPT)


def reject(settings: Settings, reply_id: str) -> ReplyMessage:
    """It is never said. Raises UserError when it does not wait, Unavailable."""
    return _decide(settings, reply_id, Kind.REJECT)


def _decide(settings: Settings, reply_id: str, kind: Kind) -> ReplyMessage:
    made, now_ms = of(settings, reply_id), SystemClock().now_ms()
    if made.held is None:
        raise UserError(f"{reply_id} does not wait for anybody")
    decided, said = made.approved(now_ms) if kind is Kind.ACCEPT else made.rejected()
    thought = judged(decided, kind, now_ms, f"review-{reply_id}")
    _publish(settings, decided.said if kind is Kind.ACCEPT else None, [said, thought])
    with clients.redis(settings) as redis:
        clients.replies(settings, redis).put(decided)
    return decided.said


def _publish(settings: Settings, reply: ReplyMessage | None, events: list[Interaction]) -> None:
    codec, publisher = clients.codec(settings), clients.publisher(settings, "streamrec-cli")
    values: list[tuple[str, ReplyMessage | Interaction]] = [
        (topics.EVENTS, event) for event in events
    ]
    if reply is not None:
        values.append((topics.REPLIES, reply))
    try:
        for topic, value in values:
            publisher.publish(topic, value.user_id.encode(), codec.encode(topic, value))
        publisher.flush()
    finally:
        publisher.close()
