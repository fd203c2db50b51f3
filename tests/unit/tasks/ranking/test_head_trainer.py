"""The fast lane's recipe: rates, the pull to the served weights, early stopping."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from streamrec.core.state.user_state import HISTORY
from streamrec.lab.ablations.early_stopping import EarlyStopping
from streamrec.tasks.ranking.model.head import INPUTS, Head
from streamrec.tasks.ranking.model.head_trainer import HeadRecipe, HeadTrainer, rate
from streamrec.tasks.ranking.model.losses import listwise
from streamrec.tasks.ranking.model.replay_buffer import ReplayBatch

CANDIDATES = 4


def lesson(seed: int, *, reversed_: bool = False, examples: int = 32) -> ReplayBatch:
    """The accepted candidate is the one whose first input is largest (or smallest)."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(examples, CANDIDATES, len(INPUTS), generator=generator)
    key = inputs[..., 0] * (-1.0 if reversed_ else 1.0)
    labels = torch.nn.functional.one_hot(key.argmax(1), CANDIDATES).float()
    return ReplayBatch(
        inputs=inputs,
        labels=labels,
        log_q=torch.zeros(examples, CANDIDATES),
        mask=torch.ones(examples, CANDIDATES, dtype=torch.bool),
        kind=torch.zeros(examples, dtype=torch.long),
        rows=torch.zeros(examples, CANDIDATES, dtype=torch.int32),
        history=torch.zeros(examples, HISTORY, dtype=torch.int32),
        weight=torch.ones(examples),
        user=torch.zeros(examples, dtype=torch.long),
    )


def trained(recipe: HeadRecipe, training_pairs: list[ReplayBatch]) -> HeadTrainer:
    lane = HeadTrainer(recipe, torch.Generator().manual_seed(0))
    for batch in training_pairs:
        lane.observe(batch)
        lane.step(batch)
    return lane


def loss(head: Head, batch: ReplayBatch) -> float:
    with torch.no_grad():
        return float(listwise(head(batch.inputs), batch))


LESSONS = [lesson(n) for n in range(60)]


@pytest.mark.parametrize("change", [{"proximal": 10.0}, {"proximal_kl": 10.0}])
def test_a_pull_to_what_is_served_slows_learning(change: dict[str, float]) -> None:
    free, held = trained(HeadRecipe(), LESSONS), trained(HeadRecipe(**change), LESSONS)
    unseen = lesson(999)
    start = loss(HeadTrainer(HeadRecipe(), torch.Generator().manual_seed(0)).head, unseen)
    assert loss(free.averaged, unseen) < loss(held.averaged, unseen) < start


def test_the_rate_warms_up_once_and_falls_in_every_cycle() -> None:
    recipe = HeadRecipe(learning_rate=1.0, warmup_steps=4, cycle_steps=8, cycle_floor=0.1)
    rates = [rate(recipe, step) for step in range(1, 25)]
    assert rates[0] == pytest.approx(0.25)
    assert rates[8] == rates[16] == 1.0  # a cycle starts at the full rate
    assert rates[8:16] == sorted(rates[8:16], reverse=True)
    assert rates[15] > 0.1
    steady = replace(recipe, cycle_steps=0)
    assert [rate(steady, step) for step in (1, 4, 24)] == [0.25, 1.0, 1.0]


def test_a_window_that_made_things_worse_is_undone() -> None:
    good = trained(HeadRecipe(judged_steps=0), LESSONS).averaged
    worse = trained(HeadRecipe(), [lesson(n, reversed_=True) for n in range(60)]).averaged
    trial = EarlyStopping(2, good)
    assert not trial.failed(worse, lesson(100))  # the window is not over
    assert trial.failed(worse, lesson(101))
    trial = EarlyStopping(1, worse)
    assert not trial.failed(good, lesson(100))
    assert loss(trial.champion, lesson(102)) == loss(good, lesson(102))


def test_early_stopping_gives_the_weights_of_the_champion_back() -> None:
    lane = HeadTrainer(HeadRecipe(judged_steps=1), torch.Generator().manual_seed(0))
    start = lane.averaged.linear_D.clone()
    lane.step(lesson(0, reversed_=True, examples=256))
    assert not torch.equal(lane.averaged.linear_D, start)
    lane.observe(lesson(1, examples=256))  # says the step was wrong
    assert torch.equal(lane.averaged.linear_D, start)
    assert torch.equal(lane.head.linear_D, start)


def test_a_resumed_lane_judges_as_if_it_had_not_stopped() -> None:
    recipe = HeadRecipe(judged_steps=3)
    whole, first = trained(recipe, LESSONS[:20]), trained(recipe, LESSONS[:10])
    resumed = HeadTrainer(recipe, torch.Generator().manual_seed(5))
    resumed.load_state({name: value.clone() for name, value in first.state().items()})
    for batch in LESSONS[10:20]:
        resumed.observe(batch)
        resumed.step(batch)
    for name, value in whole.state().items():
        assert torch.equal(value, resumed.state()[name]), name
