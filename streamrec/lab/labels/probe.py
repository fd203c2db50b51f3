"""A logistic head on vectors: what the frozen model is worth, and where an adapter's head begins.

Knows vectors and labels. Does not know where vectors come from.

Shapes: N texts, D dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PENALTIES = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
"""On half the squared weights, per example and in units of standardised vectors; strong first."""

NEWTON_STEPS = 30
SMALL = 1e-6


@dataclass(frozen=True, slots=True)
class Probe:
    """log-odds of label 1 = ((vector - centre) / spread) · weights + bias."""

    centre_D: Floats
    spread_D: Floats
    weights_D: Floats
    bias: float

    def logits(self, vectors_ND: NDArray[np.floating[Any]]) -> Floats:
        """(N,)"""
        return ((vectors_ND - self.centre_D) / self.spread_D) @ self.weights_D + self.bias


def log_loss(logits_N: Floats, labels_N: Floats) -> float:
    """Mean, in nats."""
    return float(np.mean(np.logaddexp(0, logits_N) - labels_N * logits_N))


def fitted(
    train_ND: Floats, labels_N: Floats, dev_MD: Floats, dev_labels_M: Floats
) -> tuple[Probe, float]:
    """The head whose penalty serves the dev part best, and that penalty."""
    centre_D, spread_D = train_ND.mean(axis=0), np.maximum(train_ND.std(axis=0), SMALL)
    inputs_ND = (train_ND - centre_D) / spread_D
    weights_D = np.zeros(train_ND.shape[1])
    share = labels_N.mean()
    bias = float(np.log(share / (1 - share)))
    best: tuple[float, Probe, float] | None = None
    for penalty in PENALTIES:
        weights_D, bias = _newton(inputs_ND, labels_N, penalty, weights_D, bias)
        head = Probe(centre_D, spread_D, weights_D, bias)
        loss = log_loss(head.logits(dev_MD), dev_labels_M)
        if best is None or loss < best[0]:
            best = (loss, head, penalty)
    assert best is not None  # noqa: S101 - PENALTIES has one
    return best[1], best[2]


def _newton(
    inputs_ND: Floats, labels_N: Floats, penalty: float, weights_D: Floats, bias: float
) -> tuple[Floats, float]:
    """Penalised logistic regression by Newton's method with halved steps (iteratively reweighted
    least squares; Hastie, Tibshirani and Friedman, section 4.4.1); the bias is free."""
    count, width = inputs_ND.shape
    both = np.append(weights_D, bias)
    ridge = np.append(np.full(width, penalty), 0.0)
    inputs = np.hstack([inputs_ND, np.ones((count, 1))])

    def objective(values: Floats) -> float:
        return log_loss(inputs @ values, labels_N) + float(ridge @ values**2) / 2

    now = objective(both)
    for _ in range(NEWTON_STEPS):
        odds_N = 1 / (1 + np.exp(-np.clip(inputs @ both, -30, 30)))
        slope = inputs.T @ (odds_N - labels_N) / count + ridge * both
        curve = (inputs * (odds_N * (1 - odds_N) + SMALL)[:, None]).T @ inputs / count
        step = np.linalg.solve(curve + np.diag(ridge + SMALL), slope)
        size = 1.0
        while size > SMALL and objective(both - size * step) > now:
            size /= 2
        before, both = now, both - size * step
        now = objective(both)
        if before - now < SMALL:
            break
    return both[:-1], float(both[-1])
