"""Whatever cells hold and wherever a stream is cut, the same rows come out."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise

import zstandard
from hypothesis import given
from hypothesis import strategies as st

from streamrec.errors import BadFile, Refused, UserError
from streamrec.infra.files.csv_rows import CsvFile
from streamrec.infra.files.field_map import FieldMap, FieldPlan
from streamrec.infra.files.json_rows import array_rows
from streamrec.infra.files.lines import lines, utf_8
from streamrec.infra.files.opened import SourceFile
from streamrec.infra.files.reading import FORMATS, FileForm, file_rows

cells = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=12)
cuts = st.lists(st.integers(0, 400), max_size=6)


def pieces(data: bytes, at: list[int]) -> Iterator[bytes]:
    """The same bytes, cut anywhere."""
    bounds = [0, *sorted(min(one, len(data)) for one in at), len(data)]
    return (data[start:end] for start, end in pairwise(bounds) if start < end)


@given(st.lists(st.tuples(cells, cells, cells), max_size=6), st.sampled_from(",;\t|"), cuts)
def test_a_table_is_read_as_it_was_written(rows, delimiter, at) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([("a", "b", "c"), *rows])
    table = CsvFile("t", lines("t", pieces(text.getvalue().encode(), at)))
    assert table.delimiter == delimiter
    found = [tuple(row.found.values()) for row in table.rows()]
    assert found == [tuple(cell.strip() for cell in row) for row in rows]


objects = st.dictionaries(cells, cells | st.none() | st.integers() | st.lists(cells, max_size=3))


@given(st.lists(objects, max_size=5), st.sampled_from([None, 1]), st.booleans(), cuts)
def test_an_array_is_read_as_it_was_written(rows, indent, ascii_only, at) -> None:
    data = json.dumps(rows, indent=indent, ensure_ascii=ascii_only).encode()
    found = [json.loads(row.found) for row in array_rows("t", utf_8("t", pieces(data, at)))]
    assert found == rows


@given(st.binary(max_size=300), st.sampled_from(FORMATS), st.booleans())
def test_any_bytes_at_all_are_rows_or_refusals(data, kind, packed) -> None:
    """Never a stack trace."""
    data = zstandard.ZstdCompressor().compress(data) if packed else data
    source = SourceFile("t", io.BytesIO(data))
    with suppress(UserError):
        read = file_rows(source, FileForm(kind), FieldMap("items", FieldPlan()))
        assert all(isinstance(row.found, bytes | Refused) for row in read.rows)


@given(st.text(max_size=40), st.sampled_from(["csv", "tsv"]))
def test_any_text_under_a_header_is_rows_or_refusals(text, kind) -> None:
    head = "item_id,title\n" if kind == "csv" else "item_id\ttitle\n"
    data = (head + text).encode("utf-8", "surrogatepass")
    source, numbers = SourceFile("t", io.BytesIO(data)), []
    read = file_rows(source, FileForm(kind), FieldMap("items", FieldPlan()))
    with suppress(BadFile):  # a quote that is not closed
        for row in read.rows:
            numbers.append(row.number)
    assert numbers == sorted(set(numbers))
