"""Good lines are sent and acknowledged; bad ones are named with their numbers."""

from __future__ import annotations

import orjson

from streamrec.core import topics
from streamrec.core.events import Interaction, Item
from streamrec.infra.files.json_rows import line_rows
from streamrec.loop.ingesting.send import BadLine, RowCheck, SendReport, send_rows
from tests.fakes.publisher import FakePublisher
from tests.harness.codec import wire_codec

CLICK = {
    "event_id": "1",
    "user_id": "ann",
    "item_id": "42",
    "kind": "click",
    "occurred_at": "2026-03-01T12:00:00Z",
}


def send(topic: str, *lines: bytes) -> tuple[SendReport, FakePublisher, list[BadLine]]:
    publisher, bad = FakePublisher(), []
    check = RowCheck(topic, wire_codec(max_message_bytes=2_000), bad.append)
    send_rows(line_rows(lines), topic, check, publisher)
    return check.report, publisher, bad


def test_sends_good_lines_keyed_by_user_and_names_the_bad_ones() -> None:
    report, publisher, bad = send(
        topics.EVENTS,
        orjson.dumps(CLICK) + b"\n",
        b"click!\n",
        b"\n",
        orjson.dumps(CLICK | {"kind": "stare"}),
        orjson.dumps(CLICK | {"event_id": "2", "user_id": "bob"}),
    )
    assert (report.rows, report.sent, report.refused) == (4, 2, 2)
    assert report.acknowledged == 4
    assert [line.number for line in bad] == [2, 4]
    assert "JSON object" in bad[0].reason
    assert "stare" in bad[1].reason
    assert [key for _, key, _ in publisher.acknowledged] == [b"ann", b"bob"]
    sent = wire_codec().decode(topics.EVENTS, publisher.values(topics.EVENTS)[0])
    assert isinstance(sent, Interaction)
    assert sent.occurred_at_ms == 1_772_366_400_000


def test_items_are_keyed_by_item() -> None:
    report, publisher, _ = send(topics.ITEMS, b'{"item_id": "42", "title": "The Third Man"}')
    assert report.sent == 1
    assert publisher.acknowledged[0][:2] == (topics.ITEMS, b"42")
    sent = wire_codec().decode(topics.ITEMS, publisher.values(topics.ITEMS)[0])
    assert sent == Item("42", "The Third Man")


def test_a_line_that_is_too_large_is_one_bad_line() -> None:
    long = orjson.dumps({"item_id": "1", "text": "x" * 3_000})
    report, publisher, bad = send(topics.ITEMS, long, b'{"item_id": "2"}')
    assert (report.sent, report.refused) == (1, 1)
    assert "at most 2000" in bad[0].reason
    assert publisher.acknowledged[0][1] == b"2"


def test_no_lines() -> None:
    assert send(topics.EVENTS)[0] == SendReport()


def ids(*lines: bytes) -> list[str]:
    _, publisher, bad = send(topics.EVENTS, *lines)
    assert bad == []
    values = publisher.values(topics.EVENTS)
    return [wire_codec().decode(topics.EVENTS, value).event_id for value in values]


def test_an_event_without_an_id_has_the_same_one_whenever_its_line_is_sent() -> None:
    bare = {name: said for name, said in CLICK.items() if name != "event_id"}
    backward = dict(reversed(bare.items()))
    other = bare | {"item_id": "43", "impression_id": "p"}
    null = orjson.dumps({"event_id": None, **bare})
    first, same, also, second, named = ids(
        orjson.dumps(bare),
        b"\xef\xbb\xbf" + orjson.dumps(backward, option=orjson.OPT_INDENT_2).replace(b"\n", b" "),
        null,
        orjson.dumps(other),
        orjson.dumps(CLICK),
    )
    assert first == same == also != second
    assert first.startswith("line-")
    assert named == "1"


def test_what_is_no_event_is_refused_for_what_it_is() -> None:
    _, _, bad = send(topics.EVENTS, b'{"user_id": "ann"', b'{"item_id": "1"}', b'{"user_id": "a"}')
    assert ["line-" in line.reason for line in bad] == [False] * 3
    assert "kind is missing" in bad[2].reason
