"""SNIPS on lists whose whole distribution is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from streamrec.core.release.off_policy import Snips, greedy_weight
from streamrec.tasks.ranking.lists.exploration import Exploration, last_slot


def test_the_greedy_value_is_recovered_from_exploring_lists() -> None:
    """The k-th item is clicked half the time, the explored ones a tenth of it."""
    generator, rule = np.random.default_rng(3), Exploration(0.4, 10)
    greedy, all_lists = Snips(), 0.0
    lists = 20_000
    for n in range(lists):
        rank, propensity = last_slot(rule, f"r{n}", 3, 40)
        outcome = float(generator.random() < (0.5 if rank == 2 else 0.05))
        greedy.add(greedy_weight([1.0, 1.0, propensity], explored=rank > 2), outcome)
        all_lists += outcome
    assert greedy.value == pytest.approx(0.5, abs=4 * greedy.standard_error)
    assert all_lists / lists < 0.4, "what the lists as they were made would say"
    assert greedy.standard_error == pytest.approx(math.sqrt(0.25 / greedy.effective), rel=0.02)


def test_equal_weights_have_the_effective_size_of_their_number() -> None:
    snips = Snips()
    for outcome in (1.0, 0.0, 0.0, 1.0):
        snips.add(1.25, outcome)
    assert (snips.value, snips.effective, snips.lists) == (0.5, 4.0, 4)
    assert snips.standard_error == pytest.approx(0.25)


def test_one_heavy_list_is_an_estimate_from_one_list() -> None:
    snips = Snips()
    snips.add(100.0, 1.0)
    for _ in range(99):
        snips.add(0.1, 0.0)
    assert snips.effective == pytest.approx(1.2, abs=0.1)


def test_nothing_is_known_without_weight() -> None:
    snips = Snips()
    snips.add(0.0, 1.0)
    assert (snips.value, snips.effective, snips.standard_error) == (None, 0.0, None)


def test_an_explored_list_has_no_weight_and_a_propensity_must_be_one() -> None:
    assert greedy_weight([1.0, 0.04], explored=True) == 0.0
    assert greedy_weight([1.0, 0.8], explored=False) == pytest.approx(1.25)
    with pytest.raises(ValueError, match="propensity"):
        greedy_weight([0.0], explored=False)
