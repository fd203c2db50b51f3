"""CSV as RFC 4180 has it, and what is usual beside it: other delimiters, ``sep=``.

Knows headers, quotes and line numbers. A cell is its text without blanks around it; what it means
is for ``infra.files.cells``.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from streamrec.errors import BadFile, Malformed, UserError
from streamrec.loop.ingesting.send import InputRow

DELIMITERS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
SNIFFED = ",;\t|"
NAMES = {"\t": "tab"}


class CsvFile:
    """``columns``: in their order. ``header``: as it stands in the file.

    Raises BadFile, UserError.
    """

    def __init__(
        self, name: str, lines: Iterable[bytes], delimiter: str = "", columns: Sequence[str] = ()
    ) -> None:
        """``columns``: of a file without a header."""
        self._name, self._lines = name, _Lines(lines)
        first = self._first_line()
        if first.lower().startswith("sep=") and len(first.strip()) == 5:  # Excel's own
            delimiter = delimiter or first[4]
            first = self._first_line()
        self.delimiter = _delimiter(name, delimiter, first)
        self._lines.give_back()
        self._reader = csv.reader(
            self._lines,
            delimiter=self.delimiter,
            skipinitialspace=self.delimiter != "\t",
            strict=True,
        )
        self.header = b""
        self.columns = list(columns)
        if not columns:
            self.columns = self._named()
            self.header = self._lines.source()

    def rows(self) -> Iterator[InputRow]:
        """``number``: of the line on which it begins."""
        while True:
            self._lines.forget()
            number = self._lines.number + 1
            try:
                cells = self._record()
            except csv.Error as error:
                yield InputRow(number, Malformed(self._told(error)), self._lines.source())
                continue
            if cells is None:
                return
            if cells and self._lines.source().strip():
                yield InputRow(number, self._found(cells), self._lines.source())

    def _named(self) -> list[str]:
        """By the header."""
        try:
            cells = self._record() or []
        except csv.Error as error:
            raise BadFile(f"{self._name}: the header is {self._told(error)}") from None
        if self._lines.bad:
            raise BadFile(f"{self._name}: the header is {self._lines.bad}")
        return self._checked([cell.strip() for cell in cells])

    def _found(self, cells: Sequence[str]) -> dict[str, str] | Malformed:
        if self._lines.bad:
            return Malformed(self._lines.bad)
        if len(cells) != len(self.columns):
            return Malformed(
                f"{len(cells)} cells where there are {len(self.columns)} columns{self._through()}"
            )
        return {name: cell.strip() for name, cell in zip(self.columns, cells, strict=True)}

    def _record(self) -> list[str] | None:
        start = self._lines.number + 1
        try:
            return next(self._reader, None)
        except csv.Error as error:
            if "unexpected end" in str(error) or "field limit" in str(error):
                raise BadFile(
                    f"{self._name}: a quote that opens in the record of line {start:,} is not "
                    f"closed within {csv.field_size_limit():,} characters, or at all: nothing "
                    "from that line on can be read"
                ) from None
            raise

    def _told(self, error: csv.Error) -> str:
        if "new-line character" in str(error):
            return "a carriage return without a line feed: lines must end with LF or CRLF"
        return f"not CSV: {error}{self._through()}"

    def _through(self) -> str:
        taken = self._lines.taken
        return f" (through line {self._lines.number:,})" if len(taken) > 1 else ""

    def _first_line(self) -> str:
        """That is not blank."""
        self._lines.forget()
        return next((line for line in self._lines if line.strip()), "")

    def _checked(self, names: list[str]) -> list[str]:
        """A column without a name is nobody's; of two with one name, nobody knows which it is."""
        twice = [name for name, count in Counter(filter(None, names)).items() if count > 1]
        if twice:
            raise BadFile(f"{self._name}: the header names {', '.join(twice)} more than once")
        if not any(names):
            raise BadFile(f"{self._name} has no header: it is empty")
        return [name or f"column {place}" for place, name in enumerate(names, start=1)]


class _Lines:
    """Text for the reader of ``csv``, which takes as many lines as a record has; ``number``: of the
    last one taken."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines, self._again = iter(lines), b""
        self.taken: list[bytes] = []
        self.number = 0
        self.bad = ""  # what is wrong with the encoding of what was taken

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line, self._again = self._again or next(self._lines), b""
        self.taken.append(line)
        self.number += 1
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            found = line[error.start : error.start + 1].hex()
            self.bad = (
                f"not UTF-8: byte {found} at place {error.start + 1} of line {self.number:,}; "
                "--encoding names another, as in --encoding windows-1252"
            )
            return line.decode(errors="replace")

    def forget(self) -> None:
        self.taken, self.bad = [], ""

    def give_back(self) -> None:
        """The line taken last is taken again."""
        if self.taken:
            self._again = self.taken.pop()
            self.number -= 1
            self.forget()

    def source(self) -> bytes:
        return b"".join(self.taken)


def _delimiter(name: str, wanted: str, header: str) -> str:
    """As wanted, or what the header has most of."""
    if wanted:
        found = DELIMITERS.get(wanted, wanted)
        if len(found) != 1 or found in '"\r\n':
            raise UserError(f"--delimiter {wanted}: one character is needed, or tab")
        return found
    unquoted = "".join(header.split('"')[::2])
    counted = Counter(one for one in unquoted if one in SNIFFED).most_common(2)
    if len(counted) == 2 and counted[0][1] == counted[1][1]:
        both = " and ".join(NAMES.get(one, one) for one, _ in counted)
        raise UserError(f"{name}: {both} are as frequent in the header: --delimiter says which")
    return counted[0][0] if counted else ","
