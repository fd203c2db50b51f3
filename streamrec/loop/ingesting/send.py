"""Rows of a file onto a topic, each checked the way its consumer will check it.

Knows rows, counts and keys. Does not know where the rows come from (``infra.files``), nor Kafka.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, NamedTuple

from streamrec.core import topics
from streamrec.core.events import Interaction, Item
from streamrec.errors import ImpossibleTime, Malformed, Refused, TooLarge
from streamrec.ports import NO_TRACER, Codec, Publisher, Spans, Tracer

FLUSH_EVERY = 2_000
MOST_REASONS = 100

KEYS: dict[str, Callable[[Any], str]] = {
    topics.EVENTS: lambda event: event.user_id,
    topics.ITEMS: lambda item: item.item_id,
}
_FOUND = re.compile(r" (is|has|says) .*?(?=[;,] )", re.DOTALL)
_PLACES = re.compile(r"\d[\d,.]*")


class InputRow(NamedTuple):
    """``number``: its line, or its place from 1. ``found``: a JSON object as text, cells by column,
    why there is neither, or None: it was left out. ``source``: as it stands in the file."""

    number: int
    found: bytes | Mapping[str, Any] | Refused | None
    source: bytes | Mapping[str, Any] = b""


class GoodRow(NamedTuple):
    """What can be sent."""

    number: int
    value: Any
    data: bytes
    source: bytes | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BadLine:
    """A row that was not sent. ``number``: its line, or its place from 1."""

    number: int
    reason: str
    source: bytes | Mapping[str, Any] = b""


@dataclass(slots=True)
class SendReport:
    """Mutable: it grows while rows are sent. Times are of events, in milliseconds."""

    rows: int = 0  # taken from the file, whatever became of them
    good: int = 0
    sent: int = 0
    refused: int = 0
    left_out: int = 0
    acknowledged: int = 0  # rows that are done with, all that was sent of them acknowledged
    reasons: Counter[str] = field(default_factory=Counter)
    earliest_ms: int | None = None
    latest_ms: int | None = None
    behind: int = 0  # events that are earlier than one before them
    most_behind_ms: int = 0


class RowCheck:
    """Sorts the rows that can be sent from those that cannot."""

    def __init__(
        self,
        topic: str,
        codec: Codec,
        on_bad: Callable[[BadLine], None],
        *,
        known_as: Callable[[str], str] = str,
        until_ms: int | None = None,
    ) -> None:
        """``known_as``: what a user id of an event becomes on its way. ``until_ms``: no event can
        have occurred later."""
        self._topic, self._codec, self._on_bad = topic, codec, on_bad
        self._known_as, self._until_ms = known_as, until_ms
        self.report = SendReport()

    def good(self, rows: Iterable[InputRow]) -> Iterator[GoodRow]:
        """Those that can be sent; every row is counted as it is taken."""
        for row in rows:
            self.report.rows += 1
            if row.found is None:
                self.report.left_out += 1
                continue
            try:
                checked = self._checked(row)
            except Refused as error:
                self.refuse(row, error)
                continue
            self.report.good += 1
            yield checked

    def refuse(self, row: InputRow | GoodRow, error: Refused) -> None:
        self.report.refused += 1
        reasons, kind = self.report.reasons, kind_of(str(error))
        reasons[kind if kind in reasons or len(reasons) < MOST_REASONS else "other reasons"] += 1
        self._on_bad(BadLine(row.number, str(error), row.source))

    def _checked(self, row: InputRow) -> GoodRow:
        """An event without an ``event_id`` is ``named``. Raises Refused."""
        if isinstance(row.found, Refused):
            raise row.found
        if not isinstance(row.found, bytes):
            raise Malformed("not a JSON object")
        text = named(row.found) if self._topic == topics.EVENTS else row.found
        value = self._codec.decode(self._topic, text)
        if isinstance(value, Item) and not value.item_id:
            raise Malformed("a deletion that names no item_id")
        if isinstance(value, Interaction):
            self._in_time(value)
            value = replace(value, user_id=self._known_as(value.user_id))
        return GoodRow(row.number, value, self._codec.encode(self._topic, value), row.source)

    def _in_time(self, event: Interaction) -> None:
        at_ms, report = event.occurred_at_ms, self.report
        if self._until_ms is not None and at_ms > self._until_ms:
            says = f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M}"
            raise ImpossibleTime(
                f"occurred_at says {says}, which has not been yet; is its unit another? "
                "--time-unit and --time-format tell"
            )
        if report.latest_ms is not None and at_ms < report.latest_ms:
            report.behind += 1
            report.most_behind_ms = max(report.most_behind_ms, report.latest_ms - at_ms)
        report.latest_ms = max(at_ms, report.latest_ms or at_ms)
        report.earliest_ms = min(at_ms, report.earliest_ms or at_ms)


def send_rows(rows: Iterable[InputRow], topic: str, check: RowCheck, publisher: Publisher) -> None:
    """Publish every good row; returns when all of them are acknowledged.

    Raises Unavailable when Kafka does not take them; ``check.report`` says how far it came.
    """
    publish(check.good(rows), topic, check, publisher)


def publish(
    good: Iterable[GoodRow],
    topic: str,
    check: RowCheck,
    publisher: Publisher,
    tracer: Tracer = NO_TRACER,
) -> None:
    """The same, of rows that were checked before. Each begins a trace."""
    report = check.report
    for row in good:
        try:
            with tracer.span(Spans.SEND, topic=topic) as span:
                publisher.publish(topic, KEYS[topic](row.value).encode(), row.data, span.headers)
        except TooLarge as error:
            check.refuse(row, error)
            continue
        report.sent += 1
        if report.sent % FLUSH_EVERY == 0:
            publisher.flush()
            report.acknowledged = report.rows
    publisher.flush()
    report.acknowledged = report.rows


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


def kind_of(reason: str) -> str:
    """A reason without what is this row's own: for counting."""
    return _PLACES.sub("…", _FOUND.sub(r" \1 …", reason, count=1))
