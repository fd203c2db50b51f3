"""Checkpoints of the trainer: directories written aside, then renamed.

Knows how a checkpoint becomes visible whole or not at all, and how to tell a damaged one.
Does not know what the learner writes into it, nor what the record means.

    {root}/c000000000007/          finished; the number grows with each
        checkpoint.json            {"record": ..., "files": {name: sha256}}
        learner/...                what ``write`` put there: safetensors and JSON
    {root}/.writing-...            unfinished, or left by a crash; nobody reads it

Order of a save, and what a crash leaves behind at each point:

1. ``write`` fills a directory aside.           the checkpoint before
2. checkpoint.json, with the digest of each file.   the checkpoint before
3. Everything is forced to disk.                the checkpoint before
4. The directory is renamed, the one step that counts.   this one
5. Older ones beyond ``keep`` are removed.      this one
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import orjson

from streamrec.infra.durable import sync, sync_tree
from streamrec.ports import Checkpoint, Record

log = logging.getLogger(__name__)

RECORD = "checkpoint.json"
LEARNER = "learner"
WRITING = ".writing-"
_CHUNK = 1 << 20


class DirectoryCheckpoints:
    """``ports.Checkpoints`` in a local directory that one trainer owns."""

    def __init__(self, root: Path, keep: int = 2) -> None:
        self.root = root
        self._keep = keep

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
        contents = {"record": record, "files": _digests(aside)}
        (aside / RECORD).write_bytes(orjson.dumps(contents, option=orjson.OPT_INDENT_2))
        sync_tree(aside)
        aside.rename(self.root / f"c{number:012d}")
        sync(self.root)
        for old in self._finished()[: -self._keep]:
            shutil.rmtree(old, ignore_errors=True)

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole; a damaged one is passed over with a message."""
        for path in reversed(self._finished()):
            try:
                return Checkpoint(_verified(path), path / LEARNER)
            except (OSError, ValueError, KeyError) as error:
                log.warning("checkpoint %s is damaged and ignored: %s", path, error)
        return None

    def _finished(self) -> list[Path]:
        return sorted(self.root.glob("c[0-9]*"))

    def _sweep(self) -> None:
        for left in self.root.glob(f"{WRITING}*"):
            log.info("removing the unfinished checkpoint %s", left)
            shutil.rmtree(left)


def _number(path: Path) -> int:
    return int(path.name[1:])


def _verified(path: Path) -> Record:
    """The record. Raises ValueError, KeyError or OSError when anything is missing or changed."""
    contents = orjson.loads((path / RECORD).read_bytes())
    found = _digests(path)
    for name, digest in contents["files"].items():
        if found.pop(name, None) != digest:
            raise ValueError(f"{name} is missing or is not what was written")
    if found:
        raise ValueError(f"unknown files: {', '.join(sorted(found))}")
    record: Record = contents["record"]
    return record


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
