"""Metrics by hand-made cases; ties and non-finite scores must never help."""

from __future__ import annotations

import math

import numpy as np
import pytest

from streamrec.core.measures.prequential import Calibration, Impressions, NextClicks, auc, rank_of

YES = np.ones(4, bool)


def test_a_target_is_behind_everything_it_ties_with() -> None:
    assert rank_of(2, np.array([0.5, 0.5, 0.5, 0.1]), YES) == 3
    assert rank_of(2, np.array([0.5, 0.4, 0.6, 0.1]), YES) == 1


def test_items_not_allowed_do_not_stand_in_the_way_and_the_target_always_counts() -> None:
    allowed = np.array([False, True, False, True])
    assert rank_of(2, np.array([0.9, 0.8, 0.7, 0.1]), allowed) == 2


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_scores_that_are_not_finite_raise(bad: float) -> None:
    scores = np.array([bad, 0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="finite"):
        rank_of(0, scores, YES)
    with pytest.raises(ValueError, match="finite"):
        Impressions().add(scores, np.array([1.0, 0, 0, 0]))
    with pytest.raises(ValueError, match="finite"):
        Calibration().add(np.array([math.nan]), np.array([1.0]))


def test_next_clicks() -> None:
    report = (NextClicks().add(1) + NextClicks().add(3).add(11)).report()
    assert report["n"] == 3
    assert report["hr@10"] == pytest.approx(2 / 3)
    assert report["ndcg@10"] == pytest.approx((1 + 1 / 2) / 3)
    assert report["mrr"] == pytest.approx((1 + 1 / 3 + 1 / 11) / 3)


def test_an_impression_with_two_accepted_items() -> None:
    scores, labels = np.array([0.9, 0.5, 0.4, 0.1]), np.array([1.0, 0, 1, 0])
    report = Impressions().add(scores, labels).report()
    assert report["auc"] == pytest.approx(3 / 4)
    assert report["mrr"] == 1.0
    ideal = 1 + 1 / math.log2(3)
    assert report["ndcg@5"] == pytest.approx((1 + 1 / 2) / ideal)


def test_an_impression_of_equal_scores_is_worth_nothing() -> None:
    report = Impressions().add(np.zeros(4), np.array([1.0, 0, 0, 0])).report()
    assert report["auc"] == 0.0
    assert report["mrr"] == 0.25


def test_impressions_with_one_outcome_are_not_counted() -> None:
    assert Impressions().add(np.zeros(3), np.zeros(3)).n == 0
    assert Impressions().add(np.zeros(3), np.ones(3)).n == 0
    with pytest.raises(ValueError, match="both"):
        auc(np.zeros(3), np.ones(3))


def test_calibration_of_a_coin() -> None:
    perfect = Calibration().add(np.full(4, 0.5), np.array([1.0, 0, 1, 0])).report()
    assert perfect["ece"] == pytest.approx(0.0)
    assert perfect["log_loss"] == pytest.approx(math.log(2))
    sure = Calibration().add(np.full(4, 0.9), np.array([1.0, 0, 1, 0])).report()
    assert sure["ece"] == pytest.approx(0.4)
