"""The task copy, put together: which words an item is shown with.

It learns in a trainer of its own. What it has learned is used where lists are made: serving workers
of ranking follow its champion (``apps.serving``), and have no others beside them.
Loads torch; the language model comes with ``training`` and ``again``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from streamrec.apps import trust
from streamrec.apps.model import check_base, recorded, settings_then
from streamrec.apps.worker_context import WorkerContext
from streamrec.core.release.manifest import Manifest
from streamrec.errors import UserError
from streamrec.models.encoder import TextEncoder
from streamrec.models.generation import made_with
from streamrec.models.hotswap import WarmGenerations
from streamrec.models.loading import load_encoder
from streamrec.models.weight_changes import changes
from streamrec.ports import ExampleSource, Serving, Training
from streamrec.settings import Settings
from streamrec.tasks.copy.example_maker import example_source
from streamrec.tasks.copy.examples import check
from streamrec.tasks.copy.gate_metrics import CopyJudge
from streamrec.tasks.copy.model.generations import CopyGenerations
from streamrec.tasks.copy.model.learner import CopyConfig, CopyLearner, copy_encoder
from streamrec.tasks.copy.model.served import ServedPriors, served_priors


class CopyTask:
    """``ports.Task``: a prior of how often a wording is clicked, from its text."""

    @property
    def examples(self) -> ExampleSource:
        return example_source()

    def training(self, context: WorkerContext) -> Training:
        """Raises EncoderUnavailable, SettingsError when the language model cannot be made."""
        settings = copy_settings(context.settings)
        return trained(settings, load_encoder(settings.encoder))

    def again(self, settings: Settings, manifest: Manifest) -> Training:
        then = copy_settings(settings_then(settings, manifest))
        encoder = load_encoder(then.encoder)
        check_base(encoder, manifest)
        return trained(then, encoder)

    def serving(self, context: WorkerContext) -> Serving:
        """Raises UserError."""
        raise UserError(
            f"{context.worker_id}: wordings are chosen where lists are made; "
            "`streamrec worker serving` follows copy's champion as well"
        )


def copy_settings(settings: Settings) -> Settings:
    """With the encoder as this task wants it. Raises EncoderUnavailable."""
    return replace(settings, encoder=copy_encoder(settings.encoder))


def trained(settings: Settings, encoder: TextEncoder) -> Training:
    """What a trainer asks of it, untrained."""
    config = CopyConfig()
    learner = CopyLearner(encoder, config, settings.trainer.seed)
    generations = CopyGenerations(
        encoder,
        learner.frozen,
        config.hidden,
        kept(settings),
        signer=trust.signer(settings),
        signers=trust.signers(settings),
    )
    return Training(
        learner=learner,
        generations=generations,
        judge=CopyJudge(),
        check=check,
        made_with=made_with(encoder),
        distance=changes,
    )


def priors(settings: Settings) -> WarmGenerations[ServedPriors]:
    """Its generations where lists are made; the language model comes with the first of them."""

    def encoder() -> TextEncoder:
        return load_encoder(copy_settings(settings).encoder)

    return served_priors(encoder, CopyConfig().hidden, trust.signers(settings))


def kept(settings: Settings) -> Mapping[str, Any]:
    """Of the settings, what every manifest keeps."""
    return {
        name: group for name, group in recorded(settings).items() if name in {"encoder", "trainer"}
    }
