"""The laboratory's recipes: each changes what is learned, by what it says, and repeats."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from streamrec.core.events import Item
from streamrec.errors import UserError
from streamrec.lab.recipes import (
    adafactor,
    adapter_averaging,
    early_stopping,
    fgm,
    proximal,
    proximal_kl,
    rate_cycles,
    shuffled_text,
)
from streamrec.lab.recipes import hidden_tokens as hiding
from streamrec.lab.recipes.adapter_averaging import MeanOfRecent, mean_state
from streamrec.lab.recipes.names import METHODS, RECIPES, TRAINING, chosen, described
from streamrec.models.gradient_cache import Chunk
from streamrec.models.item_index import ItemIndex, item_text
from streamrec.settings import Adapter, EncoderSettings
from streamrec.tasks.ranking.model.adapter_trainer import AdapterConfig, adamw
from streamrec.tasks.ranking.model.encoder_rollout import RolloutSchedule
from streamrec.tasks.ranking.model.head_trainer import HeadConfig, HeadTrainer
from streamrec.tasks.ranking.model.learner import LearnerConfig, OnlineLearner
from tests.fakes.language_models import stir, tiny_encoder
from tests.harness.head_training import BATCHES, loss, pairs, trained
from tests.unit.tasks.ranking.test_learner import Loop

RECIPE = LearnerConfig(
    adapter=AdapterConfig(publish_steps=2, warmup_steps=1, learning_rate=1e-2),
    schedule=RolloutSchedule(flip_steps=0, shadow_steps=0),
)


@pytest.fixture(scope="module")
def loop() -> Loop:
    return Loop(events=300)


def learned(loop: Loop, recipe: LearnerConfig, directory: Path) -> bytes:
    """All that a learner is after some steps."""
    encoder = tiny_encoder()
    learner = OnlineLearner(loop.catalogue, ItemIndex(encoder), 0, recipe, encoder)
    learner.learn(loop.examples[: 32 * 5])
    directory.mkdir()
    learner.save(directory)
    return (directory / "learner.safetensors").read_bytes()


@pytest.mark.parametrize("name", sorted(set(TRAINING) - {"early-stopping"}))
def test_each_changes_what_is_learned_and_repeats(name: str, loop: Loop, tmp_path: Path) -> None:
    plain = learned(loop, RECIPE, tmp_path / "plain")
    one, other = (
        learned(loop, chosen([name]).learning(RECIPE), tmp_path / at) for at in ("one", "other")
    )
    assert one == other
    assert one != plain


def test_each_says_what_it_is_and_what_was_measured() -> None:
    rows = list(described())
    assert [name for name, _, _ in rows] == sorted(RECIPES)
    for name, what, measured in rows:
        assert len(what) > 20, name
        assert "NDCG@10" in measured or name == "prefix", name


def test_an_unknown_recipe_is_refused_with_those_there_are() -> None:
    with pytest.raises(UserError, match="no recipe fmg; there are adafactor, adalora"):
        chosen(["fgm", "fmg"])


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (["sgd", "adafactor"], "make_optimiser"),
        (["fgm", "hidden-tokens"], "pass_chunks"),
        (["proximal", "proximal-kl"], "more_loss"),
        (["ia3", "adalora"], "the adapter method"),
    ],
)
def test_two_that_change_the_same_thing_are_refused(names: list[str], what: str) -> None:
    with pytest.raises(UserError, match=what):
        chosen(names)


def test_recipes_go_together(loop: Loop) -> None:
    together = chosen(["fgm", "shuffled-text", "sgd", "rate-cycles", "ia3"])
    recipe = together.learning(RECIPE)
    assert recipe.adapter is not None
    assert recipe.adapter.pass_chunks is fgm.two_passes
    assert recipe.adapter.text_of is shuffled_text.shuffled
    assert recipe.head.rate_at is not RECIPE.head.rate_at
    assert together.method is METHODS["ia3"].adapt
    assert chosen([]).learning(RECIPE) == RECIPE


def test_an_adapter_method_of_the_settings_beside_one_of_a_recipe_is_refused() -> None:
    with pytest.raises(UserError, match="two adapter methods"):
        chosen(["ia3"]).encoder(EncoderSettings(adapter=Adapter.DORA))
    assert chosen(["ia3"]).encoder(EncoderSettings()) == EncoderSettings()
    assert chosen(["prefix"]).encoder(EncoderSettings()).dtype == "float32"


# -- the adapter's ------------------------------------------------------------------------


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_hidden_tokens_leave_the_ends_and_the_order() -> None:
    rows = torch.arange(40.0).reshape(2, 20, 1)
    mask = torch.ones(2, 20, dtype=torch.long)
    mask[1, 10:] = 0
    found = hiding.shortened(Chunk(rows, mask), 0.5, generator())
    kept, kept_mask = found.hidden_BTH, found.mask_BT
    for b, length in enumerate((20, 10)):
        stayed = kept[b, : int(kept_mask[b].sum()), 0].tolist()
        assert stayed[0] == rows[b, 0, 0]
        assert stayed[-1] == rows[b, length - 1, 0]
        assert stayed == sorted(stayed)
        assert len(stayed) < length


def test_hidden_tokens_are_the_seeds() -> None:
    rows, mask = torch.randn(3, 12, 4), torch.ones(3, 12, dtype=torch.long)
    one, other, third = (
        hiding.shortened(Chunk(rows, mask), 0.3, generator(s)).hidden_BTH for s in (1, 1, 2)
    )
    assert torch.equal(one, other)
    assert one.shape != third.shape or not torch.equal(one, third)


def test_half_of_the_texts_begin_with_the_categories() -> None:
    item, drawn = Item("i", "Alien", "In space", ("Horror", "Sci-Fi")), generator()
    texts = [shuffled_text.shuffled(item, drawn) for _ in range(200)]
    assert set(texts) == {"Alien. Horror, Sci-Fi. In space", "Horror, Sci-Fi. Alien. In space"}
    assert 70 < texts.count(item_text(item)) < 130
    plain = Item("i", "Alien")
    assert shuffled_text.shuffled(plain, drawn) == item_text(plain)


def test_a_perturbation_is_as_long_as_it_should_be_and_touches_nothing() -> None:
    hidden = torch.randn(3, 5, 4)
    before = hidden.clone()
    gradient = torch.randn(3, 5, 4)
    perturbed = fgm.adversarial(hidden, gradient, 0.1)
    assert torch.equal(hidden, before)
    moved = (perturbed - hidden).flatten(1)
    torch.testing.assert_close(moved.norm(dim=1), 0.1 * hidden.flatten(1).norm(dim=1))
    cosine = torch.cosine_similarity(moved, gradient.flatten(1))
    torch.testing.assert_close(cosine, torch.ones(3))


def test_without_a_gradient_nothing_is_perturbed() -> None:
    hidden = torch.randn(2, 3, 4)
    torch.testing.assert_close(fgm.adversarial(hidden, torch.zeros(2, 3, 4), 0.5), hidden)


def test_a_perturbation_leaves_the_cached_activations_alone(loop: Loop) -> None:
    encoder = tiny_encoder()
    texts = [item_text(loop.catalogue.item(row)) for row in range(5)]
    before, _ = encoder.hidden_states(texts)
    learner = OnlineLearner(
        loop.catalogue, ItemIndex(encoder), 0, chosen(["fgm"]).learning(RECIPE), encoder
    )
    learner.learn(loop.examples[: 32 * 3])
    assert torch.equal(encoder.hidden_states(texts)[0], before)


def test_adafactor_keeps_less_than_the_weights() -> None:
    own = [torch.nn.Parameter(torch.randn(100, 100))]
    sizes = []
    for make in (adafactor.adafactor, adamw):
        optimiser = make(own, AdapterConfig())
        own[0].grad = torch.randn(100, 100)
        optimiser.step()
        slots = optimiser.state_dict()["state"][0].values()
        sizes.append(sum(slot.numel() for slot in slots))
    assert sizes[0] < 0.05 * sizes[1]


def test_published_weights_are_the_mean_of_recent_ones() -> None:
    mean, encoder, states = MeanOfRecent(2), tiny_encoder(), []
    for seed in range(3):
        encoder.load_adapter_state(stir(encoder, seed))
        states.append(encoder.adapter_state())
        published = mean(encoder).adapter_state()
    for name, tensor in published.items():
        torch.testing.assert_close(tensor, (states[1][name] + states[2][name]) / 2)


def test_every_learner_has_a_mean_of_its_own() -> None:
    recipe = adapter_averaging.apply(RECIPE)
    assert recipe.adapter is not None
    assert recipe.adapter.publisher() is not recipe.adapter.publisher()


def test_the_mean_is_tensor_by_tensor() -> None:
    states = [{"a": torch.full((2, 2), float(n))} for n in (1, 2, 6)]
    assert torch.equal(mean_state(states)["a"], torch.full((2, 2), 3.0))


@pytest.mark.parametrize("size", [1e-3, 1e-2])
def test_along_one_trajectory_the_error_of_averaged_factors_is_second_order(size: float) -> None:
    """mean(B) mean(A) - mean(BA) is the covariance of the deviations."""
    base_a, base_b = torch.randn(4, 16, generator=generator(1)), torch.randn(16, 4)
    drawn = generator(2)
    pairs = [
        (
            base_b + size * torch.randn(16, 4, generator=drawn),
            base_a + size * torch.randn(4, 16, generator=drawn),
        )
        for _ in range(4)
    ]
    products = torch.stack([b @ a for b, a in pairs]).mean(0)
    mean = mean_state([{"b": b, "a": a} for b, a in pairs])
    error = (mean["b"] @ mean["a"] - products).norm() / products.norm()
    assert 0 < error < 5 * size**2


# -- the head's ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "recipe", [proximal.pulled(LearnerConfig(), 10.0), proximal_kl.pulled(LearnerConfig(), 10.0)]
)
def test_a_pull_to_what_is_served_slows_learning(recipe: LearnerConfig) -> None:
    free, held = trained(HeadConfig(), BATCHES), trained(recipe.head, BATCHES)
    unseen = pairs(999)
    start = loss(HeadTrainer(HeadConfig(), torch.Generator().manual_seed(0)).head, unseen)
    assert loss(free.averaged, unseen) < loss(held.averaged, unseen) < start


def test_the_rate_warms_up_once_and_falls_in_every_cycle() -> None:
    recipe = HeadConfig(learning_rate=1.0, warmup_steps=4)
    rates = [rate_cycles.rate(recipe, step, cycle=8) for step in range(1, 25)]
    assert rates[0] == pytest.approx(0.25)
    assert rates[8] == rates[16] == 1.0  # a cycle starts at the full rate
    assert rates[8:16] == sorted(rates[8:16], reverse=True)
    assert rates[15] > 0.1


def test_early_stopping_gives_the_weights_of_the_champion_back() -> None:
    recipe = early_stopping.stopping(LearnerConfig(), 1).head
    trainer = HeadTrainer(recipe, torch.Generator().manual_seed(0))
    trainer.observe(pairs(2, examples=256))  # what is served now is the champion
    start = trainer.averaged.linear_D.clone()
    for seed in range(30):
        trainer.step(pairs(seed, reversed_=True))
    assert not torch.equal(trainer.averaged.linear_D, start)
    trainer.observe(pairs(1, examples=256))  # says the step was wrong
    assert torch.equal(trainer.averaged.linear_D, start)
    assert torch.equal(trainer.head.linear_D, start)


def test_early_stopping_goes_on_from_what_is_better_and_waits_for_its_window() -> None:
    recipe = early_stopping.stopping(LearnerConfig(), 2).head
    trainer = HeadTrainer(recipe, torch.Generator().manual_seed(0))
    trainer.observe(pairs(0))
    for batch in BATCHES[:30]:
        trainer.step(batch)
    better = trainer.averaged.linear_D.clone()
    trainer.observe(pairs(1))  # the window ends; learning helped
    assert torch.equal(trainer.averaged.linear_D, better)
    for seed in range(60):
        trainer.step(pairs(seed, reversed_=True))
    worse = trainer.averaged.linear_D.clone()
    trainer.observe(pairs(2))  # the next window is not over
    assert torch.equal(trainer.averaged.linear_D, worse)
    trainer.observe(pairs(3))
    assert torch.equal(trainer.averaged.linear_D, better)
