"""Parquet, batch by batch of its row groups: only what is asked for is read, a little at a time.

Knows Arrow's types as far as plain values of Python can be made of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from typing import Any, BinaryIO

from streamrec.errors import BadFile, Malformed, UserError
from streamrec.infra.files.opened import SourceFile
from streamrec.loop.ingesting.send import InputRow

BATCH_ROWS = 4_096
MISSING = "reading Parquet needs pyarrow: pip install 'streamrec[parquet]'"


class ParquetTable:
    """Raises BadFile, UserError."""

    def __init__(self, source: SourceFile) -> None:
        try:
            import pyarrow as pa  # noqa: PLC0415 - an extra
            import pyarrow.parquet as pq  # noqa: PLC0415
        except ImportError:
            raise UserError(f"{source.name}: {MISSING}") from None
        self._name, self._broken = source.name, (pa.ArrowException, OSError)
        if not _seekable(source.stream):
            raise UserError(
                f"{source.name}: Parquet is read from its end, which a stream does not have yet: "
                "name a file (of a URL, simplecache::URL fetches it first)"
            )
        try:
            self._file = file = pq.ParquetFile(source.stream)
        except self._broken as error:
            raise BadFile(f"{source.name} is not Parquet, or broken: {error}") from None
        self.columns: list[str] = list(file.schema_arrow.names)
        self.count: int = file.metadata.num_rows

    def rows(self, wanted: Sequence[str]) -> Iterator[InputRow]:
        """Of these columns. ``number``: of the row, from 1."""
        number = 0
        try:
            for batch in self._file.iter_batches(BATCH_ROWS, columns=list(wanted)):
                names, columns = batch.schema.names, [_values(column) for column in batch.columns]
                for values in zip(*columns, strict=True):
                    number += 1
                    cells = dict(zip(names, values, strict=True))
                    yield InputRow(number, _problem(cells) or cells, cells)
        except self._broken as error:
            raise BadFile(f"{self._name}: cannot be read after row {number:,}: {error}") from None


def _seekable(stream: BinaryIO) -> bool:
    try:
        return stream.seekable()
    except AttributeError:
        return False


def _values(column: Any) -> list[Any]:
    """As plain values; times of nanoseconds lose what is finer than a microsecond."""
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    return [_plain(value) for value in column.to_pylist()]


def _plain(value: Any) -> Any:
    """A text in bytes is a text, a number that is none is absence."""
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return Malformed("bytes that are not UTF-8")
    if isinstance(value, list) and value and all(isinstance(one, tuple) for one in value):
        return dict(value)  # how a map comes
    if isinstance(value, date | datetime | time) and not isinstance(value, datetime):
        return value.isoformat()
    return value


def _problem(cells: dict[str, Any]) -> Malformed | None:
    for name, value in cells.items():
        if isinstance(value, Malformed):
            return Malformed(f"{name} holds {value}")
    return None
