"""Generations that answer, and their swap. What an answer is, is the task's (``ports.task``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from streamrec.core.state.catalogue import Catalogue


class ServingModel(Protocol):
    """One generation, whole and checked, ready to answer. Its weights never change."""

    @property
    def generation(self) -> str: ...

    @property
    def trained_through(self) -> Mapping[str, int]:
        """Source partition (as text) -> next offset it was not trained on."""
        ...


class HotSwap(Protocol):
    """The generations a serving worker holds in memory. Safe to call from several threads."""

    @property
    def active(self) -> ServingModel | None: ...

    def stage(self, generation: str, directory: Path, catalogue: Catalogue) -> None:
        """Check and load it whole and encode the catalogue, beside what is active.

        May take seconds; repeating it for a warm generation is free. Raises GenerationRefused.
        """
        ...

    def is_warm(self, generation: str) -> bool:
        """Whether ``activate`` would succeed at once."""
        ...

    def model(self, generation: str) -> ServingModel | None:
        """A warm generation, active or not; None when it is not warm."""
        ...

    def activate(self, generation: str) -> None:
        """Flip one reference. Raises GenerationRefused when it is not warm."""
        ...

    def keep(self, generations: Sequence[str]) -> None:
        """Forget warm generations that are neither named here nor active."""
        ...

    def ensure(self, catalogue: Catalogue) -> int:
        """Encode new and changed items for every warm generation; returns how many."""
        ...
