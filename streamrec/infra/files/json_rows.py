"""JSON: an object a line, or one array of objects.

Knows where an object begins and ends. What it says is read by whoever decodes it, as it would be on
the topic.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator

from streamrec.errors import BadFile, Malformed
from streamrec.loop.ingesting.send import InputRow

MOST_CHARS = 32 << 20
_BLANKS = " \t\r\n"


def line_rows(lines: Iterable[bytes]) -> Iterator[InputRow]:
    """``number``: of the line."""
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text:
            continue
        begins = text.removeprefix(codecs.BOM_UTF8).startswith(b"{")  # of files put together
        found = text if begins else _no_object(text)
        yield InputRow(number, found, line)


def _no_object(text: bytes) -> Malformed:
    if text.startswith(b"\xff\xfe") or b"\0" in text[:4]:
        return Malformed("not a JSON object: is it UTF-16? --encoding utf-16")
    return Malformed("not a JSON object; every line must be one (or --format csv, tsv, json)")


def array_rows(name: str, chunks: Iterable[bytes]) -> Iterator[InputRow]:
    """``number``: of the element, from 1. Raises BadFile where the array itself is broken."""
    text, decoder = _Text(name, chunks), json.JSONDecoder()
    if text.next_char() != "[":
        raise BadFile(f"{name} is no JSON array: it does not begin with [")
    text.take(1)
    number = 0
    while text.next_char() != "]" or number:
        number += 1
        found = text.element(decoder, number)
        data = found.encode("utf-8", "replace")
        row = data if found.startswith("{") else Malformed("not a JSON object, as all must be")
        yield InputRow(number, row, data + b"\n")
        end = text.next_char()
        if end not in (",", "]"):
            raise text.broken(number, f"expected a comma or ], found {end or 'its end'}")
        text.take(1)
        if end == "]":
            break
    else:
        text.take(1)
    if text.next_char():
        raise text.broken(number, "something follows the end of the array")


class _Text:
    """As much of the file as is needed to see a whole element."""

    def __init__(self, name: str, chunks: Iterable[bytes]) -> None:
        self._name, self._chunks = name, iter(chunks)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text, self._at, self._line = "", 0, 1

    def next_char(self) -> str:
        """The first that is no blank; "" at the end."""
        while True:
            rest = self._text[self._at : self._at + 1]
            if rest and rest not in _BLANKS:
                return rest
            if rest:
                self._at += 1
            elif not self._more():
                return ""

    def take(self, characters: int) -> None:
        self._at += characters

    def element(self, decoder: json.JSONDecoder, number: int) -> str:
        """The text of the value that begins here."""
        self.next_char()
        while True:
            try:
                _, end = decoder.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                whole, problem = False, str(error)
            else:  # a number may go on
                whole, problem = end < len(self._text) or self._text[self._at] in '{["', "cut off"
            if whole:
                found, self._at = self._text[self._at : end], end
                return found
            if len(self._text) - self._at > MOST_CHARS or not self._more():
                raise self.broken(number, problem)

    def broken(self, number: int, why: str) -> BadFile:
        line = self._line + self._text.count("\n", 0, self._at)
        return BadFile(f"{self._name}: element {number:,}, at line {line:,}: {why}")

    def _more(self) -> bool:
        """Whether there was any."""
        chunk = next(self._chunks, b"")
        self._line += self._text.count("\n", 0, self._at)
        self._text, self._at = self._text[self._at :], 0
        try:
            self._text += self._decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            line = self._line + self._text.count("\n") + error.object[: error.start].count(b"\n")
            raise BadFile(
                f"{self._name}: line {line:,} is not UTF-8 ({error.reason}); --encoding names "
                "another"
            ) from None
        return bool(chunk)
