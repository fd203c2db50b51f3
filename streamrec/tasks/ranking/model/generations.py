"""Weight files to finished generations, and finished generations to scorers of examples.

Knows the manifest's fields and how far weights moved. Does not know when a generation is made or
released (``loop.training.candidates``), how the files are checked
(``models.generation``), nor how they were learned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from streamrec.core.examples import FloatArray
from streamrec.core.release.manifest import Manifest
from streamrec.core.state.catalogue import Catalogue
from streamrec.models.encoder import TextEncoder
from streamrec.models.encoder_shapes import EncoderShapes
from streamrec.models.generation import (
    CENTRE,
    Generation,
    read_generation,
    read_manifest,
    seal_adapter,
    with_adapter_of,
)
from streamrec.models.item_index import ItemIndex
from streamrec.models.signing import EVERYBODY, Signer, Signers
from streamrec.models.weight_changes import update_norms
from streamrec.ports import Provenance, Sealed
from streamrec.settings import EncoderSettings
from streamrec.tasks.ranking.examples import RankingExample
from streamrec.tasks.ranking.features import FEATURE_SET
from streamrec.tasks.ranking.model.head import INPUTS, Head
from streamrec.tasks.ranking.model.ranker import Ranker
from streamrec.tasks.ranking.model.served import fitting, head_of

MOMENTS = frozenset({"mean_D", "deviation_D", CENTRE})
"""What follows the data, not the gradient: it may move far and mean nothing."""


class GenerationScorer:
    """``ports.Scorer`` of a finished generation, over an index that follows the catalogue."""

    def __init__(self, head: Head, index: ItemIndex, catalogue: Catalogue) -> None:
        self._index = index
        self._catalogue = catalogue
        self._ranker = Ranker(head, index.dots, catalogue, index.encode_queries)

    def score(self, examples: Sequence[RankingExample]) -> list[FloatArray]:
        """P(accept | shown) of each example's candidates: one (C,) array each."""
        self._index.ensure(self._catalogue)
        if self._ranker.dots is not self._index.dots:
            old = self._ranker
            self._ranker = Ranker(old.head, self._index.dots, self._catalogue, old.encode)
        return self._ranker.score(examples)


class ModelGenerations:
    """``ports.Generations`` over one frozen base.

    ``shared``: indexes that exist already; one with the same vectors is used, not built.
    ``signer`` signs what is sealed; ``signers`` are those whose generations are loaded.
    """

    def __init__(
        self,
        encoder: TextEncoder,
        catalogue: Catalogue,
        settings: Mapping[str, Any],
        shared: Callable[[], Sequence[ItemIndex]] = lambda: (),
        *,
        signer: Signer | None = None,
        signers: Signers = EVERYBODY,
        encoder_settings: EncoderSettings | None = None,
    ) -> None:
        """``encoder_settings``: with them, generations of other settings are scored too."""
        self._encoder = encoder
        self._catalogue = catalogue
        self._settings = settings
        self._shared = shared
        self._signer = signer
        self._signers = signers
        self._shapes = EncoderShapes(encoder, encoder_settings)

    def seal(self, directory: Path, provenance: Provenance) -> Sealed:
        """Write the manifest; the directory is finished. Raises GenerationRefused."""
        return seal_adapter(
            directory,
            provenance,
            self._encoder,
            self._signer,
            feature_set=FEATURE_SET,
            settings=self._settings,
            inputs=INPUTS,
        )

    def scorer(self, directory: Path) -> GenerationScorer:
        """Check and load a finished generation. Raises GenerationRefused."""
        read, encoder = self.read(directory)
        head = head_of(read)
        own = ItemIndex(encoder, read.centre)
        index = next((index for index in self._shared() if index.key == own.key), own)
        index.ensure(self._catalogue)
        return GenerationScorer(head, index, self._catalogue)

    def read(self, directory: Path) -> tuple[Generation, TextEncoder]:
        """Every byte checked, and the encoder with its adapter. Raises GenerationRefused."""
        base, expected = fitting(self._shapes, self._signers)(
            read_manifest(directory, self._signers)
        )
        read = read_generation(directory, expected)
        return read, with_adapter_of(read, base)

    def norms(self, directory: Path, champion: Path | None) -> Mapping[str, float]:
        """‖candidate - champion‖ / ‖champion‖ of each weight file; nothing without a champion,
        or to one of another shape.

        Raises GenerationRefused when a file cannot be read.
        """
        if champion is None or self._differs(read_manifest(champion)):
            return {}
        return update_norms(directory, champion, MOMENTS)

    def _differs(self, manifest: Manifest) -> bool:
        return manifest.feature_set != FEATURE_SET or bool(self._shapes.changed(manifest))
