"""Settings of learning: what becomes of them, and what excludes what."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from streamrec.errors import SettingsError
from streamrec.models.lora import adapt
from streamrec.settings import Adapter, EncoderSettings, Optimiser, Precision, Settings
from streamrec.tasks.ranking.model.adapter_trainer import AdapterRecipe
from streamrec.tasks.ranking.model.config import problems, recipe_for
from streamrec.tasks.ranking.model.head_trainer import HeadRecipe
from streamrec.tasks.ranking.model.learner import Recipe
from streamrec.tasks.ranking.model.optimisers import RATES
from tests.fakes.language_models import tiny_encoder, tiny_model


def settings_with(**values: Any) -> Settings:
    settings = Settings()
    for name, value in values.items():
        group, _, field = name.partition("_")
        changed = replace(getattr(settings, group), **{field: value})
        settings = replace(settings, **{group: changed})
    return settings


def test_the_defaults_are_the_recipes() -> None:
    recipe = recipe_for(settings_with(), tiny_encoder())
    assert recipe.slow == AdapterRecipe()
    assert replace(recipe, slow=AdapterRecipe()) == Recipe()


def test_a_step_may_have_more_examples() -> None:
    recipe = recipe_for(settings_with(learning_examples=48), tiny_encoder())
    assert recipe.slow == AdapterRecipe(examples=48)


def test_without_a_challenge_a_new_encoder_is_taken_untried() -> None:
    recipe = recipe_for(settings_with(learning_challenge=False), tiny_encoder())
    assert recipe.schedule == replace(Recipe().schedule, challenge_steps=0)


def test_settings_of_the_head_reach_the_recipe() -> None:
    settings = settings_with(
        head_rate=0.01,
        head_replayed=100,
        head_recent=64,
        head_reservoir=0,
        head_proximal=0.5,
        head_proximal_kl=0.25,
        head_cycle_steps=128,
        head_judged_steps=16,
    )
    recipe = recipe_for(settings, tiny_encoder())
    assert recipe.fast == HeadRecipe(
        learning_rate=0.01, proximal=0.5, proximal_kl=0.25, cycle_steps=128, judged_steps=16
    )
    assert (recipe.replayed, recipe.recent, recipe.reservoir) == (100, 64, 0)


def test_every_setting_reaches_the_recipe() -> None:
    settings = settings_with(
        learning_optimiser=Optimiser.ADAFACTOR,
        learning_weight_decay=0.1,
        learning_clip_norm=0,
        learning_accumulate=4,
        learning_hide_tokens=0.2,
        learning_shuffle_text=True,
        learning_fgm=0.05,
        learning_average=3,
        trainer_seed=9,
    )
    assert recipe_for(settings, tiny_encoder()).slow == replace(
        AdapterRecipe(),
        optimiser=Optimiser.ADAFACTOR,
        learning_rate=RATES[Optimiser.ADAFACTOR],
        weight_decay=0.1,
        clip_norm=0.0,
        pieces=4,
        hide_tokens=0.2,
        shuffle_text=True,
        fgm=0.05,
        average=3,
        seed=9,
    )
    assert recipe_for(settings_with(learning_rate=0.5), tiny_encoder()).slow.learning_rate == 0.5


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ({"learning_hide_tokens": 1}, "not in [0, 1)"),
        ({"learning_fgm": 1.5}, "more than themselves"),
        (
            {"encoder_adapter": Adapter.NONE, "learning_fgm": 0.1},
            "nothing of the encoder is trained",
        ),
        (
            {"encoder_adapter": Adapter.NONE, "learning_optimiser": Optimiser.SGD},
            "LEARNING_OPTIMISER",
        ),
        ({"encoder_adapter": Adapter.NONE, "learning_average": 2}, "LEARNING_AVERAGE"),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(names: dict[str, Any], says: str) -> None:
    settings = settings_with(**names)
    (problem,) = problems(settings, native=True)
    assert says in problem
    with pytest.raises(SettingsError):
        recipe_for(settings, tiny_encoder())


def test_bfloat16_needs_a_device_that_multiplies_it() -> None:
    settings = settings_with(learning_precision=Precision.BFLOAT16)
    assert problems(settings, native=True) == []
    (problem,) = problems(settings, native=False)
    assert "does not multiply it" in problem


def test_every_reason_is_given_at_once() -> None:
    settings = settings_with(
        encoder_adapter=Adapter.NONE, learning_hide_tokens=2, learning_precision=Precision.BFLOAT16
    )
    assert len(problems(settings, native=False)) == 4


@pytest.mark.parametrize(
    ("adapter", "changes", "says"),
    [
        (Adapter.IA3, {"dropout": 0.1}, "only lora, dora and adalora"),
        (Adapter.FULL, {"dropout": 0.1}, "only lora, dora and adalora"),
        (Adapter.NONE, {"dropout": 0.1}, "only lora, dora and adalora"),
        (Adapter.LORA, {"dropout": 1.0}, "not in [0, 1)"),
        (Adapter.IA3, {"rank": 4}, "it has no rank"),
        (Adapter.LAST_LAYERS, {"rank": 4}, "it has no rank"),
        (Adapter.PREFIX, {}, "prefix tuning feeds keys and values"),
    ],
)
def test_adapters_refuse_what_they_have_no_use_for(
    adapter: Adapter, changes: dict[str, float], says: str
) -> None:
    with pytest.raises(SettingsError, match=says.replace("[", r"\[").replace(")", r"\)")):
        adapt(tiny_model("bert"), EncoderSettings(adapter=adapter, **changes))
