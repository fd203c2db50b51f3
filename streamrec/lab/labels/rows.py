"""A file's texts and labels: JSON lines or an array, CSV, TSV.

    {"text": …, "label": 0 or 1, "group"?: …}

Rows of one group stay in one part of the data. Knows lines and what is wrong with one. Does not
know what is learned.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from streamrec.errors import BadFile, Malformed, Refused
from streamrec.infra.files.csv_rows import CsvFile
from streamrec.infra.files.json_rows import array_rows, line_rows
from streamrec.infra.files.lines import lines, utf_8
from streamrec.infra.files.opened import SourceFile, opened
from streamrec.infra.files.reading import CSV, JSON, SUFFIXES, TSV
from streamrec.loop.ingesting.send import InputRow

LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}
TOLD = 3
"""So many bad lines are named; the others are counted."""


@dataclass(frozen=True, slots=True)
class LabelledText:
    """``group``: "" where the file says none."""

    text: str
    label: int
    group: str = ""

    @property
    def key(self) -> str:
        """The same of texts that differ in case and blanks alone."""
        return " ".join(self.text.casefold().split())


def read_labels(place: str) -> list[LabelledText]:
    """``place``: a path, a URL, or - for standard input.

    Raises BadFile, naming the lines, also when there is no such file or nothing in it.
    """
    found: list[LabelledText] = []
    wrong: list[str] = []
    with opened(place, sys.stdin.buffer) as source:
        for row in _rows(source):
            try:
                found.append(_labelled(row))
            except (Refused, ValueError) as error:
                wrong.append(f"line {row.number:,}: {error}")
        name = source.name
    if wrong:
        more = f"; and {len(wrong) - TOLD:,} more lines" if len(wrong) > TOLD else ""
        raise BadFile(f"{name} {'; '.join(wrong[:TOLD])}{more}")
    if not found:
        raise BadFile(f"{name} holds no row")
    return found


def _rows(source: SourceFile) -> Iterator[InputRow]:
    form = SUFFIXES.get(source.suffix, JSON)
    if form in (CSV, TSV):
        text = lines(source.name, source.chunks())
        table = CsvFile(source.name, text, "tab" if form == TSV else "")
        if lacking := {"text", "label"} - set(table.columns):
            raise BadFile(
                f"{source.name}: the header has no column {' and '.join(sorted(lacking))}"
            )
        return table.rows()
    chunks = utf_8(source.name, source.chunks())
    first = next(chunks, b"")
    rest = _again(first, chunks)
    if first.lstrip().startswith(b"["):
        return array_rows(source.name, rest)
    return line_rows(lines(source.name, rest))


def _again(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from others


def _labelled(row: InputRow) -> LabelledText:
    """Raises Refused, ValueError: what is wrong with it."""
    found = row.found
    if found is None or isinstance(found, Refused):
        raise found or Malformed("an empty row")
    fields = found if isinstance(found, Mapping) else _parsed(found)
    text = fields.get("text")
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"text is {_shown(text)}; it must be a text with something in it")
    group = fields.get("group", "")
    return LabelledText(text, _label(fields), "" if group is None else str(group))


def _parsed(line: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - a bad line
    return found


def _label(fields: Mapping[str, Any]) -> int:
    given = fields.get("label")
    label = LABELS.get(str(given).strip().lower()) if given is not None else None
    if label is None:
        raise ValueError(f"label is {_shown(given)}; it must be 0 or 1")
    return label


def _shown(value: object) -> str:
    if value is None:
        return "missing"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
