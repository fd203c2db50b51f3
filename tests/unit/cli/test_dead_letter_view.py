from __future__ import annotations

import base64
from io import StringIO

from rich.console import Console

from streamrec.apps import dead_letter_fields as fields
from streamrec.cli import dead_letter_view as view
from streamrec.core.dead_letters import DeadLetterPosition, DeadLetterRecord, Origin, Resent
from streamrec.core.events import DeadLetter

FIRST = DeadLetterRecord(
    DeadLetterPosition(0, 3),
    DeadLetter("events", 1, 7, b"ann", b'{"kind": "klick"}', "invalid-field", "kind is bad", 1_000),
)
SECOND = DeadLetterRecord(
    DeadLetterPosition(0, 9),
    DeadLetter("events", 1, 12, b"\xff", b"\x00\x01abc", "malformed", "no", 2_000),
)
LEDGER = {
    DeadLetterPosition(0, 3): Resent(
        DeadLetterPosition(0, 3), "ann@here", 1_500, Origin("events", 1, 12)
    )
}


def drawn(renderable) -> str:
    console = Console(file=StringIO(), width=140)
    console.print(renderable)
    return console.file.getvalue()


def test_a_list_says_where_a_letter_went_and_which_is_a_second_refusal():
    shown = drawn(view.listing([SECOND, FIRST], LEDGER, 61_000))
    second, first = shown.splitlines()[-2:]
    assert "was 0:3" in second
    assert "to events:1:12" in first


def test_one_letter_shows_its_value_its_reason_and_what_to_do():
    shown = drawn(view.detail(FIRST, LEDGER, 61_000))
    for text in ("kind is bad", '"kind": "klick"', "resend --edit", "to events:1:12, by ann@here"):
        assert text in shown


def test_bytes_that_are_no_text_are_shown_as_hex():
    shown = drawn(view.detail(SECOND, LEDGER, 61_000))
    assert "000000  00 01 61 62 63" in shown
    assert "..abc" in shown
    assert "of letter 0:3, resent by ann@here" in shown


def test_a_long_value_is_cut_and_says_so():
    assert "and 488 bytes more" in view.hexdump(bytes(1000))


def test_json_has_the_bytes_whole():
    found = fields.fields(SECOND, LEDGER)
    assert base64.b64decode(found["value_base64"]) == b"\x00\x01abc"
    assert found["value"] is None
    assert found["second_refusal_of"] == "0:3"
    assert fields.fields(FIRST, LEDGER)["resent"]["to"] == "events:1:12"
