"""Settings of learning: what becomes of them, and what excludes what."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from streamrec.errors import SettingsError
from streamrec.lab.recipes import ia3, last_layers, prefix
from streamrec.models.lora import Adapt, adapt
from streamrec.settings import Adapter, EncoderSettings, Precision, Settings
from streamrec.tasks.ranking.model.adapter_trainer import AdapterConfig
from streamrec.tasks.ranking.model.config import learner_config, problems
from streamrec.tasks.ranking.model.head_trainer import HeadConfig
from streamrec.tasks.ranking.model.learner import LearnerConfig
from tests.fakes.language_models import tiny_encoder, tiny_model


def settings_with(**values: Any) -> Settings:
    settings = Settings()
    for name, value in values.items():
        group, _, field = name.partition("_")
        changed = replace(getattr(settings, group), **{field: value})
        settings = replace(settings, **{group: changed})
    return settings


def test_the_defaults_are_the_recipes() -> None:
    config = learner_config(settings_with(), tiny_encoder())
    assert config.adapter == AdapterConfig()
    assert replace(config, adapter=AdapterConfig()) == LearnerConfig()


def test_a_step_may_have_more_examples() -> None:
    config = learner_config(settings_with(learning_examples=48), tiny_encoder())
    assert config.adapter == AdapterConfig(examples=48)


def test_without_a_challenge_a_new_encoder_is_taken_untried() -> None:
    config = learner_config(settings_with(learning_challenge=False), tiny_encoder())
    assert config.schedule == replace(LearnerConfig().schedule, shadow_steps=0)


def test_settings_of_the_head_reach_the_recipe() -> None:
    settings = settings_with(head_rate=0.01, head_replayed=100, head_recent=64, head_reservoir=0)
    config = learner_config(settings, tiny_encoder())
    assert config.head == HeadConfig(learning_rate=0.01)
    assert (config.replayed, config.recent, config.reservoir) == (100, 64, 0)


def test_every_setting_reaches_the_recipe() -> None:
    settings = settings_with(
        learning_weight_decay=0.1,
        learning_clip_norm=0,
        learning_accumulate=4,
        trainer_seed=9,
    )
    assert learner_config(settings, tiny_encoder()).adapter == replace(
        AdapterConfig(), weight_decay=0.1, clip_norm=0.0, chunks=4, seed=9
    )
    assert (
        learner_config(settings_with(learning_rate=0.5), tiny_encoder()).adapter.learning_rate
        == 0.5
    )


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (
            {"encoder_adapter": Adapter.NONE, "learning_rate": 0.1},
            "nothing of the encoder is trained",
        ),
        ({"encoder_adapter": Adapter.NONE, "learning_examples": 8}, "LEARNING_EXAMPLES"),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(names: dict[str, Any], says: str) -> None:
    settings = settings_with(**names)
    (problem,) = problems(settings, native=True)
    assert says in problem
    with pytest.raises(SettingsError):
        learner_config(settings, tiny_encoder())


def test_bfloat16_needs_a_device_that_multiplies_it() -> None:
    settings = settings_with(learning_precision=Precision.BFLOAT16)
    assert problems(settings, native=True) == []
    (problem,) = problems(settings, native=False)
    assert "does not multiply it" in problem


def test_every_reason_is_given_at_once() -> None:
    settings = settings_with(
        encoder_adapter=Adapter.NONE, learning_rate=2, learning_precision=Precision.BFLOAT16
    )
    assert len(problems(settings, native=False)) == 3


@pytest.mark.parametrize(
    ("method", "changes", "says"),
    [
        (ia3.adapt, {"dropout": 0.1}, "only lora and dora"),
        (adapt, {"adapter": Adapter.FULL, "dropout": 0.1}, "only lora and dora"),
        (adapt, {"adapter": Adapter.NONE, "dropout": 0.1}, "only lora and dora"),
        (adapt, {"dropout": 1.0}, "not in [0, 1)"),
        (ia3.adapt, {"rank": 4}, "it has no rank"),
        (last_layers.adapt, {"rank": 4}, "it has no rank"),
        (prefix.adapt, {}, "prefix tuning feeds keys and values"),
    ],
)
def test_adapters_refuse_what_they_have_no_use_for(
    method: Adapt, changes: dict[str, object], says: str
) -> None:
    with pytest.raises(SettingsError, match=says.replace("[", r"\[").replace(")", r"\)")):
        method(tiny_model("bert"), EncoderSettings(**changes))
