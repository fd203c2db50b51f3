"""Another adapter method: prefix tuning, keys and values before every text (Li & Liang 2021).

They go through a decoder's cache: no method for an encoder such as the default model. A prefix
takes part in attention from the start, so this one does not begin as no change.

Measured: not on the default model, which has no cache; no number
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import peft
from torch import Tensor

from streamrec.errors import SettingsError
from streamrec.models.lora import Adapted, problems, put_on
from streamrec.settings import EncoderSettings

FAMILIES = frozenset({"llama", "mistral", "qwen2", "qwen3", "gpt2"})


@dataclass(frozen=True, slots=True)
class WithPrefix(Adapted):
    """Its weights are named as PEFT's files name them."""

    def live(self) -> dict[str, Tensor]:
        embedding = self.root.prompt_encoder["default"].embedding
        return {"prompt_embeddings": embedding.weight.data}


def adapt(model: Any, settings: EncoderSettings) -> Adapted:
    """A ``models.lora.Adapt``."""
    found, family = problems(settings, model.config), str(model.config.model_type)
    if family not in FAMILIES:
        found.append(
            f"prefix tuning feeds keys and values through a decoder's cache, which {family} "
            "used as an encoder does not have; use lora"
        )
    if settings.dropout:
        found.append("dropout with prefix: only lora and dora have an input")
    if found:
        raise SettingsError(found)
    model.requires_grad_(False)
    config = peft.PrefixTuningConfig(
        task_type=peft.TaskType.FEATURE_EXTRACTION, num_virtual_tokens=settings.rank
    )
    put = put_on(model, config, settings, "prefix", 0)
    return WithPrefix(put.method, put.root, put.transformer, put.first_adapted, put.signature)


def exact(settings: EncoderSettings) -> EncoderSettings:
    """What sums with trained keys and values is kept exact."""
    return replace(settings, dtype="float32")
