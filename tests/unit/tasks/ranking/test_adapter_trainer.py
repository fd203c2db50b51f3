"""The adapter trainer and what the learner does when it publishes, on a tiny language model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from streamrec.errors import GenerationRefused
from streamrec.lab.recipes.sgd import sgd
from streamrec.models.encoder import TextEncoder
from streamrec.models.item_index import ItemIndex
from streamrec.tasks.ranking.features import FEATURES
from streamrec.tasks.ranking.model.adapter_trainer import AdapterConfig
from streamrec.tasks.ranking.model.encoder_rollout import NextEncoder, RolloutSchedule
from streamrec.tasks.ranking.model.learner import LearnerConfig, OnlineLearner
from tests.fakes.language_models import tiny_encoder
from tests.unit.tasks.ranking.test_learner import Loop

RECIPE = LearnerConfig(
    adapter=AdapterConfig(publish_steps=4, warmup_steps=1, learning_rate=1e-2),
    schedule=RolloutSchedule(flip_steps=0, shadow_steps=0),
)


@pytest.fixture(scope="module")
def loop() -> Loop:
    return Loop(events=300)


def index_of(encoder: TextEncoder, loop: Loop) -> ItemIndex:
    index = ItemIndex(encoder)
    index.ensure(loop.catalogue)
    return index


def new_learner(loop: Loop, config: LearnerConfig = RECIPE, seed: int = 0) -> OnlineLearner:
    encoder = tiny_encoder()
    return OnlineLearner(loop.catalogue, index_of(encoder, loop), seed, config, encoder)


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
    held = learner.memory.held()
    before = learner.memory.stored.inputs[held].clone()
    other = tiny_encoder(seed=5)
    learner.take(NextEncoder(other, index_of(other, loop)))
    after = learner.memory.stored.inputs[held]
    statistics, similarities = slice(0, len(FEATURES)), slice(len(FEATURES), None)
    assert torch.equal(before[..., statistics], after[..., statistics])
    assert not torch.equal(before[..., similarities], after[..., similarities])


def test_the_adapter_learns_what_it_is_shown(loop: Loop) -> None:
    config = replace(RECIPE, adapter=AdapterConfig(publish_steps=10_000, learning_rate=1e-2))
    learner = new_learner(loop, config)
    losses = [learner.learn(loop.examples[:64]).losses["encoder"] for _ in range(25)]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


def test_without_an_adapter_trainer_the_encoder_stays(loop: Loop) -> None:
    learner = new_learner(loop, replace(RECIPE, adapter=None))
    first = version(learner)
    assert learner.learn(loop.examples).encoder_steps == 0
    assert version(learner) == first


def test_head_and_adapter_resume_bit_for_bit(loop: Loop, tmp_path: Path) -> None:
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


def weights(learner: OnlineLearner) -> torch.Tensor:
    """All trained weights, in a row."""
    assert learner.rollout is not None
    return torch.cat(
        [
            p.detach().flatten()
            for p in learner.rollout.adapter_trainer.encoder.trainable_parameters()
        ]
    )


def training(loop: Loop, seed: int = 0, **changes: object) -> OnlineLearner:
    config = AdapterConfig(publish_steps=2, warmup_steps=1, learning_rate=1e-2, **changes)  # type: ignore[arg-type]
    return new_learner(loop, replace(RECIPE, adapter=config), seed)


def test_accumulation_takes_the_same_steps_as_one_batch(loop: Loop) -> None:
    moved = []
    for chunks in (1, 4):
        learner = training(loop, make_optimiser=sgd, chunks=chunks)
        learner.learn(loop.examples[: 32 * 3])
        moved.append(weights(learner))
    torch.testing.assert_close(moved[0], moved[1], atol=1e-5, rtol=1e-3)
    assert not torch.equal(moved[0], weights(training(loop)))


@pytest.mark.parametrize(
    "changes",
    [{"weight_decay": 0.5}, {"clip_norm": 1e-3, "make_optimiser": sgd}, {"bfloat16": True}],
    ids=["weight_decay", "clip_norm", "bfloat16"],
)
def test_each_choice_changes_what_is_learned_and_repeats_with_its_seed(
    loop: Loop, changes: dict[str, object]
) -> None:
    plain, one, other = training(loop), training(loop, **changes), training(loop, **changes)
    for learner in (plain, one, other):
        learner.learn(loop.examples[: 32 * 3])
    assert torch.equal(weights(one), weights(other))
    assert not torch.equal(weights(one), weights(plain))
    assert torch.isfinite(weights(one)).all()


def test_it_resumes_bit_for_bit_between_publications(loop: Loop, tmp_path: Path) -> None:
    whole = training(loop)
    whole.learn(loop.examples[: 32 * 5])
    whole.save(tmp_path)
    resumed = training(loop, seed=77)
    resumed.load(tmp_path)
    for learner in (whole, resumed):
        learner.learn(loop.examples[32 * 5 : 32 * 9])
    assert torch.equal(weights(whole), weights(resumed))
    assert version(whole) == version(resumed)


def test_moments_of_another_optimiser_are_refused(loop: Loop, tmp_path: Path) -> None:
    """A checkpoint that a version with a choice of optimisers made."""
    other = training(loop, make_optimiser=sgd)
    other.learn(loop.examples[: 32 * 2])
    other.save(tmp_path)
    with pytest.raises(GenerationRefused, match="another optimiser"):
        training(loop).load(tmp_path)
