"""Halves, slices and paired differences of predictions made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from streamrec.core.leaderboard import (
    LONG_MS,
    Prediction,
    Span,
    curve,
    difference,
    gain,
    report_of,
    slices_of,
)

SPAN = Span(0, 100)


def click(
    number: int, rank: int, user: str = "u", history: int = 9, away_ms: int = 0
) -> Prediction:
    return Prediction(number, user, history, 9.0, away_ms, rank)


def test_the_second_half_is_that_of_the_scored_events() -> None:
    report = report_of([click(10, 1), click(50, 1), click(90, 20)], SPAN)
    assert report["next_click"]["n"] == 3
    assert report["second_half"]["next_click"]["n"] == 2
    assert report["second_half"]["next_click"]["hr@10"] == 0.5


def test_slices_take_their_own() -> None:
    predictions = [
        click(60, 1, history=1),
        click(61, 1, away_ms=LONG_MS + 1),
        click(80, 1),
        click(10, 1, history=1),  # first half: in no slice
    ]
    counts = {name: r["next_click"]["n"] for name, r in slices_of(predictions, SPAN).items()}
    assert counts == {"new_users": 1, "new_items": 0, "long_away": 1, "last_quarter": 1}


def test_a_clear_lead_is_significant_and_a_tie_is_not() -> None:
    rng = np.random.default_rng(0)
    ours = [click(n, int(rng.integers(1, 4)), user=f"u{n % 20}") for n in range(200)]
    theirs = [click(n, int(rng.integers(8, 40)), user=f"u{n % 20}") for n in range(200)]
    lead = difference(ours, theirs, seed=1)
    assert lead is not None
    assert lead.significant
    assert lead.low < lead.mean < lead.high
    same = difference(ours, ours, seed=1)
    assert same is not None
    assert same.mean == 0.0
    assert not same.significant


def test_one_user_alone_proves_nothing_by_many_events() -> None:
    ours = [click(n, 1, user="fan") for n in range(100)] + [click(200, 50, user="other")]
    theirs = [click(n, 2, user="fan") for n in range(100)] + [click(200, 1, user="other")]
    lead = difference(ours, theirs, seed=1)
    assert lead is not None
    assert lead.mean > 0
    assert not lead.significant


def test_nothing_to_compare_is_none() -> None:
    assert difference([], [], seed=0) is None


def test_gains() -> None:
    assert gain(click(0, 1)) == 1.0
    assert gain(click(0, 11)) == 0.0
    labels = np.array([1.0, 0.0], np.float32)
    shown = Prediction(0, "u", 0, 0.0, 0, 0, np.array([0.9, 0.1], np.float32), labels)
    assert gain(shown) == 1.0
    assert gain(Prediction(0, "u", 0, 0.0, 0, 0, np.zeros(2, np.float32), 0 * labels)) is None


def test_the_curve_has_one_mean_a_part() -> None:
    points = curve([click(0, 1), click(49, 11), click(99, 1)], SPAN, points=4)
    assert points[0] == 1.0
    assert points[1] == pytest.approx(0.0)
    assert math.isnan(points[2])
    assert points[3] == 1.0
