"""A new encoder version has to beat the one in use, on a tiny language model."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from streamrec.core.events import Item
from streamrec.models.item_index import ItemIndex
from streamrec.tasks.ranking.features import FEATURES
from streamrec.tasks.ranking.model.adapter_trainer import AdapterConfig
from streamrec.tasks.ranking.model.encoder_rollout import RolloutSchedule, ShadowEvaluation
from streamrec.tasks.ranking.model.learner import LearnerConfig, OnlineLearner
from streamrec.tasks.ranking.model.replay_buffer import replay_batch
from streamrec.tasks.ranking.model.similarity import candidate_similarities
from tests.fakes.language_models import tiny_encoder
from tests.unit.tasks.ranking.test_learner import Loop

RECIPE = LearnerConfig(
    adapter=AdapterConfig(publish_steps=8, warmup_steps=1, learning_rate=1e-2),
    schedule=RolloutSchedule(flip_steps=1, shadow_steps=6),
)
STEP = RECIPE.step_examples
PUBLISHED, BEGUN, OVER = 8, 9, 15  # steps


@pytest.fixture(scope="module")
def loop() -> Loop:
    return Loop(events=700)


def new_learner(loop: Loop, recipe: LearnerConfig = RECIPE, seed: int = 0) -> OnlineLearner:
    encoder = tiny_encoder()
    return OnlineLearner(loop.catalogue, ItemIndex(encoder), seed, recipe, encoder)


def version(learner: OnlineLearner) -> str:
    (index,) = learner.indexes()
    return index.encoder_version


def evaluation(learner: OnlineLearner) -> ShadowEvaluation:
    assert learner.rollout is not None
    found = learner.rollout.evaluation
    assert found is not None
    return found


def always(monkeypatch: pytest.MonkeyPatch, gain: float) -> None:
    """Whatever is compared, the new version gains so much; a little more or less by turns."""

    def told(self: ShadowEvaluation, *_: object) -> None:
        self.sums += torch.tensor([2.0, 2 * gain, 2 * gain**2 + 0.02], dtype=torch.float64)

    monkeypatch.setattr(ShadowEvaluation, "compare", told)


def test_the_better_version_is_taken_with_its_head(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    always(monkeypatch, 1.0)
    learner = new_learner(loop)
    first = version(learner)
    learner.learn(loop.examples[: (OVER - 1) * STEP])
    assert version(learner) == first
    evaluated = evaluation(learner)
    report = learner.learn(loop.examples[(OVER - 1) * STEP : OVER * STEP])
    (result,) = report.shadow_results
    assert result.taken
    assert version(learner) == result.encoder_version != first
    assert learner.head_trainer is evaluated.head_trainer
    memory, held = learner.memory.stored, learner.memory.held()
    sims = memory.inputs[held][..., len(FEATURES) :]
    expected = candidate_similarities(
        evaluated.index.vectors, memory.history[held].long(), memory.rows[held].long()
    )
    assert torch.equal(sims, expected.half())


@pytest.mark.parametrize("gain", [-1.0, 0.0, 0.01])
def test_one_that_is_not_better_by_more_than_the_error_changes_nothing(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, gain: float
) -> None:
    always(monkeypatch, gain)
    learner, alone = new_learner(loop), new_learner(loop, replace(RECIPE, adapter=None))
    report = learner.learn(loop.examples[: OVER * STEP])
    (result,) = report.shadow_results
    assert not result.taken
    assert version(learner) == version(alone)
    alone.learn(loop.examples[: OVER * STEP])
    for ours, theirs in zip(
        learner.head_trainer.head.parameters(), alone.head_trainer.head.parameters(), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_both_heads_see_the_same_examples_and_are_compared_after_the_first_third(
    loop: Loop,
) -> None:
    learner = new_learner(loop)
    learner.learn(loop.examples[: (BEGUN + 2) * STEP])
    assert evaluation(learner).sums.tolist() == [0, 0, 0]
    learner.learn(loop.examples[(BEGUN + 2) * STEP : (BEGUN + 3) * STEP])
    assert evaluation(learner).sums[0] == STEP
    assert evaluation(learner).head_trainer.steps == learner.head_trainer.steps


def test_the_same_vectors_gain_nothing(loop: Loop) -> None:
    """A copy of the trainer in use, on the index in use, says the same of every example."""
    learner = new_learner(loop)
    learner.learn(loop.examples[: 3 * STEP])
    (index,) = learner.indexes()
    assert learner.encoder is not None
    same = ShadowEvaluation(learner.encoder, index, learner.head_trainer.copied(), steps=2)
    fresh = learner.memory.stored[:STEP]
    same.step(fresh, learner.memory.stored[STEP : 2 * STEP], learner.head_trainer.averaged)
    assert same.result.gain == pytest.approx(0.0, abs=1e-6)
    assert not same.result.taken


def test_vectors_that_tell_the_taste_win(loop: Loop) -> None:
    """Odd users like odd items, and the better encoder says nothing but that."""
    learner = new_learner(loop, replace(RECIPE, adapter=None))
    learner.learn(loop.examples[: 4 * STEP])
    telling = ShadowEvaluation(
        tiny_encoder(), Parity(loop), learner.head_trainer.copied(), steps=12
    )
    memory = learner.memory
    for start in range(4 * STEP, 16 * STEP, STEP):
        replayed = memory.draw(64, learner.generator)
        examples, weights = loop.examples[start : start + STEP], np.ones(STEP, np.float32)
        fresh = replay_batch(examples, weights, learner.index.vectors, loop.catalogue, 64)
        telling.step(fresh, replayed, learner.head_trainer.averaged)
        learner.step(fresh)
    assert telling.over
    assert telling.result.taken
    assert telling.result.gain > 0.05


class Parity(ItemIndex):
    """Vectors of two kinds, by the row's parity."""

    def __init__(self, loop: Loop) -> None:
        super().__init__(tiny_encoder())
        self._kinds = torch.zeros(len(loop.catalogue), self._encoder.dim)
        self._kinds[0::2, 0] = 1.0
        self._kinds[1::2, 0] = -1.0

    @property
    def vectors(self) -> Tensor:
        return self._kinds


@pytest.mark.parametrize("steps", [PUBLISHED, BEGUN + 1, BEGUN + 4])
def test_a_checkpoint_resumes_bit_for_bit_on_the_way_and_in_a_shadow_evaluation(
    loop: Loop, tmp_path: Path, steps: int
) -> None:
    whole = new_learner(loop)
    whole.learn(loop.examples[: steps * STEP])
    state(whole, tmp_path / "then")
    resumed = new_learner(loop, seed=77)
    resumed.load(tmp_path / "then")
    told = [
        learner.learn(loop.examples[steps * STEP :]).shadow_results for learner in (whole, resumed)
    ]
    assert told[0] == told[1]
    assert told[0]
    assert version(whole) == version(resumed)
    assert state(whole, tmp_path / "a") == state(resumed, tmp_path / "b")


def state(learner: OnlineLearner, directory: Path) -> bytes:
    directory.mkdir()
    learner.save(directory)
    return (directory / "learner.safetensors").read_bytes()


def test_an_item_that_comes_in_a_shadow_evaluation_is_seen_by_both(loop: Loop) -> None:
    learner = new_learner(loop)
    learner.learn(loop.examples[: BEGUN * STEP])
    loop.catalogue.put([Item("late", "word1 word2")])
    learner.learn(loop.examples[BEGUN * STEP : (BEGUN + 1) * STEP])
    assert len(evaluation(learner).index) == len(loop.catalogue)


@pytest.mark.parametrize(
    "schedule", [RolloutSchedule(), RolloutSchedule(flip_steps=200, shadow_steps=200)]
)
def test_a_version_is_settled_before_the_next_is_published(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, schedule: RolloutSchedule
) -> None:
    always(monkeypatch, 1.0)
    adapter = replace(RECIPE.adapter, first_publish=4, publish_steps=8) if RECIPE.adapter else None
    learner = new_learner(loop, replace(RECIPE, adapter=adapter, schedule=schedule))
    versions, first = [], version(learner)
    for step in range(1, 21):
        learner.learn(loop.examples[(step - 1) * STEP : step * STEP])
        versions.append(version(learner))
    changes = [n + 1 for n, (a, b) in enumerate(pairwise([first, *versions])) if a != b]
    assert changes == [7, 15]  # published at 4 and 8; the one of 16 is not settled yet
