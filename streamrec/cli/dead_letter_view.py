"""How dead letters look to people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.text import Text

from streamrec.apps.dead_letter_fields import Ledger, as_text
from streamrec.cli.console import ago, table
from streamrec.core.dead_letters import DeadLetterRecord, Origin, Resent, advice, counts
from streamrec.loop.ingesting.resend import by_destination

REASON_WIDTH = 100
HEX_LINES = 32


def listing(letters: Sequence[DeadLetterRecord], ledger: Ledger, now_ms: int) -> RenderableType:
    """One line a dead letter, newest first."""
    made_by = by_destination(ledger)
    rows = [
        (
            str(letter.position),
            str(letter.origin),
            ago(now_ms - letter.value.refused_at_ms),
            letter.value.code,
            _fate(letter, ledger, made_by),
            _shortened(letter.value.reason),
        )
        for letter in letters
    ]
    return table("", ["letter", "message", "age>", "code", "resent", "reason"], rows)


def tally(letters: Sequence[DeadLetterRecord]) -> RenderableType:
    """How many dead letters each topic has of each code."""
    rows = [(topic, code, count) for (topic, code), count in counts(letters).items()]
    return table("", ["topic", "code", "letters>"], rows)


def detail(letter: DeadLetterRecord, ledger: Ledger, now_ms: int) -> RenderableType:
    """Everything about one dead letter, and what to do."""
    value, resent = letter.value, ledger.get(letter.position)
    rows: list[tuple[object, ...]] = [
        ("letter", letter.position),
        ("message", letter.origin),
        ("refused", f"{_time(value.refused_at_ms)} ({ago(now_ms - value.refused_at_ms)} ago)"),
        *([("task", letter.task)] if letter.task else []),
        ("code", value.code),
        ("reason", value.reason),
        ("key", "none" if value.key is None else (as_text(value.key) or value.key.hex(" "))),
        ("what to do", advice(value)),
    ]
    if first := by_destination(ledger).get(letter.origin):
        rows.append(("second refusal", f"of letter {first.letter}, resent by {first.by}"))
    if resent is not None:
        where = f"to {resent.to}" if resent.to else "perhaps: it was not seen to finish"
        rows.append(("resent", f"{where}, by {resent.by}, {ago(now_ms - resent.at_ms)} ago"))
    facts = table("", ["", ""], rows)
    facts.show_header = False
    return Group(facts, Text(""), Text(body(value.value)))


def body(data: bytes | None) -> str:
    """The value: JSON indented, text as it is, everything else as hex."""
    if data is None:
        return "(no value)"
    text = as_text(data)
    if text is None:
        return hexdump(data)
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text or "(an empty value)"


def hexdump(data: bytes) -> str:
    """Offset, 16 bytes, and what of them is ASCII, a line."""
    lines = []
    for start in range(0, min(len(data), HEX_LINES * 16), 16):
        row = data[start : start + 16]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{start:06x}  {row.hex(' '):47}  {shown}")
    if len(data) > HEX_LINES * 16:
        lines.append(f"… and {len(data) - HEX_LINES * 16:,} bytes more; --json has them all")
    return "\n".join(lines)


def _fate(letter: DeadLetterRecord, ledger: Ledger, made_by: Mapping[Origin, Resent]) -> str:
    if resent := ledger.get(letter.position):
        return f"to {resent.to}" if resent.to else "perhaps"
    if first := made_by.get(letter.origin):
        return f"was {first.letter}"
    return "-"


def _shortened(reason: str) -> str:
    return reason if len(reason) <= REASON_WIDTH else reason[: REASON_WIDTH - 1] + "…"


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
