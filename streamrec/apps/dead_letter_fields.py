"""Dead letters as JSON fields: on the command line and over HTTP. Loads nothing that connects."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from streamrec.core.dead_letters import DeadLetterPosition, DeadLetterRecord, Resent, advice, counts
from streamrec.loop.ingesting.resend import by_destination

Ledger = Mapping[DeadLetterPosition, Resent]


def as_text(data: bytes | None) -> str | None:
    """The bytes as text, if they are text a person can read."""
    if data is None:
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    readable = all(char.isprintable() or char in "\r\n\t" for char in text)
    return text if readable else None


def listed(
    every: Sequence[DeadLetterRecord], shown: Iterable[DeadLetterRecord], ledger: Ledger
) -> dict[str, Any]:
    """All counted by topic and code, those ``shown`` whole."""
    tallied = [{"topic": t, "code": c, "letters": n} for (t, c), n in counts(every).items()]
    letters = [fields(letter, ledger) for letter in shown]
    return {"total": len(every), "counts": tallied, "letters": letters}


def fields(letter: DeadLetterRecord, ledger: Ledger) -> dict[str, Any]:
    """A dead letter as JSON fields: bytes in base64, and as text where they are text."""
    value, resent = letter.value, ledger.get(letter.position)
    first = by_destination(ledger).get(letter.origin)
    return {
        "letter": str(letter.position),
        "message": str(letter.origin),
        "topic": value.topic,
        "partition": value.partition,
        "offset": value.offset,
        "task": letter.task or None,
        "refused_at_ms": value.refused_at_ms,
        "code": value.code,
        "reason": value.reason,
        "key": as_text(value.key),
        "key_base64": _base64(value.key),
        "value": as_text(value.value),
        "value_base64": _base64(value.value),
        "advice": advice(value),
        "resent": resent and resent_fields(resent),
        "second_refusal_of": first and str(first.letter),
    }


def resent_fields(resent: Resent) -> dict[str, Any]:
    return {
        "letter": str(resent.letter),
        "to": str(resent.to) if resent.to else None,
        "by": resent.by,
        "at_ms": resent.at_ms,
    }


def outcome(sent: Iterable[Resent], problems: Mapping[DeadLetterPosition, str]) -> dict[str, Any]:
    """What was sent again, and why the rest was not."""
    refused = [{"letter": str(at), "reason": reason} for at, reason in problems.items()]
    return {"resent": [resent_fields(one) for one in sent], "not_resent": refused}


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()
