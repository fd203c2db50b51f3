"""Vectors of texts on disk, so that no text is encoded twice by one version of an encoder.

Knows texts by their digest, encoder versions by name, and that several processes of one machine
share a directory. Does not know items, catalogues or generations.

    <directory>/<version>-<maker>/<name>.safetensors   up to ``CHUNK`` digests, sorted, and vectors
                                  in-use               locked (shared) by every process that reads
                                  encoding             locked by the process that encodes a chunk

``maker``: torch, its number of threads and the machine's instructions. Only then is a vector from
the disk the one that would have been computed, to the last bit (docs/adr/0090, docs/adr/0163).

A file is written aside and renamed; nobody changes it. One that cannot be read, whose digest is
not that of its contents or which belongs to another encoder is told, put aside (``.refused``) and
what it held is encoded anew. Versions beyond the newest ``VERSIONS`` go unless somebody reads them.

Shapes: T texts, N vectors of a file, D dimensions.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.backends import cpu

log = logging.getLogger(__name__)

CHUNK = 1024
"""Texts that are encoded, written and waited for at once."""
FEW = 256
"""Fewer are encoded without waiting for anybody; they are written when there are so many."""
VERSIONS = 4
"""On disk, and open in a process, beside those in use."""
DIGEST = np.dtype("S16")
LOOK_S = 0.05

Encode = Callable[[Sequence[str], threading.Event | None], Tensor]
"""Texts as vectors (T, D). Raises CancelledError."""


def digest(text: str) -> bytes:
    """Of 16 bytes, none of them 0 at the end: numpy would cut it off."""
    return hashlib.blake2b(text.encode(), digest_size=15).digest() + b"."


def maker() -> str:
    """What besides text and encoder decides a vector's last bits."""
    versions = (torch.__version__, version("transformers"))
    parts = (*versions, str(torch.get_num_threads()), cpu.get_cpu_capability())
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Segment:
    """A file's digests in order, and where its vectors are."""

    path: Path
    digests_N: NDArray[np.bytes_]

    def find(self, wanted_T: NDArray[np.bytes_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Places among the wanted, and rows here."""
        rows_T = np.searchsorted(self.digests_N, wanted_T)
        inside_T = rows_T < len(self.digests_N)
        same_T = inside_T.copy()
        same_T[inside_T] = self.digests_N[rows_T[inside_T]] == wanted_T[inside_T]
        places = np.flatnonzero(same_T)
        return places, rows_T[places]

    def vectors(self, rows: NDArray[np.intp]) -> Tensor:
        with safe_open(self.path, "pt") as file:
            found: Tensor = file.get_tensor("vectors")[torch.from_numpy(rows)]
        return found


class VectorCache:
    """Of one process. Safe to call from several threads."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._open: OrderedDict[str, KnownVectors] = OrderedDict()
        self._lock = threading.Lock()
        self._told = False
        self._counts = {
            "texts_to_encode": 0.0,
            "texts_encoded": 0.0,
            "texts_from_disk": 0.0,
            "vector_files_refused": 0.0,
        }

    def gauges(self) -> Mapping[str, float]:
        """How far an encoding is, and what the disk has saved."""
        with self._lock:
            return dict(self._counts)

    def encode(
        self,
        encoder: str,
        texts: Sequence[str],
        encode: Encode,
        stop: threading.Event | None = None,
    ) -> Tensor:
        """Vectors (T, D) of texts: from disk, or by ``encode``, which is that of this ``encoder``.

        Raises CancelledError when ``stop`` is set meanwhile.
        """
        known = self._known(encoder)
        if known is None:
            return encode(texts, stop)
        digests_T = np.array([digest(text) for text in texts], DIGEST)
        wanted = WantedVectors(known, texts, digests_T, encode, stop, self._count)
        found = wanted.read(range(len(texts)))
        missing = [place for place in range(len(texts)) if place not in found]
        found |= wanted.make(missing) if len(missing) < FEW else wanted.make_in_chunks(missing)
        if not found:
            return encode([], stop)
        return torch.stack([found[place] for place in range(len(texts))])

    def _known(self, encoder: str) -> KnownVectors | None:
        """None, told once, where the directory cannot be used."""
        with self._lock:
            known = self._open.pop(encoder, None)
            try:
                known = known or KnownVectors(self._directory, encoder, self._refused)
            except OSError as error:
                if not self._told:
                    log.warning("every restart encodes every text: %s", error)
                self._told = True
                return None
            self._open[encoder] = known
            while len(self._open) > VERSIONS:
                self._open.popitem(last=False)[1].close()
        return known

    def _refused(self) -> None:
        self._count(vector_files_refused=1)

    def _count(self, **more: float) -> None:
        with self._lock:
            for name, number in more.items():
                self._counts[name] += number


@dataclass(frozen=True, slots=True, eq=False)
class WantedVectors:
    """Of one call. Places are those among its texts; vectors are (D,), by place."""

    known: KnownVectors
    texts: Sequence[str]
    digests_T: NDArray[np.bytes_]
    encode: Encode
    stop: threading.Event | None
    count: Callable[..., None]

    def read(self, places: Sequence[int]) -> dict[int, Tensor]:
        """Those that are known."""
        there = self.known.read(self.digests_T[list(places)])
        found = {places[at]: vector for at, vector in there}
        self.count(texts_from_disk=len(found))
        return found

    def make(self, places: Sequence[int]) -> dict[int, Tensor]:
        """All of these, encoded. What is not finite is not kept."""
        if not places:
            return {}
        vectors_TD = self.encode([self.texts[place] for place in places], self.stop)
        self.count(texts_encoded=len(places))
        if bool(torch.isfinite(vectors_TD).all()):
            self.known.add(self.digests_T[list(places)], vectors_TD)
        return dict(zip(places, vectors_TD, strict=True))

    def make_in_chunks(self, places: Sequence[int]) -> dict[int, Tensor]:
        """One process after the other takes a chunk; what another has made meanwhile is read."""
        found: dict[int, Tensor] = {}
        left = len(places)
        self.count(texts_to_encode=left)
        try:
            for start in range(0, len(places), CHUNK):
                chunk = places[start : start + CHUNK]
                with self.known.turn(self.stop):
                    found |= self.read(chunk)
                    found |= self.make([place for place in chunk if place not in found])
                    self.known.flush()
                left -= len(chunk)
                self.count(texts_to_encode=-len(chunk))
        finally:
            self.count(texts_to_encode=-left)
        return found


class KnownVectors:
    """Those of one encoder version. Several threads may call it."""

    def __init__(self, directory: Path, encoder: str, refused: Callable[[], None]) -> None:
        self._encoder = encoder
        self._refused = refused
        self._folder = directory / f"{encoder}-{maker()}"
        self._segments: dict[str, Segment] = {}
        self._pending: dict[bytes, Tensor] = {}
        self._lock = threading.Lock()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._in_use = _locked(self._folder / "in-use", fcntl.LOCK_SH)
        _forget_old(directory, self._folder)

    def close(self) -> None:
        """Nobody here needs them any more."""
        os.close(self._in_use)

    def read(self, wanted_T: NDArray[np.bytes_]) -> Iterator[tuple[int, Tensor]]:
        """(place among the wanted, vector (D,)) of those that are known."""
        with self._lock:
            self._look()
            segments, pending = list(self._segments.values()), dict(self._pending)
        for segment in segments:
            places, rows = segment.find(wanted_T)
            if len(places):
                yield from zip(places.tolist(), self._vectors(segment, rows), strict=False)
        if pending:
            for place, name in enumerate(wanted_T.tolist()):
                if name in pending:
                    yield place, pending[name]

    def _vectors(self, segment: Segment, rows: NDArray[np.intp]) -> Sequence[Tensor]:
        """(D,) of each row; none of a file that somebody has removed."""
        try:
            return list(segment.vectors(rows))
        except (OSError, SafetensorError) as error:
            log.warning("%s is gone, its texts are encoded anew: %s", segment.path, error)
            with self._lock:
                self._segments.pop(segment.path.name, None)
            return ()

    def add(self, digests_T: NDArray[np.bytes_], vectors_TD: Tensor) -> None:
        """They are written when there are ``FEW``."""
        with self._lock:
            self._pending |= dict(zip(digests_T.tolist(), vectors_TD, strict=True))
            due = len(self._pending) >= FEW
        if due:
            self.flush()

    def flush(self) -> None:
        """Write what is not written yet. A disk that takes nothing is told, and costs time only."""
        with self._lock:
            pending, self._pending = self._pending, {}
        if not pending:
            return
        names = sorted(pending)
        vectors_ND = torch.stack([pending[name] for name in names]).float().contiguous()
        digests_N = torch.frombuffer(bytearray(b"".join(names)), dtype=torch.uint8)
        named = {"encoder": self._encoder, "sha256": _checksum(digests_N, vectors_ND)}
        path = self._folder / f"{uuid.uuid4().hex}.safetensors"
        aside = path.with_suffix(".part")
        try:
            save_file({"digests": digests_N, "vectors": vectors_ND}, aside, named)
            aside.rename(path)
        except (OSError, SafetensorError) as error:
            log.warning("vectors are not kept in %s: %s", self._folder, error)
            aside.unlink(missing_ok=True)

    @contextmanager
    def turn(self, stop: threading.Event | None) -> Iterator[None]:
        """While nobody else encodes a chunk of this version. Raises CancelledError."""
        self._folder.mkdir(parents=True, exist_ok=True)  # somebody may have removed it
        handle = os.open(self._folder / "encoding", os.O_RDWR | os.O_CREAT)
        never = stop or threading.Event()
        try:
            while True:
                with suppress(BlockingIOError):
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                if never.wait(LOOK_S):
                    raise CancelledError
            yield
        finally:
            os.close(handle)

    def _look(self) -> None:
        """Take in files that came."""
        for path in self._folder.glob("*.safetensors"):
            if path.name not in self._segments and (segment := self._checked(path)):
                self._segments[path.name] = segment

    def _checked(self, path: Path) -> Segment | None:
        """None, told and counted, when it cannot be trusted."""
        try:
            with safe_open(path, "pt") as file:
                named: Mapping[str, Any] = file.metadata() or {}
                digests_N, vectors_ND = file.get_tensor("digests"), file.get_tensor("vectors")
            why = "" if named.get("encoder") == self._encoder else "it is of another encoder"
            if not why and named.get("sha256") != _checksum(digests_N, vectors_ND):
                why = "its contents are damaged"
        except (OSError, SafetensorError) as error:
            why = str(error)
        if why:
            log.warning("%s is refused and its texts are encoded anew: %s", path, why)
            self._refused()
            with suppress(OSError):
                path.rename(path.with_suffix(".refused"))
            return None
        return Segment(path, digests_N.numpy().view(DIGEST))


def _checksum(digests_N: Tensor, vectors_ND: Tensor) -> str:
    found = hashlib.sha256(digests_N.numpy().tobytes())
    found.update(f"{tuple(vectors_ND.shape)} {vectors_ND.dtype}".encode())
    found.update(vectors_ND.numpy().tobytes())
    return found.hexdigest()


def _locked(path: Path, kind: int) -> int:
    """An open handle that holds a lock until it is closed, or its process has ended."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, kind)
    return handle


def _forget_old(directory: Path, ours: Path) -> None:
    """Remove versions beyond the newest that no process has open."""
    others = [folder for folder in directory.iterdir() if folder.is_dir() and folder != ours]
    newest_first = sorted(others, key=_changed_at, reverse=True)
    for folder in newest_first[VERSIONS - 1 :]:
        with suppress(OSError):  # in use, or somebody else was quicker
            handle = os.open(folder / "in-use", os.O_RDWR)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(handle)


def _changed_at(folder: Path) -> float:
    with suppress(OSError):
        return folder.stat().st_mtime
    return 0.0
