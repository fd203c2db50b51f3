"""Lines of JSON from a file onto a topic, each checked the way its consumer will check it.

Knows lines, counts and keys. Does not know where the lines come from, nor Kafka.
"""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from streamrec.core import topics
from streamrec.core.events import Interaction, Item
from streamrec.errors import Malformed, Refused
from streamrec.ports import NO_TRACER, Codec, Publisher, Spans, Tracer

FLUSH_EVERY = 2_000

KEYS: dict[str, Callable[[Any], str]] = {
    topics.EVENTS: lambda event: event.user_id,
    topics.ITEMS: lambda item: item.item_id,
}


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that was not sent. ``number`` counts from 1."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class SendReport:
    sent: int
    refused: int


def send_lines(
    lines: Iterable[bytes],
    topic: str,
    codec: Codec,
    publisher: Publisher,
    on_bad: Callable[[BadLine], None],
    *,
    known_as: Callable[[str], str] = str,
    tracer: Tracer = NO_TRACER,
) -> SendReport:
    """Publish every good line; returns when all of them are acknowledged.

    ``known_as``: what a user id of an event becomes on its way. An event without an ``event_id`` is
    ``named``, and each line begins a trace.

    Raises Unavailable when Kafka does not take them.
    """
    sent = refused = 0
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text:
            continue
        try:
            if not text.removeprefix(BOM_UTF8).startswith(b"{"):
                raise Malformed("not a JSON object; every line must be one")
            value = codec.decode(topic, named(text) if topic == topics.EVENTS else text)
            if isinstance(value, Item) and not value.item_id:
                raise Malformed("a deletion that names no item_id")
            if isinstance(value, Interaction):
                value = replace(value, user_id=known_as(value.user_id))
            data = codec.encode(topic, value)
        except Refused as error:
            refused += 1
            on_bad(BadLine(number, str(error)))
            continue
        with tracer.span(Spans.SEND, topic=topic) as span:
            publisher.publish(topic, KEYS[topic](value).encode(), data, span.headers)
        sent += 1
        if sent % FLUSH_EVERY == 0:
            publisher.flush()
    publisher.flush()
    return SendReport(sent, refused)


def named(line: bytes) -> bytes:
    """An event's line with an ``event_id`` made of all it says, if it has none.

    So a file that is sent again changes nothing; two equal lines are one event.
    """
    try:
        fields = json.loads(line.removeprefix(BOM_UTF8))
    except ValueError:
        return line  # whoever decodes it says what is wrong
    if (
        not isinstance(fields, dict)
        or "user_id" not in fields
        or fields.get("event_id") is not None
    ):
        return line
    said = json.dumps({**fields, "event_id": None}, sort_keys=True).encode()
    fields["event_id"] = f"line-{blake2b(said, digest_size=12).hexdigest()}"
    return json.dumps(fields).encode()
