"""What would cost everybody else too much is refused whole, and says how much it may be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamrec.core.events import Item, Request
from streamrec.errors import InvalidField
from streamrec.infra.wire.codec import WireCodec
from streamrec.infra.wire.limits import (
    MAX_IDS,
    MAX_LABEL_CHARS,
    MAX_LABELS,
    MAX_TEXT_CHARS,
    MAX_TITLE_CHARS,
)

CODEC = WireCodec(max_message_bytes=8_000_000)
ITEM = {"item_id": "i1", "title": "Alien"}
REQUEST = {"request_id": "r1", "user_id": "ann", "requested_at": "2026-01-02T03:04:05Z"}


def ids(count: int) -> list[str]:
    return [f"i{n}" for n in range(count)]


def labels(count: int, name_chars: int = 9) -> dict[str, str]:
    return {f"{n:0{name_chars}}": "v" for n in range(count)}


@pytest.mark.parametrize(
    ("topic", "fields", "most", "said"),
    [
        ("items", lambda n: {"title": "t" * n}, MAX_TITLE_CHARS, "title has 2,001 characters"),
        ("items", lambda n: {"text": "t" * n}, MAX_TEXT_CHARS, "text has 100,001 characters"),
        ("items", lambda n: {"categories": ids(n)}, MAX_LABELS, "categories has 1,001 entries"),
        ("items", lambda n: {"categories": ["c" * n]}, MAX_LABEL_CHARS, "an entry of categories"),
        ("items", lambda n: {"attributes": labels(n)}, MAX_LABELS, "attributes has 1,001 entries"),
        ("items", lambda n: {"attributes": {"a": "v" * n}}, MAX_LABEL_CHARS, "of attributes has"),
        ("items", lambda n: {"attributes": labels(1, n)}, MAX_LABEL_CHARS, "entry of attributes"),
        ("requests", lambda n: {"candidates": ids(n)}, MAX_IDS, "candidates has 10,001 entries"),
        ("requests", lambda n: {"filters": {"exclude_items": ids(n)}}, MAX_IDS, "exclude_items"),
        ("requests", lambda n: {"filters": {"categories": ids(n)}}, MAX_LABELS, "categories has"),
        ("requests", lambda n: {"filters": {"attributes": labels(n)}}, MAX_LABELS, "at most 1,000"),
        ("requests", lambda n: {"k": n}, 1_000, "k is 1001; expected a whole number from 1 to"),
    ],
)
def test_what_is_at_the_limit_is_taken_and_one_more_is_refused(topic, fields, most, said) -> None:
    def value(size: int) -> bytes:
        whole: dict[str, Any] = {**(ITEM if topic == "items" else REQUEST), **fields(size)}
        return json.dumps(whole).encode()

    assert isinstance(CODEC.decode(topic, value(most)), Item | Request)
    with pytest.raises(InvalidField, match=said):
        CODEC.decode(topic, value(most + 1))
