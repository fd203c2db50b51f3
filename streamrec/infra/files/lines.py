"""Bytes as lines of UTF-8, whatever encoding they are in.

Only a byte order mark, or whoever is asked, says that it is another than UTF-8; whether lines of
UTF-8 are sound is for their reader to find, which can refuse one and go on.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from itertools import chain

from streamrec.errors import BadFile, UserError

LONGEST_LINE_BYTES = 64 << 20
_MARKS = {  # UTF-32's begins like UTF-16's
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def lines(name: str, chunks: Iterator[bytes], encoding: str = "") -> Iterator[bytes]:
    """Each with its line end. Raises BadFile, UserError."""
    return _split(name, utf_8(name, chunks, encoding))


def utf_8(name: str, chunks: Iterator[bytes], encoding: str = "") -> Iterator[bytes]:
    """The same text without a byte order mark. Raises BadFile, UserError."""
    first = next(chunks, b"")
    marked = next((found for mark, found in _MARKS.items() if first.startswith(mark)), "utf-8")
    wanted = _known(encoding or marked)
    if wanted != "utf-8":
        return _decoded(name, chain([first], chunks), wanted)
    return chain([first.removeprefix(codecs.BOM_UTF8)], chunks)


def _known(encoding: str) -> str:
    try:
        found = codecs.lookup(encoding)
        b"".decode(encoding)
    except LookupError:
        raise UserError(
            f"--encoding {encoding}: no such encoding; known are utf-8, utf-16, latin-1, "
            "windows-1252, gb18030, shift_jis and the others of Python"
        ) from None
    return "utf-8" if found.name == "utf-8-sig" else found.name


def _decoded(name: str, chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder, line = codecs.getincrementaldecoder(encoding)(), 1
    for chunk in chain(chunks, [b""]):
        try:
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            line += error.object[: error.start].count(b"\n")
            raise BadFile(
                f"{name} is not {encoding}: line {line:,}, {error.reason}; --encoding names another"
            ) from None
        line += text.count("\n")
        yield text.encode("utf-8", "replace")


def _split(name: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest, number = b"", 0
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line + b"\n"
        number += len(whole)
        if len(rest) > LONGEST_LINE_BYTES:
            raise BadFile(
                f"{name}: line {number + 1:,} has more than {LONGEST_LINE_BYTES >> 20} MB: what "
                "format is it? --format says so"
            )
    if rest:
        yield rest
