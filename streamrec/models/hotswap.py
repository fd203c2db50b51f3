"""The generations a worker holds in memory, one of them active.

Knows how a generation becomes ready beside the active one, and how little is left to do
then: flip one reference. Does not know Kafka, when to swap, or how a model ranks (the
caller's ``make`` turns checked weights and an index into one).

Staging, in this order; a failure at any step leaves everything as it was:

1. Read and check every file (``generation.read_generation``).
2. Put the adapter's weights on the shared frozen base, aside, and see that they make the
   encoder version the manifest names: settings that differ between workers show here.
3. Encode the catalogue, unless a warm generation has the same vectors already (a fast-lane
   generation shares its encoder version and costs nothing here).
4. Make the model and add it to the warm ones.

Safe to call from several threads: stage in the background, serve and flip in front.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from streamrec.errors import GenerationRefused
from streamrec.models.encoder import TextEncoder
from streamrec.models.generation import Expectations, Generation, read_generation
from streamrec.models.item_index import ItemIndex, Rows, item_text

Model = TypeVar("Model")


@dataclass(frozen=True, slots=True)
class _Warm(Generic[Model]):
    generation: str
    model: Model
    index: ItemIndex


class WarmGenerations(Generic[Model]):
    """Warm generations and the active one; ``ports.HotSwap`` for ``Model = ServingModel``."""

    def __init__(
        self,
        encoder: TextEncoder,
        expected: Expectations,
        make: Callable[[Generation, ItemIndex], Model],
    ) -> None:
        """``make`` must not keep the generation's tensors for writing: they are shared."""
        self._encoder = encoder
        self._expected = expected
        self._make = make
        self._warm: dict[str, _Warm[Model]] = {}
        self._active: _Warm[Model] | None = None
        self._lock = threading.Lock()  # guards _warm and _active; never held while working
        self._staging = threading.Lock()  # one generation is built at a time

    @property
    def active(self) -> Model | None:
        """What answers now. Take it once per micro-batch and finish the batch with it."""
        active = self._active
        return active.model if active else None

    @property
    def warm(self) -> tuple[str, ...]:
        """Generations that can be activated at once, oldest staged first."""
        with self._lock:
            return tuple(self._warm)

    def stage(self, generation: str, directory: Path, catalogue: Rows) -> None:
        """Make a generation ready beside the active one; free when it is warm already.

        Raises:
            GenerationRefused: it fails a check, or gives values that are not finite.
        """
        with self._staging:
            if self.is_warm(generation):
                return
            read = read_generation(directory, self._expected)
            if read.manifest.generation != generation:
                raise GenerationRefused(
                    f"{directory} says it is {read.manifest.generation}, not {generation}"
                )
            index = self._index_for(read)
            index.ensure(catalogue)
            ready = _Warm(generation, self._make(read, index), index)
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
            self._active = ready

    def keep(self, generations: Sequence[str]) -> None:
        """Forget warm generations that are neither named here nor active."""
        with self._lock:
            kept = {*generations, self._active.generation if self._active else ""}
            self._warm = {name: warm for name, warm in self._warm.items() if name in kept}

    def ensure(self, catalogue: Rows) -> int:
        """Encode new and changed items for every warm generation; returns how many.

        Before there is one, what every generation's encoding begins with: the layers that no
        adapter changes.
        """
        with self._lock:
            indexes = {id(warm.index): warm.index for warm in self._warm.values()}
        if not indexes:
            texts = (item_text(catalogue.item(row)) for row in range(len(catalogue)))
            self._encoder.warm([text for text in texts if text])
        return sum(index.ensure(catalogue) for index in indexes.values())

    def _index_for(self, read: Generation) -> ItemIndex:
        """The index of a warm generation with the same vectors, or an empty new one."""
        encoder = self._encoder.with_adapter(read.adapter)
        if encoder.encoder_version != read.manifest.encoder_version:
            raise GenerationRefused(
                f"{read.manifest.generation} was made for encoder version "
                f"{read.manifest.encoder_version}; our settings make {encoder.encoder_version} of "
                "its weights: STREAMREC_ENCODER_* must be the same in every worker"
            )
        fresh = ItemIndex(encoder, read.centre)
        with self._lock:
            warm = [one.index for one in self._warm.values()]
        return next((index for index in warm if index.key == fresh.key), fresh)
