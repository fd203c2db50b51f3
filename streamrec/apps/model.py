"""The model that learns, put together, and what seals its generations. Loads torch.

Knows which settings shape the weights, and that they stand in every manifest.
"""

from __future__ import annotations

import logging
import typing
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from streamrec.apps import trust
from streamrec.core.release.manifest import Manifest
from streamrec.core.release.weight_shape import Shape, changes, shape_of
from streamrec.core.state.catalogue import Catalogue
from streamrec.errors import GenerationRefused, UserError
from streamrec.models.adapted_model import AdaptedModel
from streamrec.models.data_parallel import Ranks
from streamrec.models.encoder import TextEncoder
from streamrec.models.encoder_shapes import EncoderShapes
from streamrec.models.generation import read_generation
from streamrec.models.item_index import ItemIndex
from streamrec.models.loading import load_encoder
from streamrec.models.lora import Adapt, adapt
from streamrec.models.vector_cache import VectorCache
from streamrec.ports import NewStart, RegistryStore
from streamrec.settings import EncoderSettings, Settings, known_now
from streamrec.tasks.ranking.features import FEATURE_SET
from streamrec.tasks.ranking.model.config import learner_config
from streamrec.tasks.ranking.model.generations import ModelGenerations
from streamrec.tasks.ranking.model.learner import LearnerConfig, OnlineLearner
from streamrec.tasks.ranking.model.served import head_expectations

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Model:
    """A language model, and what learns on it. Close the learner in the end."""

    settings: Settings
    encoder: TextEncoder
    catalogue: Catalogue  # the learner's own
    learner: OnlineLearner

    def start_from(self, store: RegistryStore, generation: str) -> None:
        """Take the weights of a generation; a checkpoint, if any, replaces them.

        Raises:
            UserError: it is not in the registry, or was made for another model or version.
        """
        expected = head_expectations(self.encoder, trust.signers(self.settings))
        try:
            read = read_generation(store.get(generation), expected)
            self.learner.start_from(read)
        except GenerationRefused as error:
            raise UserError(f"STREAMREC_TRAINER_START_FROM={generation}: {error}") from error
        log.info("starting from %s, made %s", generation, read.manifest.training)

    def begin_from(self, directory: Path) -> None:
        """Take the weights of a finished generation; of another shape, its head alone.

        Raises GenerationRefused.
        """
        read, _ = self.generations().read(directory)
        if changes(shape_of(read.manifest), self.shape):
            self.learner.start_from_head(read)
        else:
            self.learner.start_from(read)

    @property
    def shape(self) -> Shape:
        """Of its weights."""
        return EncoderShapes(self.encoder, self.settings.encoder).shape(FEATURE_SET)

    @property
    def new_start(self) -> NewStart:
        """How it begins where it cannot resume."""
        return NewStart(self.shape, self.learner.carry_over, self.begin_from)

    def generations(self, more: Mapping[str, Any] | None = None) -> ModelGenerations:
        """What seals and reads its generations; ``more`` stands beside their settings."""
        return ModelGenerations(
            self.encoder,
            self.catalogue,
            recorded(self.settings) | dict(more or {}),
            self.learner.indexes,
            signer=trust.signer(self.settings),
            signers=trust.signers(self.settings),
            encoder_settings=self.settings.encoder,
        )


def load_model(
    settings: Settings,
    ranks: Ranks | None = None,
    *,
    change: Callable[[LearnerConfig], LearnerConfig] = lambda config: config,
    method: Adapt = adapt,
    kept: VectorCache | None = None,
) -> Model:
    """Untrained, with an empty catalogue.

    ``change``: of how it learns; ``method``: puts the adapter on; ``kept``: vectors on disk.

    Raises EncoderUnavailable, SettingsError when the language model cannot be made.
    """
    log.info("loading the language model %s", settings.encoder.model)
    encoder, catalogue = load_encoder(settings.encoder, method=method, kept=kept), Catalogue()
    config = change(learner_config(settings, encoder))
    index, seed = ItemIndex(encoder), settings.trainer.seed
    learner = OnlineLearner(catalogue, index, seed, config, encoder, ranks=ranks)
    return Model(settings, encoder, catalogue, learner)


def recorded(settings: Settings) -> dict[str, Any]:
    """The settings that a generation's manifest keeps: what shaped it, no secret, no host."""
    encoder, trainer = asdict(settings.encoder), asdict(settings.trainer)
    for name in ("device", "threads", "cache_mb"):
        encoder.pop(name, None)
    for name in ("tensorboard_dir", "tracker"):
        trainer.pop(name, None)
    learning, ingest = asdict(settings.learning), asdict(settings.ingest)
    return {"encoder": encoder, "learning": learning, "trainer": trainer, "ingest": ingest}


GROUPS = ("encoder", "learning", "trainer")
"""Of the settings in a manifest, those that the weights depend on."""


def load_again(settings: Settings, manifest: Manifest, load: Callable[[Settings], Model]) -> Model:
    """Untrained, with today's servers and directories and the learner's settings of the manifest.

    Raises UserError when the manifest names settings or a language model that are not here.
    """
    then = settings_then(settings, manifest)
    model = load(then)
    try:
        check_base(model.encoder, manifest)
    except UserError:
        model.learner.close()
        raise
    return model


def check_base(model: AdaptedModel, manifest: Manifest) -> None:
    """Raises UserError unless it stands on the weights that the manifest's generation stood on."""
    found, wanted = model.base_digest, manifest.base_digest
    if found != wanted:
        raise UserError(
            f"{model.base_name} is not the model that {manifest.generation} was trained on "
            f"({found[:12]}, then {wanted[:12]})"
        )


def settings_then(settings: Settings, manifest: Manifest) -> Settings:
    """Today's servers and directories with the learner's settings of the manifest.

    Raises UserError when the manifest names settings that this version does not have.
    """
    made = manifest.training.get("made_with", {})
    groups = {
        name: _restored(getattr(settings, name), known_now(name, manifest.settings.get(name, {})))
        for name in GROUPS
    }
    encoder: EncoderSettings = groups["encoder"]
    if str(made.get("threads", "")).isdigit():
        groups["encoder"] = replace(encoder, threads=int(made["threads"]))
    return replace(settings, **groups)


def _restored(group: Any, recorded: Mapping[str, Any]) -> Any:
    hints = typing.get_type_hints(type(group))
    unknown = recorded.keys() - {spec.name for spec in fields(group)}
    if unknown:
        raise UserError(
            f"the manifest names settings that this version does not have ({sorted(unknown)}): "
            "use the version it was made with"
        )
    return replace(group, **{name: _kind(hints[name], value) for name, value in recorded.items()})


def _kind(kind: Any, value: Any) -> Any:
    if not (isinstance(kind, type) and issubclass(kind, StrEnum)):
        return value
    try:
        return kind(value)
    except ValueError:
        raise UserError(f"{value} is not offered here: use the version it was made with") from None
