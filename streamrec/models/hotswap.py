"""The generations a worker holds in memory, one of them active.

Knows how a generation becomes ready beside the active one, and how little is left to do
then: flip one reference. Does not know Kafka, when to swap, or how a model ranks (the
caller's ``make`` turns checked weights and an index into one).

Staging, in this order; a failure at any step leaves everything as it was:

1. Find what its weights belong on (``Fit``), then read and check every file
   (``generation.read_generation``).
2. Put the adapter's weights on the frozen base, aside, and see that they make the
   encoder version the manifest names.
3. Encode the catalogue, unless a warm generation has the same vectors already (a fast-lane
   generation shares its encoder version and costs nothing here).
4. Make the model and add it to the warm ones.

Safe to call from several threads: stage in the background, serve and flip in front.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from streamrec.core.release.manifest import Manifest
from streamrec.core.state.catalogue import Catalogue
from streamrec.errors import GenerationRefused
from streamrec.models.encoder import TextEncoder
from streamrec.models.generation import (
    Expectations,
    Generation,
    read_generation,
    read_manifest,
    with_adapter_of,
)
from streamrec.models.item_index import ItemIndex, item_text
from streamrec.models.signing import Signers

Model = TypeVar("Model")


@dataclass(frozen=True, slots=True)
class Loaded(Generic[Model]):
    """A generation that was checked, in memory. ``index``: None where nothing follows items."""

    model: Model
    index: Any = None  # ``ensure(catalogue)`` takes in new and changed items, and says how many


Load = Callable[[str, Path, Catalogue, Sequence[Loaded[Any]]], Loaded[Model]]
"""A generation's name, its directory, the catalogue, and what is warm. Raises GenerationRefused."""


class WarmGenerations(Generic[Model]):
    """Warm generations and the active one; ``ports.HotSwap`` for ``Model = ServingModel``."""

    def __init__(
        self, load: Load[Model], idle: Callable[[Catalogue], object] = lambda _: None
    ) -> None:
        """``idle``: what can be done ahead while there is no generation."""
        self._load = load
        self._idle = idle
        self._warm: dict[str, Loaded[Model]] = {}
        self._active: tuple[str, Model] | None = None
        self._lock = threading.Lock()  # guards _warm and _active; never held while working
        self._staging = threading.Lock()  # one generation is built at a time

    @property
    def active(self) -> Model | None:
        """What answers now. Take it once per micro-batch and finish the batch with it."""
        active = self._active
        return active[1] if active else None

    @property
    def warm(self) -> tuple[str, ...]:
        """Generations that can be activated at once, oldest staged first."""
        with self._lock:
            return tuple(self._warm)

    def stage(self, generation: str, directory: Path, catalogue: Catalogue) -> None:
        """Make a generation ready beside the active one; free when it is warm already.

        Raises:
            GenerationRefused: it fails a check, or gives values that are not finite.
        """
        with self._staging:
            with self._lock:
                if generation in self._warm:
                    return
                others = list(self._warm.values())
            ready = self._load(generation, directory, catalogue, others)
            with self._lock:
                self._warm[generation] = ready

    def is_warm(self, generation: str) -> bool:
        with self._lock:
            return generation in self._warm

    def model(self, generation: str) -> Model | None:
        """A warm generation, active or not; None when it is not warm."""
        with self._lock:
            warm = self._warm.get(generation)
        return warm.model if warm else None

    def activate(self, generation: str) -> None:
        """Flip to a warm generation. Raises GenerationRefused, unchanged, when it is not."""
        with self._lock:
            ready = self._warm.get(generation)
            if ready is None:
                raise GenerationRefused(f"{generation} is not loaded: stage it first")
            self._active = generation, ready.model

    def keep(self, generations: Sequence[str]) -> None:
        """Forget warm generations that are neither named here nor active."""
        with self._lock:
            kept = {*generations, self._active[0] if self._active else ""}
            self._warm = {name: warm for name, warm in self._warm.items() if name in kept}

    def ensure(self, catalogue: Catalogue) -> int:
        """Take in new and changed items for every warm generation; returns how many."""
        with self._lock:
            warm = list(self._warm.values())
        if not warm:
            self._idle(catalogue)
        indexes = {id(one.index): one.index for one in warm if one.index is not None}
        return sum(index.ensure(catalogue) for index in indexes.values())


Fit = Callable[[Manifest], tuple[TextEncoder, Expectations]]
"""What a generation's weights belong on, and what they must be. Raises GenerationRefused."""


def encoded(
    fit: Fit, signers: Signers, make: Callable[[Generation, ItemIndex], Model]
) -> Load[Model]:
    """How a generation over a frozen base is loaded: steps 1 to 4 of the module.

    ``make`` must not keep the generation's tensors for writing: they are shared.
    """

    def load(
        generation: str, directory: Path, catalogue: Catalogue, warm: Sequence[Loaded[Any]]
    ) -> Loaded[Model]:
        encoder, expected = fit(read_manifest(directory, signers))
        read = read_generation(directory, expected)
        if read.manifest.generation != generation:
            raise GenerationRefused(
                f"{directory} says it is {read.manifest.generation}, not {generation}"
            )
        index = _index_for(encoder, read, [one.index for one in warm])
        index.ensure(catalogue)
        return Loaded(make(read, index), index)

    return load


def encoded_generations(
    encoder: TextEncoder,
    expected: Expectations,
    make: Callable[[Generation, ItemIndex], Model],
    fit: Fit | None = None,
) -> WarmGenerations[Model]:
    """Of one frozen base, which goes ahead with the catalogue while there is no generation.

    ``fit``: for generations of other shapes; without it there are none.
    """
    load = encoded(fit or (lambda _: (encoder, expected)), expected.signers, make)
    return WarmGenerations(load, partial(ahead, encoder))


def ahead(encoder: TextEncoder, catalogue: Catalogue) -> None:
    """What every generation's encoding begins with: the layers that no adapter changes."""
    texts = (item_text(catalogue.item(row)) for row in range(len(catalogue)))
    encoder.warm([text for text in texts if text])


def _index_for(encoder: TextEncoder, read: Generation, warm: Sequence[ItemIndex]) -> ItemIndex:
    """The index of a warm generation with the same vectors, or an empty new one."""
    fresh = ItemIndex(with_adapter_of(read, encoder), read.centre)
    return next((index for index in warm if index.key == fresh.key), fresh)
