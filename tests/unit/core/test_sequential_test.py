"""How often the test is wrong when somebody looks all the time, and how soon it is right."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.canary import watch
from streamrec.core.release.sequential_test import Rate, TestRules, Verdict, capped_rate, look

RULES = TestRules()


@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"spread": 4.0, "uneven": True, "users": 60},
    ],
)
@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_equal_generations_are_rarely_called_different(rate: float, kind: dict) -> None:
    runs = 100
    wrong = sum(watch(seed, rate, rate, **kind)[0] is not Verdict.UNDECIDED for seed in range(runs))
    three_sigma = 3 * (RULES.alpha * (1 - RULES.alpha) / runs) ** 0.5
    assert wrong / runs <= RULES.alpha + three_sigma


def test_a_fixed_sample_test_would_be_wrong_far_too_often() -> None:
    """What the mixture is for: the same looks with 1.96 standard errors."""
    runs, wrong = 100, 0
    for seed in range(runs):
        generator = np.random.default_rng(seed)
        clicked = generator.random((2, 3000)) < 0.3
        n = np.arange(50, 3001, 20)
        means = np.cumsum(clicked, axis=1)[:, n - 1] / n
        error = np.sqrt((means * (1 - means)).sum(axis=0) / n)
        wrong += bool((np.abs(means[1] - means[0]) > 1.96 * error).any())
    assert wrong / runs > 0.2


@pytest.mark.parametrize(
    ("champion", "canary", "expected", "within"),
    [
        (0.3, 0.0, Verdict.HARM, 600),
        (0.3, 0.15, Verdict.HARM, 1500),
        (0.1, 0.02, Verdict.HARM, 2500),
        (0.3, 0.5, Verdict.BENEFIT, 1500),
    ],
)
def test_real_differences_are_found(
    champion: float, canary: float, expected: Verdict, within: int
) -> None:
    found = [watch(seed, champion, canary) for seed in range(40)]
    right = sum(verdict is expected and lists <= within for verdict, lists in found)
    assert right >= 38, found


def test_the_interval_holds_the_difference_and_shrinks() -> None:
    few = look(Rate(200, 60, 100, 0.3, 0.001), Rate(200, 50, 100, 0.25, 0.001), RULES)
    many = look(Rate(9000, 2700, 900, 0.3, 2e-5), Rate(9000, 2250, 900, 0.25, 2e-5), RULES)
    assert few.interval[0] < few.difference < few.interval[1]
    assert few.interval[0] < many.interval[0] < many.interval[1] < few.interval[1]
    assert (few.verdict, many.verdict) == (Verdict.UNDECIDED, Verdict.HARM)


def test_a_tolerated_loss_is_no_harm() -> None:
    arms = Rate(9000, 2700, 900, 0.3, 2e-5), Rate(9000, 2340, 900, 0.26, 2e-5)
    assert look(*arms, RULES).verdict is Verdict.HARM
    assert look(*arms, TestRules(harm=0.2)).verdict is Verdict.UNDECIDED


def test_nothing_is_said_of_too_few() -> None:
    many, few = Rate(9000, 2700, 900, 0.3, 2e-5), Rate(40, 0, 30, 0.0, 0.0)
    assert look(many, few, RULES).verdict is Verdict.UNDECIDED
    assert look(many, Rate(), RULES).verdict is Verdict.UNDECIDED
    four = Rate(400, 0, 4, 0.0, 0.0)
    assert look(many, four, RULES).verdict is Verdict.UNDECIDED, "four users are no public"
    clickless = Rate(9000, 0, 900, 0.0, 0.0)
    assert look(clickless, clickless, RULES).verdict is Verdict.UNDECIDED


def test_one_busy_user_weighs_no_more_than_the_cap() -> None:
    rate = capped_rate([1000, 2, 2], [1000, 0, 0], user_lists=4)
    assert (rate.lists, rate.clicked, rate.users) == (8.0, 4.0, 3)
    assert rate.mean == pytest.approx(0.5)


def test_users_who_agree_with_themselves_count_as_users_not_as_lists() -> None:
    """Ten users, half of whom always click: that is ten observations, not two hundred."""
    rate = capped_rate([20] * 10, [20, 0] * 5, user_lists=20)
    assert rate.user_variance == pytest.approx(0.25 / 9 * 9 / 7)
    assert rate.user_variance > 20 * 0.9 * (0.25 / 200)
