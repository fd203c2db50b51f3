"""Replies' generations: an adapter, the one it started from, a bandit; sealed and checked.

Knows the files and the manifest. Does not know when one is made or released.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from streamrec.core.replies.plan_bandit import PlanBandit
from streamrec.errors import GenerationRefused
from streamrec.models.causal import CausalModel
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
from streamrec.tasks.replies.examples import FEATURE_SET
from streamrec.tasks.replies.model.scorer import RepliesScorer, bandit_of, bandit_tensors


class RepliesGenerations:
    """``ports.Generations`` over one frozen base."""

    def __init__(
        self,
        model: CausalModel,
        settings: Mapping[str, Any],
        *,
        signer: Signer | None = None,
        signers: Signers = EVERYBODY,
    ) -> None:
        """``settings``: kept in every manifest."""
        self._model, self._settings, self._signer = model, settings, signer
        self._expected = replies_expectations(model, signers)
        adapter = model.adapter_state()
        self._following = frozenset(
            {CENTRE, *named("start", adapter), *bandit_tensors(PlanBandit())}
        )

    def seal(self, directory: Path, provenance: Provenance) -> Sealed:
        """Write the manifest; the directory is finished. Raises GenerationRefused."""
        return seal_adapter(
            directory,
            provenance,
            self._model,
            self._signer,
            feature_set=FEATURE_SET,
            settings=self._settings,
        )

    def read(self, directory: Path) -> Generation:
        """Check and read a finished generation. Raises GenerationRefused."""
        return read_generation(directory, self._expected)

    def scorer(self, directory: Path) -> RepliesScorer:
        """Check and load a finished generation. Raises GenerationRefused."""
        read = self.read(directory)
        model = with_adapter_of(read, self._model)
        return RepliesScorer(model, model.with_adapter(start_of(read)), believed(read))

    def norms(self, directory: Path, champion: Path | None) -> Mapping[str, float]:
        """How far weights moved, relative, by file. Raises GenerationRefused."""
        if champion is None:
            return {}
        return update_norms(directory, champion, self._following)


def believed(read: Generation) -> PlanBandit:
    """What a checked generation believes of plans. Raises GenerationRefused."""
    try:
        return bandit_of(read.head)
    except (KeyError, ValueError) as error:
        raise GenerationRefused(
            f"{read.manifest.generation}: its bandit is none: {error}"
        ) from None


def start_of(read: Generation) -> dict[str, Tensor]:
    """The adapter that its learning started from."""
    return under("start", read.head)


def replies_expectations(model: CausalModel, signers: Signers = EVERYBODY) -> Expectations:
    """What this version and this model can run."""
    head = named("start", model.adapter_state()) | bandit_tensors(PlanBandit())
    shapes = {name: tuple(tensor.shape) for name, tensor in head.items()}
    return expectations(model, FEATURE_SET, shapes, signers)
