"""Halves, slices and paired differences of predictions made by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from streamrec.core.examples import FloatArray
from streamrec.lab.measures.leaderboard import (
    LONG_MS,
    Prediction,
    SampledList,
    ScoredSpan,
    curve,
    differences,
    gain,
    report_of,
    slice_differences,
    slices_of,
)

SPAN = ScoredSpan(0, 100)


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
    slices = {"new_users": 1, "new_items": 0, "long_away": 1, "never_accepted": 0}
    assert counts == slices | {"last_quarter": 1}


def lead(ours: list[Prediction], theirs: list[Prediction]) -> dict[str, Any]:
    found: dict[str, Any] = differences(ours, theirs, seed=1)["next_click"]["ndcg@10"]
    return found


def test_a_clear_lead_is_significant_and_a_tie_is_not() -> None:
    rng = np.random.default_rng(0)
    ours = [click(n, int(rng.integers(1, 4)), user=f"u{n % 20}") for n in range(200)]
    theirs = [click(n, int(rng.integers(8, 40)), user=f"u{n % 20}") for n in range(200)]
    clear = lead(ours, theirs)
    assert clear["significant"]
    assert clear["low"] < clear["mean"] < clear["high"]
    assert clear["ratio_low"] < clear["ratio"] < clear["ratio_high"]
    assert (clear["events"], clear["users"]) == (200, 20)
    same = lead(ours, ours)
    assert (same["mean"], same["ratio"], same["p_value"]) == (0.0, 1.0, 1.0)
    assert not same["significant"]


def test_one_user_alone_proves_nothing_by_many_events() -> None:
    ours = [click(n, 1, user="fan") for n in range(100)] + [click(200, 50, user="other")]
    theirs = [click(n, 2, user="fan") for n in range(100)] + [click(200, 1, user="other")]
    assert lead(ours, theirs)["mean"] > 0
    assert not lead(ours, theirs)["significant"]


def test_kinds_are_compared_apart_and_by_each_metric() -> None:
    labels = np.array([1.0, 0.0], np.float32)
    right, wrong = np.array([0.9, 0.1], np.float32), np.array([0.1, 0.9], np.float32)

    def shown(scores: FloatArray) -> Prediction:
        return Prediction(60, "u", 0, 0.0, 0, 0, scores, labels)

    found = differences([click(50, 1), shown(right)], [click(50, 1), shown(wrong)], seed=0)
    assert set(found["next_click"]) == {"hr@10", "ndcg@10", "mrr"}
    assert found["next_click"]["mrr"]["mean"] == 0.0
    assert found["impressions"]["auc"]["mean"] == 1.0
    assert found["impressions"]["auc"]["ratio"] is None  # theirs is zero


def test_other_events_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="event 1 cannot be compared with event 2"):
        differences([click(1, 1)], [click(2, 1)], seed=0)


def test_nothing_to_compare_is_nothing() -> None:
    assert differences([], [], seed=0) == {}


def test_slices_are_compared_in_the_main_metric() -> None:
    ours, theirs = [click(60, 1, history=1)], [click(60, 3, history=1)]
    found = slice_differences(ours, theirs, SPAN, seed=0)
    assert found["new_users"]["next_click"]["ndcg@10"]["mean"] == pytest.approx(0.5)
    assert found["long_away"] == {}


def test_probabilities_are_checked_on_sampled_lists_where_nothing_was_shown() -> None:
    scores, labels = np.array([0.5, 0.5], np.float32), np.array([1.0, 0.0], np.float32)
    report = report_of([click(60, 1)], SPAN, [SampledList(10, scores, labels)])
    assert report["calibration"]["of"] == "sampled_lists"
    assert report["calibration"]["log_loss"] == pytest.approx(math.log(2))
    assert report["second_half"]["calibration"]["n"] == 0
    shown = Prediction(60, "u", 0, 0.0, 0, 0, scores, labels)
    both = report_of([shown], SPAN, [SampledList(10, 0.1 * scores, labels)])
    assert both["calibration"]["of"] == "impressions"
    assert both["calibration"]["n"] == 2


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
    assert points[2] is None
    assert points[3] == 1.0
