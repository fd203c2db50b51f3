"""A reply that was made: what is said, what its writer noted, and what waits for a reviewer.

Knows how it is kept until it is old. A reply that is made again, after a crash, is the one that was
kept: the same words under the same ``reply_id``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from typing import Any

from streamrec.core.events import Interaction, Kind, Recommendation, ReplyMessage
from streamrec.errors import Malformed

FINAL = 1_000
"""Sequence of a whole reply: beyond any part of one, whoever wrote that."""


@dataclass(frozen=True, slots=True)
class MadeReply:
    """``log``: what ``said`` can be learned from, JSON. ``query``: what it answers.

    ``held``: what a reviewer is to look at, with the log of its own, and ``why``; ``said`` stands
    in for it meanwhile, and teaches nothing.
    """

    said: ReplyMessage
    log: str
    query: str
    held: ReplyMessage | None = None
    held_log: str = ""
    why: str = ""

    @property
    def user_id(self) -> str:
        return self.said.user_id

    @property
    def reply_id(self) -> str:
        return self.said.reply_id

    @property
    def event(self) -> Interaction | None:
        """That it was said; None while it is held."""
        return None if self.held else self._event(self.said, self.log)

    def approved(self, now_ms: int) -> tuple[MadeReply, Interaction]:
        """What waited is said in place of what stood in; the event that it was."""
        assert self.held is not None  # noqa: S101 - asked of what is held
        said = replace(self.held, sequence=self.said.sequence + 1, written_at_ms=now_ms)
        return MadeReply(said, self.held_log, self.query), self._event(said, self.held_log)

    def rejected(self) -> tuple[MadeReply, Interaction]:
        """What stood in stays; the event of what nobody is told, for the one that rejects it."""
        assert self.held is not None  # noqa: S101 - asked of what is held
        event = self._event(self.held, self.held_log)
        return replace(self, held=None, held_log="", why=""), event

    def _event(self, reply: ReplyMessage, log: str) -> Interaction:
        return Interaction(
            event_id=reply.reply_id,
            user_id=reply.user_id,
            item_id="",
            kind=Kind.REPLY,
            occurred_at_ms=reply.written_at_ms,
            recommendation_id=reply.recommendation_id,
            query=self.query or None,
            reply_id=reply.reply_id,
            conversation_id=reply.conversation_id,
            reply_log=log,
        )


def reply_id_of(found: Recommendation) -> str:
    """Of the reply to a list: the same however often it is asked for."""
    name = f"{found.user_id}\0{found.recommendation_id}".encode("utf-8", "surrogatepass")
    return f"rp-{blake2b(name, digest_size=12).hexdigest()}"


def judged(made: MadeReply, kind: Kind, now_ms: int, event_id: str) -> Interaction:
    """That somebody accepts or rejects it."""
    return Interaction(
        event_id=event_id,
        user_id=made.user_id,
        item_id="",
        kind=kind,
        occurred_at_ms=now_ms,
        recommendation_id=made.said.recommendation_id,
        reply_id=made.reply_id,
        conversation_id=made.said.conversation_id,
    )


def packed(made: MadeReply) -> bytes:
    return json.dumps(asdict(made), ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )


def unpacked(data: bytes) -> MadeReply:
    """Raises Malformed: it was kept by another version."""
    try:
        found = json.loads(data)
        said, held = _reply(found["said"]), found["held"] and _reply(found["held"])
        return MadeReply(**{**found, "said": said, "held": held})
    except (KeyError, TypeError, ValueError) as error:
        raise Malformed(f"a reply kept by another version: {error!r}") from None


def _reply(found: Mapping[str, Any]) -> ReplyMessage:
    named = {name: tuple(found[name]) for name in ("items", "history_items")}
    return ReplyMessage(**{**found, **named})
