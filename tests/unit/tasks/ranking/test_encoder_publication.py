"""A new encoder version comes into use at its step, whenever its index happens to be built."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from streamrec.core.events import Item
from streamrec.core.state.catalogue import Catalogue
from streamrec.models.encoder import TextEncoder
from streamrec.models.item_index import CENTRE_ITEMS, ItemIndex
from streamrec.tasks.ranking.features import FEATURES
from streamrec.tasks.ranking.model.adapter_trainer import AdapterConfig
from streamrec.tasks.ranking.model.encoder_rollout import Publication, RolloutSchedule
from streamrec.tasks.ranking.model.learner import LearnerConfig, OnlineLearner
from streamrec.tasks.ranking.model.similarity import candidate_similarities
from tests.fakes.language_models import tiny_encoder
from tests.unit.tasks.ranking.test_learner import Loop

RECIPE = LearnerConfig(
    adapter=AdapterConfig(publish_steps=4, warmup_steps=1, learning_rate=1e-2),
    schedule=RolloutSchedule(flip_steps=2, shadow_steps=0),
)
STEP = RECIPE.step_examples


@pytest.fixture
def loop() -> Loop:
    return Loop(events=300)


def new_learner(loop: Loop, recipe: LearnerConfig = RECIPE) -> OnlineLearner:
    encoder = tiny_encoder()
    return OnlineLearner(loop.catalogue, ItemIndex(encoder), 0, recipe, encoder)


def version(learner: OnlineLearner) -> str:
    (index,) = learner.indexes()
    return index.encoder_version


def state(learner: OnlineLearner, directory: Path) -> bytes:
    directory.mkdir()
    learner.save(directory)
    return (directory / "learner.safetensors").read_bytes()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Threads that build an index wait for it."""
    opened, encode = threading.Event(), TextEncoder.encode

    def patient(self: TextEncoder, *given: object) -> torch.Tensor:
        if threading.current_thread() is not threading.main_thread():
            assert opened.wait(60)
        return encode(self, *given)

    monkeypatch.setattr(TextEncoder, "encode", patient)
    return opened


def test_learning_goes_on_while_the_index_is_built(loop: Loop, gate: threading.Event) -> None:
    learner = new_learner(loop)
    first = version(learner)
    report = learner.learn(loop.examples[: 5 * STEP])  # published at 4, in use at 6
    assert (report.steps, report.encoder_steps) == (5, 5)
    assert version(learner) == first
    gate.set()
    learner.learn(loop.examples[5 * STEP : 6 * STEP])
    assert version(learner) != first


def test_what_is_learned_does_not_depend_on_when_the_index_was_built(
    loop: Loop, gate: threading.Event, tmp_path: Path
) -> None:
    late, early = new_learner(loop), new_learner(loop)
    late.learn(loop.examples[: 5 * STEP])
    gate.set()
    early.learn(loop.examples[: 4 * STEP])
    assert early.rollout is not None
    assert early.rollout.publication is not None
    early.rollout.publication.index()
    early.learn(loop.examples[4 * STEP : 5 * STEP])
    for learner in (late, early):
        learner.learn(loop.examples[5 * STEP :])
    assert state(late, tmp_path / "late") == state(early, tmp_path / "early")


def test_a_checkpoint_between_publication_and_flip_resumes(loop: Loop, tmp_path: Path) -> None:
    whole = new_learner(loop)
    whole.learn(loop.examples[: 5 * STEP])
    state(whole, tmp_path / "then")
    resumed = new_learner(loop)
    resumed.load(tmp_path / "then")
    assert version(resumed) == version(whole)
    before = version(whole)
    for learner in (whole, resumed):
        learner.learn(loop.examples[5 * STEP :])
    assert version(resumed) == version(whole) != before
    assert state(whole, tmp_path / "a") == state(resumed, tmp_path / "b")


def test_an_item_that_came_meanwhile_has_a_vector(loop: Loop) -> None:
    learner = new_learner(loop)
    learner.learn(loop.examples[: 5 * STEP])
    loop.catalogue.put([Item("late", "word1 word2")])
    learner.learn(loop.examples[5 * STEP : 6 * STEP])
    (index,) = learner.indexes()
    assert len(index) == len(loop.catalogue)
    assert index.vectors[-1].norm() == pytest.approx(1)


def test_an_abandoned_index_is_not_finished(loop: Loop, gate: threading.Event) -> None:
    publication = Publication(tiny_encoder(), loop.catalogue, 6)
    publication.abandon()
    gate.set()
    with pytest.raises(CancelledError):
        publication.index()


def test_memory_follows_when_the_centre_settles() -> None:
    loop = Loop(events=300)
    learner = new_learner(loop, replace(RECIPE, adapter=None))
    learner.learn(loop.examples[: 3 * STEP])
    snapshot = learner.snapshot()
    loop.catalogue.put([Item(f"more{n}", f"word{n} word{n + 1}") for n in range(CENTRE_ITEMS)])
    snapshot.score(loop.examples[-2:])  # somebody else brings the index up to date
    learner.learn(loop.examples[3 * STEP : 4 * STEP])
    (index,) = learner.indexes()
    assert index.settled
    memory, held = learner.memory.stored, learner.memory.held()
    expected = candidate_similarities(
        index.vectors, memory.history[held].long(), memory.rows[held].long()
    )
    found = memory.inputs[held][..., len(FEATURES) :].float()
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)


def test_nobody_shares_an_index_whose_centre_is_not_known() -> None:
    encoder, catalogue = tiny_encoder(), Catalogue()
    catalogue.put([Item("one", "word1")])
    trainer, served = ItemIndex(encoder), ItemIndex(encoder, torch.zeros(32))
    trainer.ensure(catalogue)
    assert torch.equal(trainer.centre, served.centre)
    assert trainer.key != served.key
