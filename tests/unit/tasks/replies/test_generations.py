"""Replies' generations: what is sealed comes back, and nothing else does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamrec.errors import GenerationRefused
from streamrec.models.lora import state_digest
from streamrec.ports import Provenance
from streamrec.tasks.replies.model.generations import RepliesGenerations, start_of
from streamrec.tasks.replies.model.learner import RepliesConfig, RepliesLearner
from streamrec.tasks.replies.model.scorer import answered_anew
from tests.fakes.causal_models import stirred, tiny_writer
from tests.unit.tasks.replies.answers import answers

BORN = Provenance(1, None, {}, {}, (0, 1), 16, None, 5)


@pytest.fixture(scope="module")
def learned():
    fresh = tiny_writer()
    start = fresh.with_adapter(stirred(fresh, size=0.05))
    learner = RepliesLearner(start, RepliesConfig(rate=5e-3, batch=8, replays=0))
    given = answers(start, lambda said: float("or" in said), 16)
    learner.learn(given)
    return learner, given


@pytest.fixture
def sealed(learned, tmp_path):
    learner, _ = learned
    generations = RepliesGenerations(learner.model, {"trainer": {}})
    learner.write_generation(learner.snapshot(), tmp_path)
    return generations, generations.seal(tmp_path, BORN), tmp_path


def test_a_sealed_generation_says_what_its_snapshot_said(learned, sealed) -> None:
    learner, given = learned
    generations, _, directory = sealed
    assert generations.scorer(directory).score(given) == learner.snapshot().score(given)


def test_the_same_answers_make_the_same_generation(learned, sealed) -> None:
    _, given = learned
    _, first, directory = sealed
    fresh = tiny_writer()
    again = RepliesLearner(
        fresh.with_adapter(stirred(fresh, size=0.05)), RepliesConfig(rate=5e-3, batch=8, replays=0)
    )
    again.learn(given)
    other = directory / "again"
    again.write_generation(again.snapshot(), other)
    twin = RepliesGenerations(again.model, {"trainer": {}}).seal(other, BORN)
    assert twin.manifest.files == first.manifest.files


def test_a_generation_alone_is_enough_to_begin_from(learned, sealed) -> None:
    learner, _ = learned
    generations, _, directory = sealed
    read = generations.read(directory)
    other = RepliesLearner(tiny_writer())
    other.begin_from(read.adapter, start_of(read))
    for one, two in ((other.model, learner.model), (other.start, learner.start)):
        assert state_digest(one.adapter_state()) == state_digest(two.adapter_state())


def test_a_tampered_generation_never_speaks(sealed) -> None:
    generations, _, directory = sealed
    file = directory / "adapter_model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(GenerationRefused, match="manifest"):
        generations.scorer(directory)


def test_some_prompts_are_answered_anew_by_both_adapters(learned) -> None:
    learner, given = learned
    said = learner.snapshot().score(given)
    asked = [answered_anew(one) for one in given]
    assert any(asked)
    assert [one.own is not None for one in said] == asked
    found = next(one for one in said if one.own is not None)
    assert found.own is not None
    assert found.start is not None
    assert "[[" in found.own.text
    assert "[[" in found.start.text
    plain = replace(given[0], generation="", prompt_ids=(), token_ids=())
    assert learner.snapshot().score([plain])[0].own is None
