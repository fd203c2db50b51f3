"""Predict-then-learn metrics: every prediction is scored before its outcome is learned.

Ties count against the prediction: an item is behind every other with the same score. Non-finite
scores raise, they never win.

Sums can be merged (``+``), so slices and halves are the same type as the whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

Sums = TypeVar("Sums", "NextClicks", "Impressions", "Calibration")

BINS = 20
"""Of predicted probability, for the expected calibration error."""


def rank_of(target: int, scores_N: Floats, allowed_N: NDArray[np.bool_]) -> int:
    """1-based rank of the target among allowed items (itself always is), last among ties.

    Raises ValueError for scores that are not finite.
    """
    _check_finite(scores_N)
    ahead = (scores_N >= scores_N[target]) & allowed_N
    return int(np.count_nonzero(ahead)) + 1 - int(ahead[target])


@dataclass(frozen=True, slots=True)
class NextClicks:
    """Sums over accepted events ranked against the catalogue; one relevant item each."""

    n: int = 0
    hits_10: float = 0.0
    ndcg_10: float = 0.0
    reciprocal: float = 0.0

    def add(self, rank: int) -> NextClicks:
        """``rank``: 1-based."""
        hit = rank <= 10
        gain = 1.0 / math.log2(rank + 1) if hit else 0.0
        return NextClicks(
            self.n + 1, self.hits_10 + hit, self.ndcg_10 + gain, self.reciprocal + 1.0 / rank
        )

    def __add__(self, other: NextClicks) -> NextClicks:
        return _sum(self, other)

    def report(self) -> dict[str, float]:
        n = max(self.n, 1)
        return {
            "n": self.n,
            "hr@10": self.hits_10 / n,
            "ndcg@10": self.ndcg_10 / n,
            "mrr": self.reciprocal / n,
        }


@dataclass(frozen=True, slots=True)
class Impressions:
    """Sums over impressions that have accepted and other items; each counts once."""

    n: int = 0
    auc: float = 0.0
    reciprocal: float = 0.0
    ndcg_5: float = 0.0
    ndcg_10: float = 0.0

    def add(self, scores_C: Floats, labels_C: Floats) -> Impressions:
        """One impression; one without both outcomes has no order to get right: unchanged."""
        if not 0 < np.count_nonzero(labels_C > 0) < len(labels_C):
            return self
        _check_finite(scores_C)
        ranks = _ranks_of_accepted(scores_C, labels_C)
        gains = 1.0 / np.log2(ranks + 1)
        return Impressions(
            self.n + 1,
            self.auc + auc(scores_C, labels_C),
            self.reciprocal + 1.0 / float(ranks[0]),
            self.ndcg_5 + float(gains[ranks <= 5].sum()) / _ideal(len(ranks), 5),
            self.ndcg_10 + float(gains[ranks <= 10].sum()) / _ideal(len(ranks), 10),
        )

    def __add__(self, other: Impressions) -> Impressions:
        return _sum(self, other)

    def report(self) -> dict[str, float]:
        n = max(self.n, 1)
        return {
            "n": self.n,
            "auc": self.auc / n,
            "mrr": self.reciprocal / n,
            "ndcg@5": self.ndcg_5 / n,
            "ndcg@10": self.ndcg_10 / n,
        }


@dataclass(frozen=True, slots=True)
class Calibration:
    """Log loss and expected calibration error (Naeini et al. 2015, equal-width bins)."""

    n: int = 0
    log_loss: float = 0.0
    count_B: NDArray[np.float64] = field(default_factory=lambda: np.zeros(BINS))
    predicted_B: NDArray[np.float64] = field(default_factory=lambda: np.zeros(BINS))
    accepted_B: NDArray[np.float64] = field(default_factory=lambda: np.zeros(BINS))

    def add(self, probabilities: Floats, labels: Floats) -> Calibration:
        _check_finite(probabilities)
        p = np.clip(probabilities.astype(float), 1e-7, 1.0 - 1e-7)
        bins = np.minimum((p * BINS).astype(int), BINS - 1)
        losses = -(labels * np.log(p) + (1.0 - labels) * np.log1p(-p))
        return Calibration(
            self.n + len(p),
            self.log_loss + float(losses.sum()),
            self.count_B + np.bincount(bins, minlength=BINS),
            self.predicted_B + np.bincount(bins, p, minlength=BINS),
            self.accepted_B + np.bincount(bins, labels, minlength=BINS),
        )

    def __add__(self, other: Calibration) -> Calibration:
        return _sum(self, other)

    def report(self) -> dict[str, float]:
        n = max(self.n, 1)
        gap = float(np.abs(self.predicted_B - self.accepted_B).sum())
        return {"n": self.n, "log_loss": self.log_loss / n, "ece": gap / n}


def auc(scores_C: Floats, labels_C: Floats) -> float:
    """P(an accepted item is scored strictly above another); ties count against us."""
    _check_finite(scores_C)
    accepted, others = scores_C[labels_C > 0], np.sort(scores_C[labels_C <= 0])
    if not len(accepted) or not len(others):
        raise ValueError("an AUC needs both outcomes")
    return float(np.searchsorted(others, accepted, side="left").mean() / len(others))


def _ranks_of_accepted(scores_C: Floats, labels_C: Floats) -> NDArray[np.int64]:
    """Ascending 1-based ranks in the list that puts accepted items last among ties."""
    order = np.lexsort((labels_C, -scores_C))
    return np.flatnonzero(labels_C[order] > 0) + 1


def _check_finite(values: Floats) -> None:
    if not np.isfinite(values).all():
        raise ValueError("scores are not finite: nothing can be ranked by them")


def _ideal(relevant: int, k: int) -> float:
    return float((1.0 / np.log2(np.arange(min(relevant, k)) + 2)).sum())


def _sum(one: Sums, other: Sums) -> Sums:
    totals = {f.name: getattr(one, f.name) + getattr(other, f.name) for f in fields(one)}
    return replace(one, **totals)
