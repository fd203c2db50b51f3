"""Cutting a stream in time."""

from __future__ import annotations

import pytest

from streamrec.lab.replay.time_split import time_split


def test_shares_become_event_numbers() -> None:
    split = time_split(list(range(100)), (0.8, 0.1, 0.1))
    assert (split.validation, split.test, split.end) == (80, 90, 100)


def test_events_of_one_moment_stay_together() -> None:
    times = [*range(78), 78, 78, 78, 78, *range(82, 100)]
    assert time_split(times, (0.8, 0.1, 0.1)).validation == 78


@pytest.mark.parametrize("shares", [(0.8, 0.2, 0.0), (0.5, 0.1, 0.1), (1.2, -0.1, -0.1)])
def test_shares_must_add_up(shares: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="add up to 1"):
        time_split(list(range(100)), shares)


@pytest.mark.parametrize("times", [[], [1], [7] * 50])
def test_a_part_without_events_is_named(times: list[int]) -> None:
    with pytest.raises(ValueError, match="leave nothing for"):
        time_split(times, (0.8, 0.1, 0.1))
