"""Which format a file has, and its rows.

By its suffix, or as somebody says; without either JSON, a line or an array at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from streamrec.errors import UserError
from streamrec.infra.files.csv_rows import NAMES, CsvFile
from streamrec.infra.files.field_map import FieldMap
from streamrec.infra.files.json_rows import array_rows, line_rows
from streamrec.infra.files.lines import lines, utf_8
from streamrec.infra.files.opened import SourceFile
from streamrec.infra.files.parquet_rows import ParquetTable
from streamrec.infra.files.ubi_rows import UbiRows
from streamrec.loop.ingesting.send import InputRow

JSON_LINES, JSON, CSV, TSV, PARQUET, UBI = FORMATS = (
    "jsonl", "json", "csv", "tsv", "parquet", "ubi",
)  # fmt: skip
SUFFIXES = {
    ".jsonl": JSON_LINES, ".ndjson": JSON_LINES, ".json": JSON, ".csv": CSV, ".tsv": TSV,
    ".tab": TSV, ".parquet": PARQUET, ".pq": PARQUET,
}  # fmt: skip
SHEETS = {".xlsx", ".xls", ".ods"}


@dataclass(frozen=True, slots=True)
class FileForm:
    """How it is laid out, as far as somebody says. Raises UserError."""

    format: str = ""
    delimiter: str = ""
    encoding: str = ""
    columns: Sequence[str] = ()  # of a table of text without a header

    def __post_init__(self) -> None:
        if self.format and self.format not in FORMATS:
            raise UserError(f"--format {self.format}: expected one of {', '.join(FORMATS)}")


@dataclass(frozen=True, slots=True)
class FileRows:
    """``told``: the format in words. ``header``: what corrected rows need above them. ``count``:
    of rows, where it is known. ``notes``: once they are read, what somebody may not have meant."""

    rows: Iterable[InputRow]
    told: str
    header: bytes = b""
    count: int | None = None
    notes: Callable[[], list[str]] = list


def file_rows(source: SourceFile, form: FileForm, fields: FieldMap) -> FileRows:
    """Every row of a file, with the JSON that is to be sent. Raises BadFile, UserError."""
    if source.suffix in SHEETS and not form.format:
        raise UserError(f"{source.name} is a spreadsheet: save it as CSV")
    wanted = form.format or SUFFIXES.get(source.suffix, JSON)
    if wanted == PARQUET:
        return _parquet(source, fields)
    if wanted == UBI:
        return _ubi(source, form, fields)
    if wanted in (CSV, TSV):
        return _table(source, form, fields, wanted)
    if form.delimiter or form.columns:
        raise UserError(f"{source.name} is read as {wanted}: --format csv if it is a table")
    text = utf_8(source.name, source.chunks(), form.encoding)
    start, text = _begun(text)
    if wanted == JSON and start.startswith(b"["):
        rows = array_rows(source.name, text)
        return FileRows(fields.mapped(rows), "a JSON array")
    if start.startswith(b"PAR1"):
        raise UserError(f"{source.name} is Parquet: --format parquet")
    return FileRows(fields.mapped(line_rows(lines(source.name, text))), "JSON lines")


def _ubi(source: SourceFile, form: FileForm, fields: FieldMap) -> FileRows:
    if form.delimiter or form.columns:
        raise UserError("--format ubi is JSON: no --delimiter and no --header")
    found = UbiRows(*fields.of_ubi())
    start, text = _begun(utf_8(source.name, source.chunks(), form.encoding))
    is_array = start.startswith(b"[")
    rows = array_rows(source.name, text) if is_array else line_rows(lines(source.name, text))
    return FileRows(found.mapped(rows), "User Behavior Insights", notes=found.notes)


def _begun(text: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """How it begins, blanks left out, and all of it."""
    taken = []
    for chunk in text:
        taken.append(chunk)
        if start := chunk.lstrip():
            return start, chain(taken, text)
    return b"", iter(taken)


def _table(source: SourceFile, form: FileForm, fields: FieldMap, wanted: str) -> FileRows:
    text = lines(source.name, source.chunks(), form.encoding)
    delimiter = form.delimiter or ("tab" if wanted == TSV else "")
    table = CsvFile(source.name, text, delimiter, form.columns)
    fields.bind(source.name, table.columns)
    told = f"CSV with {NAMES.get(table.delimiter, table.delimiter)} between cells"
    return FileRows(fields.mapped(table.rows()), told, table.header)


def _parquet(source: SourceFile, fields: FieldMap) -> FileRows:
    table = ParquetTable(source)
    wanted = fields.bind(source.name, table.columns)
    return FileRows(fields.mapped(table.rows(wanted)), "Parquet", count=table.count)
