"""Generations are what the control log says they are, or they are not loaded.

Knows the manifest digests that control records carry, as far as their reader has seen them. The
manifest names the digests of all files, which ``models.generation`` checks: together
a store that was changed behind the log is refused. Does not know signatures: those say who made
a generation, the log says which one was meant.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from streamrec.core.release.registry import ControlRecord
from streamrec.errors import GenerationRefused
from streamrec.ports import RegistryStore

MANIFEST = "manifest.json"


class AttestedStore:
    """A ``ports.RegistryStore`` that hands out nothing the log contradicts.

    One thread notes, any number asks. A generation whose records carry no digest (an
    operator's, or compacted away) is handed out as the store has it.
    """

    def __init__(self, store: RegistryStore) -> None:
        self._store = store
        self._digests: dict[str, str] = {}

    def note(self, record: ControlRecord) -> None:
        """Take in one more accepted record. The first digest of a generation counts."""
        if record.generation and record.digest:
            self._digests.setdefault(record.generation, record.digest)

    def get(self, generation: str) -> Path:
        """Raises GenerationRefused if unknown, or not what the log says."""
        directory = self._store.get(generation)
        wanted = self._digests.get(generation)
        if wanted is None:
            return directory
        try:
            found = hashlib.sha256((directory / MANIFEST).read_bytes()).hexdigest()
        except OSError as error:
            raise GenerationRefused(f"{generation}: {MANIFEST} cannot be read: {error}") from error
        if found != wanted:
            raise GenerationRefused(
                f"{generation} was changed in the registry behind the control log: its manifest "
                f"has digest {found[:16]}…, released was {wanted[:16]}…. Restore it, or "
                "`streamrec adapters rollback`"
            )
        return directory

    def put(self, generation: str, directory: Path) -> None:
        self._store.put(generation, directory)

    def generations(self) -> list[str]:
        return self._store.generations()
