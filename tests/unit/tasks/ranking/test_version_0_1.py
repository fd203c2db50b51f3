"""What version 0.1 wrote is read: a checkpoint with an encoder being tried, and a generation."""

from __future__ import annotations

import json
import lzma
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamrec.core import topics
from streamrec.models.generation import read_generation
from streamrec.models.item_index import ItemIndex
from streamrec.tasks.ranking.model.adapter_trainer import AdapterConfig
from streamrec.tasks.ranking.model.encoder_rollout import RolloutSchedule
from streamrec.tasks.ranking.model.generations import ModelGenerations
from streamrec.tasks.ranking.model.learner import LearnerConfig, OnlineLearner
from streamrec.tasks.ranking.model.served import head_expectations
from tests.fakes.language_models import tiny_encoder
from tests.harness.codec import wire_codec
from tests.unit.tasks.ranking.test_learner import Loop

WRITTEN = Path(__file__).parents[3] / "fixtures" / "version_0_1"
RECIPE = LearnerConfig(
    step_examples=8,
    replayed=8,
    recent=8,
    reservoir=4,
    candidates=4,
    adapter=AdapterConfig(examples=4, warmup_steps=1, first_publish=4, publish_steps=8),
    schedule=RolloutSchedule(flip_steps=1, shadow_steps=4),
)


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """What version 0.1 said after it had learned on."""
    found: dict[str, Any] = json.loads((WRITTEN / "told.json").read_text())
    return found


@pytest.fixture
def loop() -> Loop:
    """With the examples that were made then: other negatives are drawn now."""
    made = Loop(events=0)
    packed = (WRITTEN / "examples.avro.xz").read_bytes()
    batch = wire_codec().decode(topics.TRAINING_BATCHES, lzma.decompress(packed))
    made.examples = list(batch.examples)
    return made


def new_learner(loop: Loop, seed: int = 0) -> OnlineLearner:
    encoder = tiny_encoder(rank=2, layers=1)
    return OnlineLearner(loop.catalogue, ItemIndex(encoder), seed, RECIPE, encoder)


def test_a_checkpoint_resumes_and_learns_on_as_it_would_have(
    told: dict[str, Any], loop: Loop, tmp_path: Path
) -> None:
    shutil.copy(WRITTEN / "checkpoint" / "learner.json", tmp_path)
    packed = (WRITTEN / "checkpoint" / "learner.safetensors.xz").read_bytes()
    (tmp_path / "learner.safetensors").write_bytes(lzma.decompress(packed))
    learner = new_learner(loop, seed=5)
    assert learner.load(tmp_path) == []
    report = learner.learn(loop.examples[52:132])
    assert report.steps == 10
    assert report.shadow_results, "the shadow evaluation that was going on has ended"
    assert learner.indexes()[0].encoder_version == told["encoder_version"]
    for ours, theirs in zip(
        learner.snapshot().score(loop.examples[-4:]), told["scores"], strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_a_generation_is_checked_and_scores_as_it_did(told: dict[str, Any], loop: Loop) -> None:
    encoder = tiny_encoder(rank=2, layers=1)
    read = read_generation(WRITTEN / "generation", head_expectations(encoder))
    assert read.manifest.generation == told["generation"]
    assert read.manifest.encoder_version == told["encoder_version"]
    scorer = ModelGenerations(encoder, loop.catalogue, {}).scorer(WRITTEN / "generation")
    for ours, theirs in zip(scorer.score(loop.examples[-4:]), told["scores"], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_learning_starts_from_a_generation(loop: Loop) -> None:
    learner = new_learner(loop)
    expected = head_expectations(tiny_encoder(rank=2, layers=1))
    learner.start_from(read_generation(WRITTEN / "generation", expected))
    assert learner.learn(loop.examples[:80]).encoder_steps > 0
