"""Searches and what came of them, as User Behavior Insights writes them, become our events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from streamrec.core.events import Kind
from streamrec.errors import UserError
from streamrec.infra.files.cells import TimeForm
from streamrec.infra.files.field_map import FieldMap, FieldPlan
from streamrec.infra.files.ubi_rows import UbiRows
from streamrec.infra.wire.values import event_from
from streamrec.loop.ingesting.send import InputRow

QUERY = {
    "timestamp": "2026-03-01T12:00:00Z",
    "query_id": "q1",
    "client_id": "browser-7",
    "user_query": "quiet film about bees",
    "query_response_hit_ids": ["a", "b", "a", "c"],
}
CLICK = {
    "action_name": "click",
    "query_id": "q1",
    "client_id": "browser-7",
    "timestamp": "2026-03-01T12:00:09Z",
    "event_attributes": {"object": {"object_id": "b"}, "position": {"ordinal": 2}},
}


def sent(*lines: Mapping[str, Any], **kinds: str) -> list[Any]:
    """Events, reasons of refusal, and None for what was left out."""
    rows = [InputRow(n, json.dumps(line).encode()) for n, line in enumerate(lines, 1)]
    found = [row.found for row in UbiRows(kinds, TimeForm()).mapped(rows)]
    return [json.loads(one) if isinstance(one, bytes) else one and str(one) for one in found]


def test_a_query_is_a_search_and_an_impression_of_what_it_returned() -> None:
    search, *views = sent(QUERY)
    assert (search["kind"], search["query"]) == ("search", "quiet film about bees")
    assert [(v["item_id"], v["position"], v["impression_id"]) for v in views] == [
        ("a", 0, "q1"), ("b", 1, "q1"), ("c", 2, "q1"),
    ]  # fmt: skip
    events = [event_from(fields) for fields in (search, *views)]
    assert [event.kind for event in events] == [Kind.SEARCH, *[Kind.VIEW] * 3]
    assert len({event.event_id for event in events}) == len(events)


def test_a_click_carries_the_words_and_the_user_of_its_query() -> None:
    *_, click = sent(QUERY, CLICK | {"client_id": "browser-7", "user_id": "ann"})
    assert click["query"] == QUERY["user_query"]
    assert (click["user_id"], click["impression_id"], click["position"]) == ("browser-7", "q1", 1)


def test_an_impression_told_twice_is_one_view() -> None:
    shown = CLICK | {"action_name": "impression"}
    *_, first, second, _, again = sent(QUERY, shown)
    assert second["item_id"] == again["item_id"] == "b" != first["item_id"]
    assert second["event_id"] == again["event_id"]


def test_an_export_of_an_index_is_read_as_it_is() -> None:
    assert sent({"_index": "ubi_queries", "_id": "1", "_source": QUERY}) == sent(QUERY)


def test_a_click_before_its_query_goes_without_its_words_and_this_is_told() -> None:
    rows = UbiRows({}, TimeForm())
    [row] = rows.mapped([InputRow(1, json.dumps(CLICK).encode())])
    click = json.loads(row.found)
    assert "query" not in click
    assert "impression_id" not in click  # nobody was seen to be shown anything
    assert "1 events name a query" in rows.notes()[0]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (CLICK | {"action_name": "hover"}, "--kind hover=click says what it is"),
        (CLICK | {"client_id": ""}, "neither user_id nor client_id"),
        (CLICK | {"event_attributes": {}}, "names no event_attributes.object.object_id"),
        (CLICK | {"timestamp": "yesterday"}, "yesterday"),
        ({"message": "started"}, "neither action_name"),
        (QUERY | {"query_response_hit_ids": "a"}, "expected a list"),
        (QUERY | {"user_query": 7}, "user_query is 7"),
    ],
)
def test_what_cannot_be_right_is_refused_with_the_reason(line: dict, reason: str) -> None:
    [found] = sent(line)
    assert reason in found


def test_what_says_nothing_of_items_is_left_out() -> None:
    assert sent({**CLICK, "action_name": "login", "event_attributes": {}}) == [None]
    assert sent(CLICK | {"action_name": "hover"}, hover="-") == [None]


def test_other_actions_are_what_somebody_says() -> None:
    [found] = sent(CLICK | {"action_name": "rent"}, rent="purchase")
    assert found["kind"] == "purchase"


def test_its_fields_are_known_and_cannot_be_mapped() -> None:
    with pytest.raises(UserError, match="knows its fields"):
        FieldMap("events", FieldPlan(columns=[("item_id", "sku")])).of_ubi()
    with pytest.raises(UserError, match="holds events"):
        FieldMap("items", FieldPlan()).of_ubi()
