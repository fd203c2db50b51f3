"""One line that somebody wants to have sent: what would go to the topic, or why it cannot.

The checks are those of whoever reads the topic, so that what would end in the dead letters is
told at once. Knows no Kafka.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Callable
from dataclasses import dataclass, replace

from streamrec.core import topics
from streamrec.core.events import Interaction, Item, Kind
from streamrec.errors import InvalidField, Malformed
from streamrec.loop.ingesting.admissible import FUTURE_TOLERANCE_MS, located
from streamrec.loop.ingesting.raw import RawRecord
from streamrec.loop.ingesting.send import KEYS, named
from streamrec.ports import Codec


@dataclass(frozen=True, slots=True)
class ReadyLine:
    """``id``: the event's or the item's own."""

    id: str
    key: bytes
    data: bytes


def ready(
    line: bytes,
    topic: str,
    codec: Codec,
    now_ms: int,
    *,
    known_as: Callable[[str], str] = str,
    check_user: Callable[[str], object] = str,
) -> ReadyLine:
    """``known_as``: what a user id becomes on its way. ``check_user``: raises for a user of others.

    An event without an ``event_id`` is ``named``. Raises Refused, and what ``check_user`` raises.
    """
    if not line.removeprefix(BOM_UTF8).startswith(b"{"):
        raise Malformed("not a JSON object; every line must be one")
    value = codec.decode(topic, named(line) if topic == topics.EVENTS else line)
    if isinstance(value, Item):
        if not value.item_id:
            raise Malformed("a deletion that names no item_id")
        return ReadyLine(value.item_id, value.item_id.encode(), codec.encode(topic, value))
    event: Interaction = value
    if event.kind is Kind.REPLY:
        raise InvalidField("kind is 'reply'; only streamrec's own workers write these", "kind")
    check_user(event.user_id)
    located(RawRecord(0, now_ms, None, None), event, now_ms, FUTURE_TOLERANCE_MS)
    event = replace(event, user_id=known_as(event.user_id))
    return ReadyLine(event.event_id, KEYS[topic](event).encode(), codec.encode(topic, event))
