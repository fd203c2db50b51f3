"""A file's columns as fields: what is said, what goes by name, and what may mean two things."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from streamrec.errors import Refused, UserError
from streamrec.infra.files.cells import TimeForm
from streamrec.infra.files.field_map import FieldMap, FieldPlan
from streamrec.loop.ingesting.send import InputRow

NOON_MS = 1_772_366_400_000  # 2026-03-01T12:00:00Z
CLICK = {"user_id": "ann", "item_id": "42", "kind": "click", "occurred_at": "2026-03-01T12:00:00Z"}


def sent(topic: str, cells: dict, *, bind: bool = True, **plan) -> object:
    """What becomes of one row."""
    fields = FieldMap(topic, FieldPlan(**plan))
    if bind:
        fields.bind("a.csv", list(cells))
    found = cells if bind else json.dumps(cells).encode()
    [row] = fields.mapped([InputRow(1, found)])
    if isinstance(row.found, Refused):
        return str(row.found)
    return None if row.found is None else json.loads(row.found)


def time_of(value: object, **form: str) -> object:
    found = sent("events", CLICK | {"occurred_at": value}, time=TimeForm(**form))
    return found["occurred_at_ms"] if isinstance(found, dict) else found


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("2026-03-01T12:00:00Z", {}),
        ("2026-03-01 12:00:00", {}),
        ("20260301T120000Z", {}),
        ("2026-03-01T13:00:00+01:00", {}),
        ("1772366400", {}),
        ("1772366400.000", {}),
        ("1772366400000", {}),
        ("1772366400000000", {}),
        (1772366400, {}),
        (Decimal("1772366400"), {"unit": "s"}),
        ("1772366400", {"unit": "s"}),
        ("1.7723664e9", {"unit": "s"}),
        ("1772366400000", {"unit": "ms"}),
        (1772366400000000000, {"unit": "ns"}),
        ("01.03.2026 12:00", {"pattern": "%d.%m.%Y %H:%M"}),
        ("01.03.2026 13:00", {"pattern": "%d.%m.%Y %H:%M", "zone": "Europe/Berlin"}),
        ("2026-03-01 13:00:00", {"zone": "Europe/Berlin"}),
        ("2026-03-01T12:00:00Z", {"zone": "Europe/Berlin"}),
        ("1772366400", {"zone": "Europe/Berlin"}),
        ("20260301120000", {"pattern": "%Y%m%d%H%M%S"}),
    ],
)
def test_a_time_as_people_write_it(value, form) -> None:
    assert time_of(value, **form) == NOON_MS


@pytest.mark.parametrize(
    ("value", "form", "told"),
    [
        ("03/04/2026 10:00", {}, "--time-format '%d.%m.%Y %H:%M:%S'"),
        ("46082.5", {}, "--time-format"),
        ("1772366400", {"unit": "ms"}, "by --time-unit ms"),
        ("1772366400000", {"unit": "s"}, "by --time-unit s"),
        ("2026-03-01", {"unit": "s"}, "by --time-unit s"),
        ("31.12.2026", {"pattern": "%m.%d.%Y"}, "a time as %m.%d.%Y"),
        ("12", {}, "a time after 1990|--time-format"),
    ],
)
def test_a_time_that_is_not_plain_names_the_option(value, form, told) -> None:
    found = time_of(value, **form)
    assert isinstance(found, str)
    assert any(one in found for one in told.split("|")), found


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"unit": "min"}, "expected one of s, ms, us, ns"),
        ({"unit": "s", "zone": "UTC"}, "--time-unit is for numbers"),
        ({"zone": "Berlin"}, "no such zone"),
        ({"zone": "../etc"}, "no such zone"),
    ],
)
def test_options_of_time_that_cannot_be(form, told) -> None:
    with pytest.raises(UserError, match=told):
        TimeForm(**form)


def test_columns_of_other_names_constants_and_kinds() -> None:
    cells = {"who": " ann ", "sku": "42", "did": "buy", "at": NOON_MS, "stars": "4.5", "slot": "3"}
    columns = [
        ("user_id", "who"), ("item_id", "sku"), ("kind", "did"), ("occurred_at", "at"),
        ("value", "stars"), ("position", "slot"),
    ]  # fmt: skip
    kinds = [("buy", "purchase"), ("search", "-")]
    whole = {
        "user_id": "ann", "item_id": "42", "kind": "purchase", "occurred_at_ms": NOON_MS,
        "value": 4.5, "position": 3.0,
    }  # fmt: skip
    assert sent("events", cells, columns=columns, kinds=kinds) == whole
    assert sent("events", cells | {"did": "search"}, columns=columns, kinds=kinds) is None
    assert sent("events", cells | {"did": "CLICK"}, columns=columns, kinds=kinds)["kind"] == "CLICK"
    assert "--kind NAME=KIND says" in sent(
        "events", cells | {"did": "stare"}, columns=columns, kinds=kinds
    )
    named = [one for one in columns if one[0] != "kind"]
    assert sent("events", cells, columns=named, constants=[("kind", "like")])["kind"] == "like"


@pytest.mark.parametrize("nobody", ["NULL", "null", "None", "nan", "NA", "undefined"])
def test_an_id_that_means_none_is_nobodys(nobody) -> None:
    cells = CLICK | {"impression_id": nobody}
    assert sent("events", cells).endswith(f"where that means none, --null {nobody} says so")
    assert "impression_id" not in sent("events", cells, nulls=[nobody])


@pytest.mark.parametrize("nothing", ["", " ", "\\N", None])
def test_a_cell_that_says_nothing_is_no_field(nothing) -> None:
    assert set(sent("events", CLICK | {"value": nothing, "position": nothing})) == {
        "user_id", "item_id", "kind", "occurred_at_ms",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("nan", "a finite number"),
        ("1e999", "a finite number"),
        ("4,5", "a finite"),
        (True, "a fin"),
    ],
)
def test_a_number_that_is_none(cell, told) -> None:
    assert told in sent("events", CLICK | {"value": cell})


@pytest.mark.parametrize(
    ("value", "found"),
    [(42, "42"), (42.0, "42"), (2**70, str(2**70)), (Decimal(42), "42"), ("042", "042")],
)
def test_ids_as_numbers_are_their_text(value, found) -> None:
    assert sent("events", CLICK | {"item_id": value})["item_id"] == found


@pytest.mark.parametrize("value", [True, 1.5, [1], {"a": 1}])
def test_what_is_no_id_is_refused(value) -> None:
    assert "item_id is" in sent("events", CLICK | {"item_id": value})


def test_lists_and_attributes_of_an_item() -> None:
    cells = {
        "item_id": "1", "main": "Home > Tea", "sub": "Sale", "brand": "Aa", "attributes.size": "M",
    }  # fmt: skip
    columns = [("categories", "main"), ("categories", "sub"), ("attributes.brand", "brand")]
    found = sent("items", cells, columns=columns, separators=[("categories", ">")])
    assert found == {
        "item_id": "1", "categories": ["Home", "Tea", "Sale"],
        "attributes": {"brand": "Aa", "size": "M"},
    }  # fmt: skip
    found = sent("items", cells, columns=columns)
    assert found["categories"] == ["Home > Tea", "Sale"], "one text is one category"
    told = {"item_id": "1", "categories": '["a", "b"]', "attributes": '{"k": 1}'}
    assert sent("items", told) == {
        "item_id": "1", "categories": ["a", "b"], "attributes": {"k": 1},
    }  # fmt: skip
    assert "as JSON, or a text and --split" in sent("items", told | {"categories": "[Sale] Tea"})
    assert "attributes is 'red'" in sent("items", told | {"attributes": "red"})
    [one] = sent("items", {"item_id": "1", "variants": '[{"variant_id": "a"}]'})["variants"]
    assert one == {"variant_id": "a"}


@pytest.mark.parametrize(
    ("topic", "plan", "told"),
    [
        ("events", {"columns": [("user", "u")]}, r"no field 'user' \(did you mean user_id\?\)"),
        ("events", {"columns": [("filters.x", "u")]}, "no field 'filters.x'"),
        ("events", {"constants": [("title", "u")]}, "events have no field 'title'"),
        ("items", {"columns": [("attributes.", "u")]}, "no field 'attributes.'"),
        ("items", {"columns": [("title", "a"), ("title", "b")]}, "title has two columns"),
        ("events", {"columns": [("occurred_at", "a"), ("occurred_at_ms", "b")]}, "has two"),
        ("items", {"columns": [("title", "a")], "constants": [("title", "b")]}, "has two"),
    ],
)
def test_a_field_that_nobody_has_is_told(topic, plan, told) -> None:
    with pytest.raises(UserError, match=told):
        FieldMap(topic, FieldPlan(**plan))


def test_columns_that_are_missing_or_nobodys_are_told() -> None:
    fields = FieldMap("events", FieldPlan(columns=[("user_id", "who")]))
    with pytest.raises(UserError, match=r"a.csv has no column who; it has item_id, kind"):
        fields.bind("a.csv", ["item_id", "kind"])
    with pytest.raises(UserError, match=r"no column kind, occurred_at; .*--set kind=click"):
        fields.bind("a.csv", ["who", "item_id"])
    columns = ["who", "item_id", "kind", "occurred_at", "usr_id", "user_id"]
    assert fields.bind("a.csv", columns) == columns[:4]
    assert fields.ignored == ["usr_id", "user_id"]


def test_json_goes_by_the_same_and_by_paths() -> None:
    row = {"payload": {"user": 7, "at": NOON_MS}, "item_id": "1", "kind": "click"}
    columns = [("user_id", "payload.user"), ("occurred_at", "payload.at")]
    found = sent("events", row, bind=False, columns=columns)
    assert found == {"user_id": "7", "item_id": "1", "kind": "click", "occurred_at_ms": NOON_MS}
    fields = FieldMap("events", FieldPlan(columns=[("user_id", "usr"), ("item_id", "sku")]))
    list(fields.mapped([InputRow(1, b'{"sku": 1}'), InputRow(2, b'{"sku": null}')]))
    assert fields.unseen == ["usr"]


def test_json_that_nothing_is_said_of_is_sent_as_it_is() -> None:
    fields = FieldMap("events", FieldPlan())
    row = InputRow(1, b'{"payload": 1e5}')
    assert list(fields.mapped([row])) == [row]
