"""A file named on the command line as a stream of bytes: a path, ``-``, or any URL of fsspec's.

Knows where bytes are and how they are packed (gzip, zstd, told by their first bytes). Does not know
what they say.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import zstandard

from streamrec.errors import BadFile, UserError

CHUNK_BYTES = 1 << 20
MAGIC_BYTES = 4
STDIN = "-"
PACKINGS = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".zstd": "zstd"}
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_OTHERS = {b"PK\x03\x04": "a zip archive (or a spreadsheet)", b"BZh": "bzip2", b"\xfd7zX": "xz"}
_PIECE_BYTES = 1 << 16
_ANY_WINDOW = 1 << 31


@dataclass
class SourceFile:
    """``name``: as it may be shown. ``size``: bytes as they are stored, None: nobody knows."""

    name: str
    stream: BinaryIO
    size: int | None = None
    read: int = 0  # bytes so far

    @property
    def suffix(self) -> str:
        """In lower case, that of a packing left out."""
        path = PurePosixPath(self.name.lower())
        return PurePosixPath(path.stem).suffix if path.suffix in PACKINGS else path.suffix

    def chunks(self) -> Iterator[bytes]:
        """What it holds, unpacked. Raises BadFile, UserError."""
        packed, first = self._stored(), b""
        while len(first) < MAGIC_BYTES and (more := next(packed, b"")):
            first += more
        for magic, told in _OTHERS.items():
            if first.startswith(magic):
                raise UserError(f"{self.name} is {told}: unpack it, or pack it with gzip or zstd")
        pieces = chain([first], packed) if first else iter(())
        if first.startswith(_GZIP):
            return _unpacked(self.name, pieces, lambda: zlib.decompressobj(wbits=31), _GZIP)
        if first.startswith(_ZSTD):
            return _unpacked(self.name, pieces, _zstd, _ZSTD)
        if not first and self.name.lower().endswith(tuple(PACKINGS)):
            raise BadFile(f"{self.name} is empty, and not even packed: was it cut off?")
        return pieces

    def _stored(self) -> Iterator[bytes]:
        """What is there so far is handed on at once: somebody may be writing into a pipe."""
        read: Callable[[int], bytes] = getattr(self.stream, "read1", self.stream.read)
        while True:
            with foreign_errors(self.name):
                found = read(CHUNK_BYTES)
            if not found:
                return
            self.read += len(found)
            yield found


def _zstd() -> Any:
    return zstandard.ZstdDecompressor(max_window_size=_ANY_WINDOW).decompressobj()


def _unpacked(
    name: str, pieces: Iterator[bytes], new: Callable[[], Any], magic: bytes
) -> Iterator[bytes]:
    """Of one packed part after the other; one that is not whole is an error, not an end."""
    part = new()
    for piece in pieces:
        for at in range(0, len(piece), _PIECE_BYTES):
            data = piece[at : at + _PIECE_BYTES]
            while data:
                if part.eof:
                    data = data.lstrip(b"\0") if magic == _GZIP else data  # of a tape's blocks
                    if not data:
                        break
                    part = new()
                try:
                    unpacked = part.decompress(data)
                except (zlib.error, zstandard.ZstdError) as error:
                    raise BadFile(f"{name} cannot be unpacked: {error}") from None
                data = part.unused_data
                yield unpacked
    if not part.eof:
        raise BadFile(f"{name} ends in the middle of what is packed in it: was it cut off?")


@contextmanager
def opened(place: str, stdin: BinaryIO) -> Iterator[SourceFile]:
    """The file at a path, behind a URL, or standard input. Raises UserError."""
    if place == STDIN:
        yield SourceFile("standard input", stdin)
        return
    if not is_url(place):
        try:
            stream = Path(place).open("rb")  # noqa: SIM115 - closed below
        except OSError as error:
            raise UserError(f"{place}: {error.strerror}") from None
        with stream:
            yield SourceFile(place, stream, Path(place).stat().st_size)
        return
    name = shown(place)
    with foreign_errors(name):
        stream, size = _open_url(place)
    try:
        yield SourceFile(name, stream, size)
    finally:
        stream.close()


def is_url(place: str) -> bool:
    return ("://" in place or "::" in place) and not Path(place).exists()


def shown(place: str) -> str:
    """Without a name, a password or a signature that stands in it."""
    head, _, rest = place.partition("?")[0].rpartition("://")
    host, slash, path = rest.partition("/")
    return f"{head}://{host.rpartition('@')[2]}{slash}{path}" if head else rest


def _open_url(place: str) -> tuple[Any, int | None]:
    import fsspec  # noqa: PLC0415 - most files are local

    filesystem, path = fsspec.core.url_to_fs(place)
    if filesystem.isdir(path):
        raise UserError(f"{shown(place)} is a directory: name one of its files")
    size = filesystem.info(path).get("size")
    return filesystem.open(path, "rb"), size


@contextmanager
def foreign_errors(name: str) -> Iterator[None]:
    """A file system of somebody else's may raise anything: it becomes UserError, in its words."""
    try:
        yield
    except (UserError, KeyboardInterrupt):
        raise
    except FileNotFoundError:
        raise UserError(f"{name}: No such file") from None
    except Exception as error:
        said = str(error) or type(error).__name__
        raise UserError(f"{name} cannot be read: {said}") from error
