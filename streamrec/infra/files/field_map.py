"""From a file's columns to the fields of a topic's values.

Knows the fields by their schema, and what somebody said on the command line. A column called like a
field is that field, unless another one was named for it; a column that is nobody's is told.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import schemas
from streamrec.core import topics
from streamrec.core.events import Kind
from streamrec.errors import InvalidField, Refused, UserError
from streamrec.infra.files.cells import TimeForm, as_json, identity, listed, number, structured
from streamrec.infra.wire.json_text import parsed_json
from streamrec.infra.wire.values import SHAPES
from streamrec.loop.ingesting.send import InputRow

NEEDED = {topics.EVENTS: ("user_id", "item_id", "kind", "occurred_at"), topics.ITEMS: ("item_id",)}
TIME, TIME_MS = "occurred_at", "occurred_at_ms"
MANY = "categories"
KINDS = tuple(kind.value for kind in Kind)
LEFT_OUT = "-"
NULLS = ("", "\\N")
"""Cells that say nothing; the second is how MySQL and PostgreSQL write it."""

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """What a person says about a file. Pairs are (field, column), (field, text) and so on."""

    columns: Pairs = ()
    constants: Pairs = ()
    separators: Pairs = ()
    kinds: Pairs = ()  # (what the file calls it, kind or LEFT_OUT)
    nulls: Sequence[str] = ()
    time: TimeForm = field(default_factory=TimeForm)


class FieldMap:
    """Of one topic and one file. ``ignored``: its columns that are nobody's."""

    def __init__(self, topic: str, plan: FieldPlan) -> None:
        """Raises UserError: it names what no value of the topic has."""
        self._topic, self._plan, self._names = topic, plan, _schema(topic)
        for name, _ in (*plan.columns, *plan.constants, *plan.separators):
            self._check(name)
        self._nulls = {*NULLS, *plan.nulls}
        self._kinds = dict(plan.kinds)
        self._convert = self._converters(dict(plan.separators))
        self._taken = list(plan.columns)
        self._once()
        self._unseen = dict.fromkeys(column for _, column in self._taken)
        self.ignored: list[str] = []

    @property
    def plain(self) -> bool:
        """Whether objects of JSON are sent as they are."""
        return self._plan == FieldPlan()

    def of_ubi(self) -> tuple[dict[str, str], TimeForm]:
        """What is said of User Behavior Insights, whose fields are known. Raises UserError."""
        plan = self._plan
        if self._topic != topics.EVENTS:
            raise UserError("--format ubi holds events: load the catalogue from its own file")
        if plan.columns or plan.constants or plan.separators or plan.nulls:
            raise UserError("--format ubi knows its fields: only --kind and --time-… can be given")
        return self._kinds, plan.time

    @property
    def unseen(self) -> list[str]:
        """Columns that were named and that no row has had."""
        return list(self._unseen)

    def bind(self, name: str, columns: Sequence[str]) -> list[str]:
        """To a table's columns: those that are to be read, in its order.

        Raises UserError where a column that was named is not there, or a field cannot be had.
        """
        missing = [c for _, c in self._taken if c not in columns and c.split(".")[0] not in columns]
        if missing:
            raise UserError(f"{name} has no column {', '.join(missing)}; it has {_some(columns)}")
        self._by_name(columns)
        self._unseen = {}
        had = {one for one, _ in (*self._taken, *self._plan.constants)}
        lacking = [n for n in NEEDED[self._topic] if not had & {n, _twin(n)}]
        if lacking:
            said = " ".join(f"--map {one}=COLUMN" for one in lacking)
            same = "; the same in every row: --set kind=click" if "kind" in lacking else ""
            raise UserError(
                f"{name} has no column {', '.join(lacking)}; it has {_some(columns)}. Say which it "
                f"is: {said}{same}"
            )
        read = {c if c in columns else c.split(".")[0] for _, c in self._taken}
        self.ignored = [one for one in columns if one not in read]
        return [one for one in columns if one in read]

    def mapped(self, rows: Iterable[InputRow]) -> Iterable[InputRow]:
        """The same rows, each with the JSON that is sent, or why there is none."""
        for row in rows:
            if isinstance(row.found, Refused) or (self.plain and isinstance(row.found, bytes)):
                yield row
                continue
            try:
                yield row._replace(found=self._value(row.found))
            except Refused as error:
                yield row._replace(found=error)

    def _value(self, found: bytes | Mapping[str, Any] | None) -> bytes | None:
        cells = parsed_json(found) if isinstance(found, bytes) else found or {}
        if isinstance(found, bytes):
            self._by_name(list(cells))
        fields: dict[str, Any] = {}
        for name, column in sorted(self._taken, key=_kind_first):
            if fields.get("kind") == LEFT_OUT:  # whatever else is in it
                return None
            value = _at(cells, column)
            if self._unseen and (value is not None or column in cells):
                self._unseen.pop(column, None)
            self._put(fields, name, value)
        for name, value in self._plan.constants:
            self._put(fields, name, value)
        return None if fields.get("kind") == LEFT_OUT else as_json(fields)

    def _put(self, fields: dict[str, Any], name: str, value: Any) -> None:
        if isinstance(value, str):
            value = value.strip()
        if value is None or (isinstance(value, str) and value in self._nulls):
            return
        head, _, rest = name.partition(".")
        made = self._convert.get(head, _as_it_is)(name, value)
        if rest:
            fields.setdefault(head, {})[rest] = made
        elif name == MANY and MANY in fields:
            fields[name] = [*_list(fields[name]), *_list(made)]
        else:
            fields[TIME_MS if name == TIME else name] = made

    def _converters(self, separators: Mapping[str, str]) -> dict[str, Callable[[str, Any], Any]]:
        time = self._plan.time
        ids = {name: identity for name in self._names if name.endswith("_id")}
        times = dict.fromkeys((TIME, TIME_MS), time.ms)
        lists = partial(_listed, separators.get(MANY, ""))
        return {
            **ids, **times, "kind": self._kind, "value": number, "position": number,
            MANY: lists, "attributes": _attributes, "variants": structured,
        }  # fmt: skip

    def _kind(self, name: str, value: Any) -> Any:
        """Names of kinds that the file has stand, too."""
        found = self._kinds.get(str(value), value)
        if self._kinds and found is value and str(value).lower() not in KINDS:
            raise InvalidField(
                f"{name} is {value!r}; expected one of {', '.join((*KINDS, *self._kinds))}; --kind "
                "NAME=KIND says what another is, NAME=- leaves it out"
            )
        return found

    def _by_name(self, columns: Sequence[str]) -> None:
        """Columns that are called like a field which nobody has named a column for."""
        named = {one for one, _ in (*self._taken, *self._plan.constants)}
        named |= {_twin(one) for one in named}
        self._taken += [(c, c) for c in columns if c not in named and self._is_field(c)]

    def _is_field(self, name: str) -> bool:
        head, dot, rest = name.partition(".")
        if not dot:
            return name in self._names
        kind = self._names.get(head)
        if not isinstance(kind, dict) or not rest:
            return False
        return kind["type"] == "map" or (
            kind["type"] == "record" and rest in {one["name"] for one in kind["fields"]}
        )

    def _check(self, name: str) -> None:
        if self._is_field(name):
            return
        near = difflib.get_close_matches(name, self._names, 1)
        known = ", ".join(
            f"{one}.NAME" if _is_map(kind) else one
            for one, kind in self._names.items()
            if one != TIME_MS
        )
        told = f" (did you mean {near[0]}?)" if near else ""
        raise UserError(f"{self._topic} have no field {name!r}{told}; they have {known}")

    def _once(self) -> None:
        """A field has one source; only categories may be in several columns."""
        named = [one for one, _ in (*self._plan.columns, *self._plan.constants)]
        named = [TIME if one == TIME_MS else one for one in named]
        twice = {one for one in named if named.count(one) > 1 and one != MANY}
        if twice:
            raise UserError(f"{', '.join(sorted(twice))} has two columns or values: name one")


def _schema(topic: str) -> dict[str, Any]:
    """Types by field; a time may be called without its unit."""
    found = schemas.load(SHAPES[topic].schema)["fields"]
    names = {one["name"]: one["type"] for one in found}
    return names | ({TIME: "string"} if TIME_MS in names else {})


def _kind_first(taken: tuple[str, str]) -> bool:
    return taken[0] != "kind"


def _twin(name: str) -> str:
    return {TIME: TIME_MS, TIME_MS: TIME}.get(name, name)


def _is_map(kind: Any) -> bool:
    return isinstance(kind, dict) and kind["type"] == "map"


def _at(cells: Mapping[str, Any], column: str) -> Any:
    """A cell, or what lies at a path in one: ``product.id``."""
    if column in cells:
        return cells[column]
    found: Any = cells
    for part in column.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _as_it_is(_: str, value: Any) -> Any:
    return value


def _listed(separator: str, name: str, value: Any) -> Any:
    return listed(name, value, separator)


def _attributes(name: str, value: Any) -> Any:
    return value if "." in name else structured(name, value)


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _some(columns: Sequence[str]) -> str:
    shown = ", ".join(columns[:30])
    return shown + (f" and {len(columns) - 30} more" if len(columns) > 30 else "")
