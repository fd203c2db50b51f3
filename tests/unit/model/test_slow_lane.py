"""The slow lane and what the learner does when it publishes, on a tiny language model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from streamrec.core.features import FEATURES
from streamrec.model.index import ItemIndex
from streamrec.model.learner import OnlineLearner, Recipe
from streamrec.model.slow_lane import SlowRecipe
from tests.fakes.language_models import tiny_encoder
from tests.unit.model.test_learner import Loop

RECIPE = Recipe(slow=SlowRecipe(publish_steps=4, warmup_steps=1, learning_rate=1e-2))


@pytest.fixture(scope="module")
def loop() -> Loop:
    return Loop(events=300)


def new_learner(loop: Loop, recipe: Recipe = RECIPE, seed: int = 0) -> OnlineLearner:
    encoder = tiny_encoder()
    index = ItemIndex(encoder)
    index.ensure(loop.catalogue)
    return OnlineLearner(loop.catalogue, index, seed, recipe, encoder)


def version(learner: OnlineLearner) -> str:
    (index,) = learner.indexes()
    return index.encoder_version


def test_a_new_encoder_version_comes_at_its_time_and_not_before(loop: Loop) -> None:
    learner = new_learner(loop)
    first = version(learner)
    report = learner.learn(loop.examples[: 32 * 3])
    assert (report.steps, report.encoder_steps) == (3, 3)
    assert version(learner) == first
    assert learner.learn(loop.examples[32 * 3 : 32 * 4]).encoder_steps == 1
    assert version(learner) != first


def test_a_snapshot_taken_before_the_flip_keeps_its_encoder_and_vectors(loop: Loop) -> None:
    learner = new_learner(loop)
    learner.learn(loop.examples[:96])
    snapshot = learner.snapshot()
    assert snapshot.encoder is not None
    before, scores = snapshot.encoder.encoder_version, snapshot.score(loop.examples[-3:])
    learner.learn(loop.examples[96:])
    assert version(learner) != before
    assert snapshot.encoder.encoder_version == before
    for ours, theirs in zip(snapshot.score(loop.examples[-3:]), scores, strict=True):
        assert np.array_equal(ours, theirs)


def test_what_is_remembered_gets_the_new_similarities(loop: Loop) -> None:
    learner = new_learner(loop)
    learner.learn(loop.examples[:96])
    held = learner._memory.held()
    before = learner._memory.stored.inputs[held].clone()
    learner._publish(tiny_encoder(seed=5))
    after = learner._memory.stored.inputs[held]
    statistics, similarities = slice(0, len(FEATURES)), slice(len(FEATURES), None)
    assert torch.equal(before[..., statistics], after[..., statistics])
    assert not torch.equal(before[..., similarities], after[..., similarities])


def test_the_slow_lane_learns_what_it_is_shown(loop: Loop) -> None:
    recipe = replace(RECIPE, slow=SlowRecipe(publish_steps=10_000, learning_rate=1e-2))
    learner = new_learner(loop, recipe)
    losses = [learner.learn(loop.examples[:64]).losses["encoder"] for _ in range(25)]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


def test_without_a_slow_lane_the_encoder_stays(loop: Loop) -> None:
    learner = new_learner(loop, replace(RECIPE, slow=None))
    first = version(learner)
    assert learner.learn(loop.examples).encoder_steps == 0
    assert version(learner) == first


def test_both_lanes_resume_bit_for_bit(loop: Loop, tmp_path: Path) -> None:
    whole = new_learner(loop)
    whole.learn(loop.examples[:200])
    whole.save(tmp_path)
    resumed = new_learner(loop, seed=77)
    resumed.load(tmp_path)
    assert version(resumed) == version(whole)
    for learner in (whole, resumed):
        learner.learn(loop.examples[200:])
    assert version(resumed) == version(whole)
    scores = [learner.snapshot().score(loop.examples[:5]) for learner in (whole, resumed)]
    for one, other in zip(*scores, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_snapshot_is_written_in_the_generation_layout(loop: Loop, tmp_path: Path) -> None:
    learner = new_learner(loop)
    learner.learn(loop.examples)
    learner.write_generation(learner.snapshot(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "head.safetensors",
    }
