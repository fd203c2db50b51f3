"""A registry store whose generations are the directories that were handed in."""

from __future__ import annotations

import shutil
from pathlib import Path

from streamrec.errors import GenerationRefused


class FakeRegistryStore:
    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, generation: str, directory: Path) -> None:
        if not (directory / "manifest.json").is_file():
            raise GenerationRefused(f"{generation} is not finished")
        if "/" in generation or generation.startswith("."):
            raise GenerationRefused(f"{generation!r} is no generation id")
        if not (self.root / generation).exists():
            shutil.copytree(directory, self.root / generation)

    def get(self, generation: str) -> Path:
        if generation not in self.generations():
            raise GenerationRefused(f"{generation} is not in the registry")
        return self.root / generation

    def generations(self) -> list[str]:
        return sorted(path.name for path in self.root.iterdir()) if self.root.exists() else []
