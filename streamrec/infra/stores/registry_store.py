"""Generation directories, kept in a directory or in any object store.

Knows how a finished directory becomes visible whole or not at all. What is in it is checked by
``models.generation``, digest by digest, when it loads one.

A directory has rename, so a copy is made aside, forced to disk and renamed. An object
store does not: ``manifest.json`` is written last, and a generation without one is not there.
"""

from __future__ import annotations

import re
import shutil
import uuid
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from streamrec.errors import GenerationRefused, Unavailable
from streamrec.infra.stores.durable import sync, sync_tree

MANIFEST = "manifest.json"
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
INCOMING = ".incoming-"


class DirectoryRegistry:
    """``ports.RegistryStore`` over a directory that all workers see."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, generation: str, directory: Path) -> None:
        """Copy a finished directory in. One that is there already stays as it is.

        1. Copy beside the others under a name no reader looks at.
        2. Force files and directory to disk.
        3. Rename: the one step that makes it visible.

        Raises GenerationRefused when it has no manifest.
        """
        _finished(generation, directory)
        target = self.root / _checked(generation)
        if target.exists():
            return
        self.root.mkdir(parents=True, exist_ok=True)
        aside = self.root / f"{INCOMING}{generation}-{uuid.uuid4().hex}"
        try:
            shutil.copytree(directory, aside)
            sync_tree(aside)
            _rename_unless_there(aside, target)
            sync(self.root)
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def get(self, generation: str) -> Path:
        """The directory itself. Raises GenerationRefused if unknown."""
        path = self.root / _checked(generation)
        if not (path / MANIFEST).is_file():
            raise GenerationRefused(f"{generation} is not in the registry {self.root}")
        return path

    def generations(self) -> list[str]:
        """Every id, oldest first."""
        return sorted(path.parent.name for path in self.root.glob(f"[!.]*/{MANIFEST}"))


class ObjectRegistry:
    """``ports.RegistryStore`` over any fsspec file system, with a local cache."""

    def __init__(self, filesystem: Any, root: str, cache: Path, where: str) -> None:
        self._fs = filesystem
        self._root = root.rstrip("/")
        self._cache = DirectoryRegistry(cache)
        self._where = where

    def put(self, generation: str, directory: Path) -> None:
        """Upload a finished directory, the manifest last.

        Raises GenerationRefused when it has no manifest, Unavailable when the store fails.
        """
        _finished(generation, directory)
        base = f"{self._root}/{_checked(generation)}"
        files = sorted(path for path in directory.rglob("*") if path.is_file())
        files.sort(key=lambda path: path == directory / MANIFEST)
        try:
            if self._fs.exists(f"{base}/{MANIFEST}"):
                return
            for path in files:
                remote = f"{base}/{path.relative_to(directory).as_posix()}"
                self._fs.makedirs(remote.rsplit("/", 1)[0], exist_ok=True)
                self._fs.put_file(str(path), remote)
        except OSError as error:
            raise Unavailable(f"{self._where} did not take {generation}: {error}") from error

    def get(self, generation: str) -> Path:
        """A cached copy. Raises GenerationRefused if unknown, Unavailable if out of reach."""
        if generation not in self._cache.generations():
            self._download(generation)
        return self._cache.get(generation)

    def generations(self) -> list[str]:
        """Every finished generation's id, oldest first. Raises Unavailable."""
        try:
            self._fs.invalidate_cache()
            found = self._fs.glob(f"{self._root}/*/{MANIFEST}")
        except OSError as error:
            raise Unavailable(f"{self._where} did not answer: {error}") from error
        return sorted(str(path).rsplit("/", 2)[1] for path in found)

    def _download(self, generation: str) -> None:
        base = f"{self._root}/{_checked(generation)}"
        aside = self._cache.root / f"{INCOMING}{generation}-{uuid.uuid4().hex}"
        try:
            if not self._fs.exists(f"{base}/{MANIFEST}"):
                raise GenerationRefused(f"{generation} is not in the registry {self._where}")
            for remote in self._fs.find(base):
                local = aside / str(remote).removeprefix(base).lstrip("/")
                local.parent.mkdir(parents=True, exist_ok=True)
                self._fs.get_file(remote, str(local))
            self._cache.put(generation, aside)
        except OSError as error:
            raise Unavailable(f"{self._where} did not give {generation}: {error}") from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def open_registry(url: str, cache: Path) -> DirectoryRegistry | ObjectRegistry:
    """The registry at a path or an fsspec URL; ``cache`` keeps copies of remote generations."""
    filesystem, root = fsspec.core.url_to_fs(url)
    if isinstance(filesystem, LocalFileSystem):
        return DirectoryRegistry(Path(root))
    return ObjectRegistry(filesystem, root, cache, url)


def _checked(generation: str) -> str:
    if not ID.fullmatch(generation):
        raise GenerationRefused(f"{generation!r} is no generation id")
    return generation


def _finished(generation: str, directory: Path) -> None:
    if not (directory / MANIFEST).is_file():
        raise GenerationRefused(f"{generation}: {directory} has no {MANIFEST}; it is not finished")


def _rename_unless_there(aside: Path, target: Path) -> None:
    try:
        aside.rename(target)
    except OSError:
        if not (target / MANIFEST).is_file():  # otherwise another writer was first: same digest
            raise
