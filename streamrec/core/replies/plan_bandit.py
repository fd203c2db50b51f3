"""Which plan for whom: a contextual bandit, the fast half of what replies learn.

A Bayesian linear regression of the reward on what a plan is, what is known of somebody, and every
product of the two. What a plan does for one kind of people is so learned from all plans that share
a trait with it; with 16 plans and some hundred answers there is no other way. Plans are chosen by
Thompson sampling (Thompson 1933; for linear models Agrawal & Goyal 2013).

**Propensity.** Thompson sampling has no closed form for the chance of a plan. So ``DRAWS`` samples
of the weights are drawn, the share of them in which a plan is best is counted, and the plan is
drawn from these shares, each at least ``LEAST / K``:

    p_k = (1 - LEAST) * count_k / DRAWS + LEAST / K

The chance that is told is then exactly the chance with which it was chosen, not an estimate of it.

**State.** Sums over examples, of the numbers as they came: of their products, of their products
with the reward, and of the weights. The posterior is computed from these where it is needed, in
coordinates in which what is known of people has mean 0 and variance 1 among those seen so far
(linear in the numbers, so nothing has to be kept but the sums), with a prior that expects a trait
to matter by some 20 points, and to matter otherwise for other people by some 10.

Knows nothing of texts. Depends on examples alone: the same ones in the same order, the same bits.

Legend: C numbers of a context, X of them with a 1 before, T traits with a 1 before, F = T X
numbers of a plan for somebody, K plans, S draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrec.core.replies.context import CONTEXT
from streamrec.core.replies.plan import PLANS, Length, Plan, Tone

Floats = NDArray[np.float64]
Seed = int | Sequence[int]

TRAITS = ("warm", "long", "history", "question")
DRAWS = 200
LEAST = 0.05
"""Chance that is shared out among all plans, whatever is believed: what is never chosen can never
be learned about, nor judged (``core.release.off_policy``)."""

NOISE = 0.25
"""Variance of a reward of 0 or 1 that is as likely as not."""
TRAIT_SPREAD, PERSONAL_SPREAD, PEOPLE_SPREAD = 0.2, 0.1, 0.2
"""Standard deviations of the prior: of a trait, of its product with what is known of somebody, and
of the latter alone."""
LEAST_VARIANCE = 1e-4
"""Of a number of the context: what all people have in common tells nothing."""


@dataclass(frozen=True, slots=True)
class ChosenPlan:
    """Its place in ``PLANS``, and with which probability it was chosen."""

    index: int
    propensity: float


class Effect(NamedTuple):
    """By how much having a trait, and not its opposite, changes what is expected; points of 1."""

    mean: float
    standard_error: float


def traits_of(plan: Plan) -> Floats:
    """(T,): a 1, then 1 or -1 for each of ``TRAITS``."""
    has = (plan.tone is Tone.WARM, plan.length is Length.LONG, plan.history, plan.question)
    return np.array([1.0, *(1.0 if one else -1.0 for one in has)])


TRAITS_KT: Floats = np.stack([traits_of(plan) for plan in PLANS])
_T, _X = len(TRAITS) + 1, len(CONTEXT) + 1


class PlanBandit:
    """What is believed about plans."""

    def __init__(self) -> None:
        self._products_FF = np.zeros((_T * _X, _T * _X))
        self._rewarded_F = np.zeros(_T * _X)
        self.answers = 0

    def learn(
        self, plan: int, context_C: NDArray[np.floating[Any]], reward: float, weight: float = 1.0
    ) -> None:
        """One answer. ``weight``: how much it says; an answer of weight 0 says nothing."""
        values_F = np.kron(TRAITS_KT[plan], _with_one(context_C))
        self._products_FF += weight * np.outer(values_F, values_F)
        self._rewarded_F += weight * (reward - 0.5) * values_F
        self.answers += 1

    def choose(self, context_C: NDArray[np.floating[Any]], seed: Seed) -> ChosenPlan:
        """For somebody; equal seeds and beliefs choose equally."""
        drawn = np.random.default_rng(seed)
        chances_K = self._chances(context_C, drawn)
        index = int(drawn.choice(len(PLANS), p=chances_K))
        return ChosenPlan(index, float(chances_K[index]))

    def chances(self, context_C: NDArray[np.floating[Any]], seed: Seed) -> Floats:
        """(K,): with which probability ``choose`` takes each plan, with this seed's draws."""
        return self._chances(context_C, np.random.default_rng(seed))

    def expected(self, plan: int, context_C: NDArray[np.floating[Any]]) -> float:
        """The reward that a plan is believed to get, in [0, 1]."""
        mean_F, _ = self._posterior()
        values_F = np.kron(TRAITS_KT[plan], self._standard(context_C))
        return float(np.clip(0.5 + values_F @ mean_F, 0.0, 1.0))

    def effects(self, context_C: NDArray[np.floating[Any]]) -> Mapping[str, Effect]:
        """What each trait is believed to do for somebody."""
        mean_F, spread_FF = self._posterior()
        covariance_FF = spread_FF @ spread_FF.T
        standard_X, found = self._standard(context_C), {}
        for place, name in enumerate(TRAITS, 1):
            along_F = np.kron(np.eye(_T)[place], standard_X)
            error = float(np.sqrt(along_F @ covariance_FF @ along_F))
            found[name] = Effect(2 * float(along_F @ mean_F), 2 * error)
        return found

    def copy(self) -> PlanBandit:
        return PlanBandit.from_state(self.state())

    def state(self) -> dict[str, Floats]:
        """Everything: what ``from_state`` takes."""
        return {
            "products": self._products_FF.copy(),
            "rewarded": self._rewarded_F.copy(),
            "answers": np.array(float(self.answers)),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.floating[Any]]]) -> PlanBandit:
        """Raises KeyError, ValueError for what is no state of such a bandit."""
        made = cls()
        made._products_FF[:] = _sound(state["products"], made._products_FF.shape)
        made._rewarded_F[:] = _sound(state["rewarded"], made._rewarded_F.shape)
        made.answers = int(_sound(state["answers"], ()))
        return made

    def _chances(self, context_C: NDArray[np.floating[Any]], drawn: np.random.Generator) -> Floats:
        mean_F, spread_FF = self._posterior()
        samples_SF = mean_F + drawn.standard_normal((DRAWS, _T * _X)) @ spread_FF.T
        per_trait_ST = samples_SF.reshape(DRAWS, _T, _X) @ self._standard(context_C)
        best_S = np.argmax(per_trait_ST @ TRAITS_KT.T, axis=1)
        count_K = np.bincount(best_S, minlength=len(PLANS))
        return (1.0 - LEAST) * count_K / DRAWS + LEAST / len(PLANS)

    def _posterior(self) -> tuple[Floats, Floats]:
        """Mean (F,), and a root of the covariance (F, F), in standard coordinates."""
        to_standard_XX = self._coordinates()
        change_FF = np.kron(np.eye(_T), to_standard_XX)
        precision_FF = change_FF @ self._products_FF @ change_FF.T / NOISE
        precision_FF += np.diag(_PRIOR_PRECISION_F)
        root_FF = np.linalg.inv(np.linalg.cholesky(precision_FF)).T
        mean_F = root_FF @ root_FF.T @ (change_FF @ self._rewarded_F) / NOISE
        return mean_F, root_FF

    def _coordinates(self) -> Floats:
        """(X, X): from a 1 and the numbers as they come to a 1 and standard numbers."""
        people_XX = self._products_FF[:_X, :_X]  # of the trait that is always 1
        change_XX = np.eye(_X)
        weight = people_XX[0, 0]
        if weight > 0.0:
            mean_C = people_XX[0, 1:] / weight
            variance_C = np.diag(people_XX)[1:] / weight - mean_C**2
            scale_C = np.where(variance_C > LEAST_VARIANCE, variance_C, np.inf) ** -0.5
            change_XX[1:, 1:] = np.diag(scale_C)
            change_XX[1:, 0] = -mean_C * scale_C
        return change_XX

    def _standard(self, context_C: NDArray[np.floating[Any]]) -> Floats:
        """(X,)."""
        return self._coordinates() @ _with_one(context_C)


def _prior_precision() -> Floats:
    spread_TX = np.full((_T, _X), PERSONAL_SPREAD)
    spread_TX[0, :] = PEOPLE_SPREAD
    spread_TX[1:, 0] = TRAIT_SPREAD
    return spread_TX.reshape(-1) ** -2.0


_PRIOR_PRECISION_F = _prior_precision()


def _with_one(context_C: Sequence[float] | NDArray[np.floating[Any]]) -> Floats:
    return np.concatenate([[1.0], np.asarray(context_C, np.float64)])


def _sound(values: NDArray[np.floating[Any]], shape: tuple[int, ...]) -> Floats:
    found = np.asarray(values, np.float64)
    if found.shape != shape or not np.isfinite(found).all():
        raise ValueError(f"{found.shape} numbers, or not all finite, in place of {shape}")
    return found
