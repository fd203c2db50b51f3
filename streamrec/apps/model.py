"""The model that learns, put together, and what seals its generations. Loads torch.

Knows which settings shape the weights, and that they stand in every manifest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from streamrec.apps import trust
from streamrec.core.state.catalogue import Catalogue
from streamrec.errors import GenerationRefused, UserError
from streamrec.models.data_parallel import Ranks
from streamrec.models.encoder import TextEncoder
from streamrec.models.generation import read_generation
from streamrec.models.item_index import ItemIndex
from streamrec.models.loading import load_encoder
from streamrec.models.lora import Adapt, adapt
from streamrec.ports import RegistryStore
from streamrec.settings import Settings
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

    def generations(self, more: Mapping[str, Any] | None = None) -> ModelGenerations:
        """What seals and reads its generations; ``more`` stands beside their settings."""
        return ModelGenerations(
            self.encoder,
            self.catalogue,
            recorded(self.settings) | dict(more or {}),
            self.learner.indexes,
            signer=trust.signer(self.settings),
            signers=trust.signers(self.settings),
        )


def load_model(
    settings: Settings,
    ranks: Ranks | None = None,
    *,
    change: Callable[[LearnerConfig], LearnerConfig] = lambda config: config,
    method: Adapt = adapt,
) -> Model:
    """Untrained, with an empty catalogue.

    ``change``: of how it learns; ``method``: puts the adapter on.

    Raises EncoderUnavailable, SettingsError when the language model cannot be made.
    """
    log.info("loading the language model %s", settings.encoder.model)
    encoder, catalogue = load_encoder(settings.encoder, method=method), Catalogue()
    config = change(learner_config(settings, encoder))
    index, seed = ItemIndex(encoder), settings.trainer.seed
    learner = OnlineLearner(catalogue, index, seed, config, encoder, ranks=ranks)
    return Model(settings, encoder, catalogue, learner)


def recorded(settings: Settings) -> dict[str, Any]:
    """The settings that a generation's manifest keeps: what shaped it, no secret, no host."""
    encoder, trainer = asdict(settings.encoder), asdict(settings.trainer)
    for name in ("device", "threads", "cache_mb"):
        encoder.pop(name, None)
    trainer.pop("tensorboard_dir", None)
    learning, ingest = asdict(settings.learning), asdict(settings.ingest)
    return {"encoder": encoder, "learning": learning, "trainer": trainer, "ingest": ingest}
