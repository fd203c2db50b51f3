"""Another adapter method: ia3, one factor for each key, value and hidden unit (Liu et al. 2022).

Measured: NDCG@10 0.0919, -0.0009 [-0.0034, +0.0018] to lora: noise; at a rate of 5e-3 0.0926,
-0.0003 [-0.0028, +0.0023]: noise; 5,376 weights (MovieLens 100K)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import peft
from peft.utils import constants

from streamrec.errors import SettingsError
from streamrec.models.lora import Adapted, layer_list, problems, put_on, without_rank
from streamrec.settings import EncoderSettings


def adapt(model: Any, settings: EncoderSettings) -> Adapted:
    """A ``models.lora.Adapt``."""
    family = str(model.config.model_type)
    found = [*problems(settings, model.config), *_refused(settings, family)]
    if found:
        raise SettingsError(found)
    model.requires_grad_(False)
    layers_name, layers = layer_list(model)
    first = len(layers) - settings.layers
    numbers = "|".join(map(str, range(first, len(layers))))
    where = rf".*{re.escape(layers_name)}\.({numbers})\..*"
    config = peft.IA3Config(
        task_type=peft.TaskType.FEATURE_EXTRACTION,
        target_modules=where + _any_of(_scaled(family)),
        feedforward_modules=where
        + _any_of(constants.TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING[family]),
        fan_in_fan_out=family == "gpt2",
    )
    return put_on(model, config, settings, "ia3", first)


def _refused(settings: EncoderSettings, family: str) -> Iterator[str]:
    yield from without_rank(settings, "ia3")
    if not _scaled(family):
        yield f"ia3 does not know which modules to scale in {family}; use lora"


def _scaled(family: str) -> list[str]:
    known: dict[str, list[str]] = constants.TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING
    return known.get(family, [])


def _any_of(names: list[str]) -> str:
    return f"({'|'.join(re.escape(name) for name in names)})"
