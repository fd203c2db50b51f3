"""Copy's generations: an adapter, a head and what turns scores into priors, sealed and checked.

Knows the files and the manifest. Does not know when one is made or released.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from streamrec.models.encoder import TextEncoder
from streamrec.models.generation import (
    CENTRE,
    Expectations,
    Generation,
    expectations,
    read_generation,
    seal_adapter,
    with_adapter_of,
)
from streamrec.models.signing import EVERYBODY, Signer, Signers
from streamrec.models.state_dicts import named, under
from streamrec.models.weight_changes import update_norms
from streamrec.ports import Provenance, Sealed
from streamrec.tasks.copy.examples import FEATURE_SET
from streamrec.tasks.copy.model.learner import CopyScorer, FrozenVectors
from streamrec.tasks.copy.model.prior_head import ClickLevel, PriorHead

FOLLOWING = frozenset({CENTRE, *(f"level.{name}" for name in asdict(ClickLevel()))})
"""What follows the data, not the gradient."""


class CopyGenerations:
    """``ports.Generations`` over one frozen base."""

    def __init__(
        self,
        encoder: TextEncoder,
        frozen: FrozenVectors,
        hidden: int,
        settings: Mapping[str, Any],
        *,
        signer: Signer | None = None,
        signers: Signers = EVERYBODY,
    ) -> None:
        """``hidden``: units of the head. ``settings``: kept in every manifest."""
        self._encoder, self._frozen, self._hidden = encoder, frozen, hidden
        self._settings, self._signer = settings, signer
        self._expected = copy_expectations(encoder, hidden, signers)

    def seal(self, directory: Path, provenance: Provenance) -> Sealed:
        """Write the manifest; the directory is finished. Raises GenerationRefused."""
        return seal_adapter(
            directory,
            provenance,
            self._encoder,
            self._signer,
            feature_set=FEATURE_SET,
            settings=self._settings,
        )

    def scorer(self, directory: Path) -> CopyScorer:
        """Check and load a finished generation. Raises GenerationRefused."""
        read = read_generation(directory, self._expected)
        return scorer_of(read, self._encoder, self._frozen, self._hidden)

    def norms(self, directory: Path, champion: Path | None) -> Mapping[str, float]:
        """How far weights moved, relative, by file. Raises GenerationRefused."""
        if champion is None:
            return {}
        return update_norms(directory, champion, FOLLOWING)


def scorer_of(
    read: Generation, encoder: TextEncoder, frozen: FrozenVectors, hidden: int
) -> CopyScorer:
    """What a checked generation says of texts. Raises GenerationRefused."""
    adapted = with_adapter_of(read, encoder)
    head = PriorHead(encoder.dim, hidden)
    head.load_state_dict(under("head", read.head))
    head.requires_grad_(requires_grad=False)
    level = {name: float(value) for name, value in under("level", read.head).items()}
    return CopyScorer(frozen, adapted, head, ClickLevel(**level))


def copy_expectations(
    encoder: TextEncoder, hidden: int, signers: Signers = EVERYBODY
) -> Expectations:
    """What this version's encoder and head can run."""
    head = named("head", PriorHead(encoder.dim, hidden).state_dict())
    shapes = {name: tuple(tensor.shape) for name, tensor in head.items()}
    shapes |= {f"level.{name}": () for name in asdict(ClickLevel())}
    return expectations(encoder, FEATURE_SET, shapes, signers)
