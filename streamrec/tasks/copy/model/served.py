"""A checked generation of copy where lists are made: the priors of items' wordings, kept ready.

Knows how weights and a catalogue become priors. Does not know which generation is the champion, or
what a prior is drawn with (``core.variants.traffic``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from streamrec.core.events import Item, Variant
from streamrec.core.release.manifest import Manifest
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.variants.beta import BetaPrior
from streamrec.errors import GenerationRefused
from streamrec.models.encoder import TextEncoder
from streamrec.models.generation import Expectations, read_generation
from streamrec.models.hotswap import Loaded, WarmGenerations
from streamrec.models.signing import EVERYBODY, Signers
from streamrec.tasks.copy.examples import variant_text
from streamrec.tasks.copy.model.generations import copy_expectations, scorer_of
from streamrec.tasks.copy.model.learner import CopyScorer, FrozenVectors

Known = tuple[tuple[Variant, ...], Sequence[BetaPrior]]


class ServedPriors:
    """``ports.ServingModel``. One thread calls ``ensure``, another ``priors_of``."""

    def __init__(self, manifest: Manifest, scorer: CopyScorer) -> None:
        self._manifest, self._scorer = manifest, scorer
        self._known: dict[str, Known] = {}
        self._seen = -1  # catalogue version

    @property
    def generation(self) -> str:
        return self._manifest.generation

    @property
    def trained_through(self) -> Mapping[str, int]:
        """Source partition (as text) -> next offset it was not trained on."""
        return self._manifest.trained_through

    def priors_of(self, item: Item) -> Sequence[BetaPrior] | None:
        """Of each of its wordings; None while they have not been read."""
        found = self._known.get(item.item_id)
        return found[1] if found is not None and found[0] == item.variants else None

    def ensure(self, catalogue: Catalogue) -> int:
        """Read new and changed wordings; returns of how many items. Raises GenerationRefused."""
        version = catalogue.version
        if version == self._seen:
            return 0
        rows = range(len(catalogue))
        items = [item for item in map(catalogue.item, rows) if len(item.variants) > 1]
        new = [item for item in items if self.priors_of(item) is None]
        former, read = self._known, self._read(new)
        self._known = {
            item.item_id: read.get(item.item_id) or former[item.item_id] for item in items
        }
        self._seen = version
        return len(new)

    def _read(self, items: Sequence[Item]) -> dict[str, Known]:
        texts = [variant_text(one.title, one.text) for item in items for one in item.variants]
        found = self._scorer.priors(texts)
        if not all(math.isfinite(one.mean) and math.isfinite(one.strength) for one in found):
            raise GenerationRefused(f"{self.generation} gives priors that are not finite")
        priors = iter(found)
        return {i.item_id: (i.variants, [next(priors) for _ in i.variants]) for i in items}


class _Base(NamedTuple):
    encoder: TextEncoder
    frozen: FrozenVectors
    expected: Expectations


def served_priors(
    load_encoder: Callable[[], TextEncoder], hidden: int, signers: Signers = EVERYBODY
) -> WarmGenerations[ServedPriors]:
    """Copy's generations. The language model is loaded with the first: most have none."""

    @cache
    def base() -> _Base:
        encoder = load_encoder()
        frozen = FrozenVectors(encoder.with_adapter())
        return _Base(encoder, frozen, copy_expectations(encoder, hidden, signers))

    def load(
        generation: str, directory: Path, catalogue: Catalogue, _warm: Sequence[Loaded[Any]]
    ) -> Loaded[ServedPriors]:
        encoder, frozen, expected = base()
        read = read_generation(directory, expected)
        if read.manifest.generation != generation:
            raise GenerationRefused(
                f"{directory} says it is {read.manifest.generation}, not {generation}"
            )
        made = ServedPriors(read.manifest, scorer_of(read, encoder, frozen, hidden))
        made.ensure(catalogue)
        return Loaded(made, made)

    return WarmGenerations(load)
