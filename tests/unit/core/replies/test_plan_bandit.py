"""Which plan for whom."""

from __future__ import annotations

import numpy as np
import pytest

from streamrec.core.replies.context import CONTEXT
from streamrec.core.replies.plan import PLANS, Length, Tone
from streamrec.core.replies.plan_bandit import LEAST, PlanBandit

SOMEBODY = np.full(len(CONTEXT), 0.3)


def person(variety: float) -> np.ndarray:
    context_C = SOMEBODY.copy()
    context_C[CONTEXT.index("variety")] = variety
    return context_C


def taught(rate, answers: int, seed: int = 0) -> PlanBandit:
    """Chooses, is told by chance, learns; ``rate``: of a plan for a variety."""
    bandit, drawn = PlanBandit(), np.random.default_rng(seed)
    for at in range(answers):
        variety = float(drawn.random())
        plan = bandit.choose(person(variety), at).index
        reward = float(drawn.random() < rate(PLANS[plan], variety))
        bandit.learn(plan, person(variety), reward)
    return bandit


def likes_warm(plan, variety: float) -> float:
    return 0.8 if plan.tone is Tone.WARM else 0.3


def depends(plan, variety: float) -> float:
    return 0.8 if (plan.length is Length.LONG) == (variety > 0.5) else 0.3


def test_nothing_known_means_any_plan() -> None:
    chances_K = PlanBandit().chances(SOMEBODY, 1)
    assert chances_K.sum() == pytest.approx(1.0)
    assert chances_K.max() < 0.2


def test_what_is_told_is_the_chance_with_which_it_was_chosen() -> None:
    bandit = taught(likes_warm, 60)
    chosen = bandit.choose(SOMEBODY, 7)
    assert chosen.propensity == bandit.chances(SOMEBODY, 7)[chosen.index]
    assert bandit.chances(SOMEBODY, 7).min() >= LEAST / len(PLANS)


def test_it_learns_what_people_like() -> None:
    bandit = taught(likes_warm, 150)
    warm = [at for at, plan in enumerate(PLANS) if plan.tone is Tone.WARM]
    assert bandit.chances(SOMEBODY, 3)[warm].sum() > 0.9
    effect = bandit.effects(SOMEBODY)["warm"]
    assert effect.mean - 2 * effect.standard_error > 0.1
    assert bandit.expected(warm[0], SOMEBODY) > bandit.expected(0, SOMEBODY) + 0.2


def test_it_learns_who_likes_what() -> None:
    bandit = taught(depends, 300)
    long = [at for at, plan in enumerate(PLANS) if plan.length is Length.LONG]
    assert bandit.chances(person(0.95), 3)[long].sum() > 0.8
    assert bandit.chances(person(0.05), 3)[long].sum() < 0.2


def test_the_same_answers_make_the_same_bits_and_a_state_is_all_of_it() -> None:
    one, other = taught(depends, 40), taught(depends, 40)
    back = PlanBandit.from_state(one.state())
    for bandit in (other, back, one.copy()):
        assert bandit.chances(SOMEBODY, 5).tobytes() == one.chances(SOMEBODY, 5).tobytes()
        assert bandit.answers == 40


def test_an_answer_without_weight_says_nothing() -> None:
    bandit = PlanBandit()
    bandit.learn(3, SOMEBODY, 1.0, weight=0.0)
    assert bandit.chances(SOMEBODY, 5).tobytes() == PlanBandit().chances(SOMEBODY, 5).tobytes()


@pytest.mark.parametrize("name", ["products", "rewarded", "answers"])
def test_a_state_that_cannot_be_is_refused(name: str) -> None:
    state = PlanBandit().state()
    state[name] = state[name] * np.nan
    with pytest.raises(ValueError, match="finite"):
        PlanBandit.from_state(state)
