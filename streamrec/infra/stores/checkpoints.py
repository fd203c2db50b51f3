"""Checkpoints of the trainer: directories written aside, then renamed.

Knows how a checkpoint becomes visible whole or not at all, and how to tell a damaged one.

    {root}/c000000000007/          finished; the number grows with each
        checkpoint.json            {"record": ..., "digest": its sha256, "files": {name: sha256}}
        learner/...                what ``write`` put there: safetensors and JSON
    {root}/.writing-...            unfinished, or left by a crash; nobody reads it

Order of a save, and what a crash leaves behind at each point:

1. ``write`` fills a directory aside.           the checkpoint before
2. checkpoint.json, with the digest of each file.   the checkpoint before
3. Everything is forced to disk.                the checkpoint before
4. The directory is renamed, the one step that counts.   this one
5. Older ones beyond ``keep`` are removed.      this one

Checkpoints of another shape (``record["shape"]``: settings were changed) are of another line: the
newest of the last ``LINES`` lines stays, for the day its settings come back.

Snapshots are checkpoints under a name of their own, kept as long as their owner likes. Their
files are hard links to the checkpoint's: taking one copies nothing, and only what a removed
checkpoint held alone is freed.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from streamrec.infra.stores.durable import sync, sync_tree
from streamrec.ports import Checkpoint, Record

log = logging.getLogger(__name__)

RECORD = "checkpoint.json"
LEARNER = "learner"
WRITING = ".writing-"
LINES = 3
_CHUNK = 1 << 20


class DirectoryCheckpoints:
    """``ports.Checkpoints`` in a local directory that one trainer owns."""

    def __init__(self, root: Path, keep: int = 2, installation: str = "") -> None:
        """``installation``: whose they are (``core.identity``)."""
        self.root = root
        self._keep = keep
        self._installation = installation

    def save(self, record: Record, write: Callable[[Path], None]) -> None:
        """Make a checkpoint of ``record`` and of the files that ``write`` puts in a directory.

        Raises OSError when the disk does not take it; the one before is then untouched.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        self._sweep()
        number = max((_number(path) for path in self._finished()), default=0) + 1
        aside = self.root / f"{WRITING}{number:012d}"
        (aside / LEARNER).mkdir(parents=True)
        write(aside / LEARNER)
        contents = {
            "record": record,
            "digest": record_digest(record),
            "files": _digests(aside),
            "installation": self._installation,
        }
        (aside / RECORD).write_bytes(orjson.dumps(contents, option=orjson.OPT_INDENT_2))
        sync_tree(aside)
        aside.rename(self.root / f"c{number:012d}")
        sync(self.root)
        for old in self._superseded(record.get("shape")):
            shutil.rmtree(old, ignore_errors=True)

    def newest(self, fits: Callable[[Record], bool] = lambda _: True) -> Checkpoint | None:
        """The newest checkpoint that is whole; a damaged one is passed over with a message."""
        for path in reversed(self._finished()):
            try:
                record = _verified(path)
            except (OSError, ValueError) as error:
                log.warning("checkpoint %s is damaged and ignored: %s", path, error)
                continue
            if fits(record):
                return Checkpoint(record, path / LEARNER)
        return None

    def owner(self) -> str:
        """Whose the newest one is; empty: there is none, or it does not say."""
        for path in reversed(self._finished()):
            with suppress(OSError, ValueError, AttributeError):
                return str(orjson.loads((path / RECORD).read_bytes()).get("installation") or "")
        return ""

    def _superseded(self, shape: Any) -> Iterator[Path]:
        """``keep`` of this shape stay, and the newest of a few others."""
        lines: list[Any] = []
        kept = 0
        for path in reversed(self._finished()):
            its = _shape(path)
            if its == shape:
                kept += 1
                if kept > self._keep:
                    yield path
            elif its in lines or len(lines) == LINES:
                yield path
            else:
                lines.append(its)

    def _finished(self) -> list[Path]:
        return sorted(self.root.glob("c[0-9]*"))

    def _sweep(self) -> None:
        for left in self.root.glob(f"{WRITING}*"):
            log.info("removing the unfinished checkpoint %s", left)
            shutil.rmtree(left)


class DirectorySnapshots:
    """``ports.Snapshots`` in a directory beside the checkpoints, on the same file system."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def take(self, name: str, checkpoint: Checkpoint) -> None:
        """Raises OSError when the disk does not take it; nothing is visible then."""
        self.root.mkdir(parents=True, exist_ok=True)
        aside = self.root / f"{WRITING}{name}"
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(checkpoint.directory.parent, aside, copy_function=_link)
        sync_tree(aside)
        self._replace(aside, name)

    def rename(self, name: str, to: str) -> None:
        if (self.root / name).is_dir():
            self._replace(self.root / name, to)

    def find(self, name: str) -> Checkpoint | None:
        path = self.root / name
        if not path.is_dir():
            return None
        try:
            return Checkpoint(_verified(path), path / LEARNER)
        except (OSError, ValueError) as error:
            log.warning("snapshot %s is damaged and ignored: %s", path, error)
            return None

    def names(self) -> list[str]:
        return sorted(path.name for path in self.root.glob("[!.]*"))

    def drop(self, name: str) -> None:
        shutil.rmtree(self.root / name, ignore_errors=True)

    def _replace(self, path: Path, name: str) -> None:
        shutil.rmtree(self.root / name, ignore_errors=True)
        path.rename(self.root / name)
        sync(self.root)


def _link(source: str, target: str) -> None:
    """A hard link; a copy where the file system has none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _shape(path: Path) -> Any:
    """What the record says of its shape; None: nothing, or it is damaged."""
    try:
        return _parts(orjson.loads((path / RECORD).read_bytes()))[0].get("shape")
    except (OSError, ValueError):
        return None


def _number(path: Path) -> int:
    return int(path.name[1:])


def _verified(path: Path) -> Record:
    """The record. Raises ValueError or OSError when anything is missing or changed."""
    contents = orjson.loads((path / RECORD).read_bytes())
    record, files = _parts(contents)
    found = _digests(path)
    for name, digest in files.items():
        if found.pop(name, None) != digest:
            raise ValueError(f"{name} is missing or is not what was written")
    if found:
        raise ValueError(f"unknown files: {', '.join(sorted(found))}")
    return record


def _parts(contents: Any) -> tuple[Record, Mapping[str, str]]:
    """Record and file digests of a decoded ``checkpoint.json``. Raises ValueError."""
    match contents:
        case {"record": dict() as record, "files": dict() as files}:
            pass
        case _:
            raise ValueError(f"{RECORD} holds no record, or no list of files")
    digest = contents.get("digest")  # absent in checkpoints from before there was one
    if digest is not None and digest != record_digest(record):
        raise ValueError(f"the record in {RECORD} is not what was written")
    return record, files


def record_digest(record: Record) -> str:
    """sha256 of a record, however it is written down."""
    return hashlib.sha256(orjson.dumps(record, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _digests(directory: Path) -> dict[str, str]:
    """sha256 by relative name of every file but the record itself."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {
        path.relative_to(directory).as_posix(): _sha256(path)
        for path in files
        if path != directory / RECORD
    }


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
