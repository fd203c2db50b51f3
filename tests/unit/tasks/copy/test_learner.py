"""The learner of copy learns what is clicked, and goes on from a checkpoint to the same bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from streamrec.core.examples import TrainingBatch
from streamrec.errors import GenerationRefused, InvalidField
from streamrec.tasks.copy.examples import FEATURE_SET, FORMAT, CopyExample, check
from streamrec.tasks.copy.model.learner import CopyConfig, CopyLearner
from streamrec.tasks.copy.model.prior_head import ClickLevel, mean_nats
from tests.fakes.language_models import tiny_encoder

CONFIG = CopyConfig(hidden=8, head_rate=0.01, replays=2, batch=4)


def example(place: int, texts: tuple[str, ...], views: list[int], clicks: list[int]) -> CopyExample:
    counts = (np.array(values, np.float32) for values in (views, clicks))
    return CopyExample(0, place, 0, "", 1_000, f"t{place}", texts, *counts)


def examples(number: int) -> list[CopyExample]:
    """``word1`` is clicked three times as often as ``word2``."""
    return [
        example(n, (f"word1 word{n + 3}", f"word2 word{n + 3}"), [1_000, 1_000], [60, 20])
        for n in range(number)
    ]


def learner() -> CopyLearner:
    return CopyLearner(tiny_encoder("bert"), CONFIG, seed=5)


def test_it_learns_which_words_are_clicked() -> None:
    made = learner()
    report = made.learn(examples(40))
    assert (report.steps, report.encoder_steps) == (30, 30)
    new = example(99, ("word1 word90", "word2 word90"), [10, 10], [1, 0])
    (scores_A,) = made.snapshot().score([new])
    assert scores_A[0] > scores_A[1] + 0.1
    better, worse = made.snapshot().priors(new.texts)
    assert better.mean > worse.mean
    assert 0.01 < worse.mean < 0.06  # about the level of what it has seen
    assert mean_nats(scores_A, new) < mean_nats(np.zeros(2), new)


def test_a_checkpoint_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    whole, first, second = learner(), learner(), learner()
    everything = examples(22)
    whole.learn(everything)
    first.learn(everything[:10])  # two rounds, and two examples that wait
    first.save(tmp_path)
    second.load(tmp_path)
    second.learn(everything[10:])
    asked = examples(3)
    for one, other in zip(
        whole.snapshot().score(asked), second.snapshot().score(asked), strict=True
    ):
        assert one.tobytes() == other.tobytes()


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GenerationRefused, match="cannot be resumed from"):
        learner().load(tmp_path)
    made = learner()
    made.learn(examples(4))
    made.save(tmp_path)
    (tmp_path / "learner.json").write_text('{"waiting": [{}]}')
    with pytest.raises(GenerationRefused, match="cannot be resumed from"):
        learner().load(tmp_path)


def test_a_snapshot_stands_still() -> None:
    made = learner()
    made.learn(examples(8))
    before = made.snapshot()
    (then_A,) = before.score(examples(1))
    made.learn(examples(8))
    (now_A,) = before.score(examples(1))
    assert then_A.tobytes() == now_A.tobytes()
    assert torch.is_grad_enabled()


def test_examples_travel_and_impossible_ones_are_refused() -> None:
    (one,) = examples(1)
    again = FORMAT.from_fields(FORMAT.to_fields(one))
    assert isinstance(again, CopyExample)
    assert (again.texts, again.views_A.tolist()) == (one.texts, one.views_A.tolist())
    check(TrainingBatch(0, 0, 1, FEATURE_SET, [one]))
    bad = example(0, ("a", "b"), [5, 5], [6, 0])
    with pytest.raises(InvalidField, match="more clicks than views"):
        check(TrainingBatch(0, 0, 1, FEATURE_SET, [bad]))
    with pytest.raises(InvalidField, match="at one version"):
        check(TrainingBatch(0, 0, 1, "copy-0", [one]))


def test_the_strength_of_a_prior_is_what_scores_leave_unexplained() -> None:
    drawn = np.random.default_rng(1)
    exact, loose = ClickLevel(), ClickLevel()
    for n in range(400):
        scores_A = drawn.normal(0, 0.3, 4)
        rates_A = 0.02 * np.exp(scores_A)
        clicks_A = drawn.binomial(3_000, rates_A)
        test = example(n, ("a", "b", "c", "d"), [3_000] * 4, clicks_A.tolist())
        exact.observe(test, scores_A)
        rates_A = rates_A * drawn.gamma(10.0, 0.1, 4)  # cv^2 of 0.1: worth 10 clicks
        clicks_A = drawn.binomial(3_000, rates_A)
        test = example(n, ("a", "b", "c", "d"), [3_000] * 4, clicks_A.tolist())
        loose.observe(test, scores_A)
    assert exact.worth > 60
    assert 7 < loose.worth < 14


def test_a_few_examples_that_agree_by_luck_make_no_strong_prior() -> None:
    level = ClickLevel()
    assert level.worth == 1
    for n in range(16):  # 20 clicks each, exactly as expected: less apart than by chance
        level.observe(example(n, ("a", "b", "c", "d"), [300] * 4, [5] * 4), np.zeros(4))
    assert level.excess < 0
    assert 1 < level.worth < 10
