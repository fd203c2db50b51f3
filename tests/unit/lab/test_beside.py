"""Races in processes of their own: what comes back, and what happens when one ends early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from streamrec.core.events import Interaction, Item, Kind
from streamrec.core.state.catalogue import Catalogue
from streamrec.errors import GroupBroken
from streamrec.lab.baselines.statistics import ITEM_KNN, POPULARITY, WEIGHTS, StatisticRanker
from streamrec.lab.replay.beside import Beside, Raced, beside, packed
from streamrec.lab.replay.compare import LearnerWithStatic, LearnsUntil, Unlearned
from streamrec.lab.replay.recorded import RecordedStream
from streamrec.lab.replay.replay import Replay, ReplayOptions
from streamrec.lab.replay.rivals import FROZEN, SASREC, Race
from streamrec.tasks.ranking.model.learner import LearnerConfig, OnlineLearner
from tests.unit.tasks.ranking.test_learner import Loop, RandomVectors

ITEMS = [Item(f"i{n}", f"Item {n}") for n in range(12)]
EVENTS = [
    Interaction(f"e{n}", f"u{n % 7}", f"i{n * n % 12}", Kind.CLICK, 1_000 + n) for n in range(200)
]
RACE = Race((ITEM_KNN, POPULARITY), ITEMS, EVENTS, ReplayOptions(), until=60, seed=0)


def finished(running: Beside) -> tuple[list[Raced], list[int]]:
    seen: list[int] = []
    return running.finish(seen.append), seen


def test_a_race_elsewhere_is_the_race_here() -> None:
    with beside([RACE]) as running:
        (raced,), seen = finished(running)
    assert set(raced.statistics) == {POPULARITY, "click-rate"}
    weights = {ITEM_KNN: WEIGHTS[ITEM_KNN], POPULARITY: {raced.statistics[POPULARITY]: 1.0}}
    catalogue, stream = Catalogue(), RecordedStream(ITEMS, EVENTS)
    rankers = {name: Unlearned(StatisticRanker(w)) for name, w in weights.items()}
    played = Replay(stream, catalogue, rankers[ITEM_KNN], ReplayOptions(), rankers).play()[1:]
    for name, here in zip(weights, played, strict=True):
        assert raced.records[name].predictions == here.predictions
        assert raced.records[name].examples == here.examples
    assert 0 <= seen[-1] <= len(EVENTS)


def test_what_one_raises_is_raised_here() -> None:
    with beside([replace(RACE, names=("oracle",))]) as running, pytest.raises(KeyError) as raised:
        finished(running)
    assert "Traceback" in raised.value.__notes__[0]


def test_one_that_dies_is_told_of_and_others_end_with_the_block() -> None:
    with beside([RACE, RACE]) as running:
        processes = running.processes
        processes[0].kill()
        with pytest.raises(GroupBroken, match="-9"):
            finished(running)
    assert all(process.exitcode is not None for process in processes)


@pytest.mark.parametrize(
    ("processes", "dealt"),
    [
        (1, [(POPULARITY, ITEM_KNN, FROZEN, SASREC)]),
        (2, [(POPULARITY, ITEM_KNN, SASREC), (FROZEN,)]),
        (9, [(POPULARITY, ITEM_KNN), (FROZEN,), (SASREC,)]),
    ],
)
def test_statistics_stay_together(processes: int, dealt: Sequence[tuple[str, ...]]) -> None:
    assert packed((POPULARITY, FROZEN, SASREC, ITEM_KNN), processes) == dealt
    assert packed((), processes) == []


@pytest.mark.parametrize("stop", [100, 113])
def test_static_beside_a_learner_is_one_that_learned_by_itself(stop: int) -> None:
    loop, config = Loop(), LearnerConfig(step_examples=4)

    def learner() -> OnlineLearner:
        return OnlineLearner(loop.catalogue, RandomVectors(), 3, config)

    both, alone, until = LearnerWithStatic(learner(), stop), learner(), LearnsUntil(learner(), stop)
    held = loop.examples[-20:]
    for start in range(0, 200, 10):
        run = loop.examples[start : start + 10]
        pairs = (both, alone), (both.static, until)
        assert [ours.learn(run).steps for ours, _ in pairs] == [
            theirs.learn(run).steps for _, theirs in pairs
        ]
        for ours, theirs in pairs:
            for one, other in zip(
                ours.snapshot().score(held), theirs.snapshot().score(held), strict=True
            ):
                np.testing.assert_array_equal(one, other)
