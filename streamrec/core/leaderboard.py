"""Predictions of several models over one stream: metrics, halves, slices, significance.

Knows predictions and how they are summed. Does not know who made them or how.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrec.core.examples import FloatArray
from streamrec.core.prequential import Calibration, Impressions, NextClicks


@dataclass(frozen=True, slots=True)
class Prediction:
    """How one prediction went; what slices, bootstraps and plots are made of."""

    number: int
    user_id: str
    history: int  # accepted events of the user before
    item_accepts: float  # accepted events of the target (impression: of its items, mean) before
    away_ms: int  # since the user's last event
    rank: int = 0  # of the target; 0 for an impression
    scores_C: FloatArray | None = None
    labels_C: FloatArray | None = None


@dataclass(slots=True)
class Metrics:
    next_click: NextClicks = NextClicks()
    impressions: Impressions = Impressions()
    calibration: Calibration = field(default_factory=Calibration)

    def add(self, prediction: Prediction) -> None:
        if prediction.rank:
            self.next_click = self.next_click.add(prediction.rank)
        elif prediction.scores_C is not None and prediction.labels_C is not None:
            before = self.impressions.n
            self.impressions = self.impressions.add(prediction.scores_C, prediction.labels_C)
            if self.impressions.n > before:
                self.calibration = self.calibration.add(prediction.scores_C, prediction.labels_C)

    def report(self) -> dict[str, Any]:
        return {
            "impressions": self.impressions.report(),
            "next_click": self.next_click.report(),
            "calibration": self.calibration.report(),
        }


@dataclass(frozen=True, slots=True)
class Span:
    """The scored part of a stream, as event numbers ``[first, stop)``."""

    first: int
    stop: int

    def part(self, of: float) -> int:
        """The event number after this part of the span."""
        return self.first + int((self.stop - self.first) * of)


def report_of(predictions: Sequence[Prediction], span: Span) -> dict[str, Any]:
    """Metrics over all predictions, and the same under ``second_half``."""
    whole, second = Metrics(), Metrics()
    for prediction in predictions:
        whole.add(prediction)
        if prediction.number >= span.part(0.5):
            second.add(prediction)
    return whole.report() | {"second_half": second.report()}


FEW = 3
LONG_MS = 7 * 24 * 3_600_000

Slice = Callable[[Prediction, Span], bool]
SLICES: Mapping[str, Slice] = {
    "new_users": lambda p, span: p.history < FEW and p.number >= span.part(0.5),
    "new_items": lambda p, span: p.item_accepts < FEW and p.number >= span.part(0.5),
    "long_away": lambda p, span: p.away_ms > LONG_MS and p.number >= span.part(0.5),
    "last_quarter": lambda p, span: p.number >= span.part(0.75),
}
"""Users with fewer than FEW clicks, items with fewer, users away for LONG_MS; second half."""


def slices_of(predictions: Sequence[Prediction], span: Span) -> dict[str, Any]:
    """Metrics by slice."""
    reports = {}
    for name, chosen in SLICES.items():
        metrics = Metrics()
        for prediction in predictions:
            if chosen(prediction, span):
                metrics.add(prediction)
        reports[name] = metrics.report()
    return reports


@dataclass(frozen=True, slots=True)
class Difference:
    """Ours minus theirs, mean over events, with a 95 % interval of a paired bootstrap."""

    mean: float
    low: float
    high: float

    @property
    def significant(self) -> bool:
        return self.low > 0.0 or self.high < 0.0


def gain(prediction: Prediction) -> float | None:
    """NDCG@10 of a next click, AUC of an impression with both outcomes."""
    if prediction.rank:
        return NextClicks().add(prediction.rank).ndcg_10
    if prediction.scores_C is None or prediction.labels_C is None:
        return None
    one = Impressions().add(prediction.scores_C, prediction.labels_C)
    return one.auc if one.n else None


def difference(
    ours: Sequence[Prediction], theirs: Sequence[Prediction], seed: int, draws: int = 1_000
) -> Difference | None:
    """Paired over the same events, resampled by user (Efron & Tibshirani 1993); None if empty.

    Users, not events, are drawn: the events of one user are not independent.
    """
    sums: dict[str, list[float]] = {}
    for one, other in zip(ours, theirs, strict=True):
        gain_one, gain_other = gain(one), gain(other)
        if gain_one is None or gain_other is None:
            continue
        entry = sums.setdefault(one.user_id, [0.0, 0.0])
        entry[0] += gain_one - gain_other
        entry[1] += 1.0
    if not sums:
        return None
    table_U2: NDArray[np.float64] = np.array(list(sums.values()))
    rng = np.random.default_rng(seed)
    picks_DU = rng.integers(len(table_U2), size=(draws, len(table_U2)))
    drawn_D2 = table_U2[picks_DU].sum(axis=1)
    means_D = drawn_D2[:, 0] / drawn_D2[:, 1]
    low, high = np.quantile(means_D, [0.025, 0.975])
    total = table_U2.sum(axis=0)
    return Difference(float(total[0] / total[1]), float(low), float(high))


def second_half(predictions: Sequence[Prediction], span: Span) -> list[Prediction]:
    return [p for p in predictions if p.number >= span.part(0.5)]


def curve(predictions: Sequence[Prediction], span: Span, points: int = 20) -> list[float]:
    """Mean gain in equal parts of the span, for a plot; NaN where nothing was predicted."""
    edges = [span.part(n / points) for n in range(points + 1)]
    part = np.searchsorted(edges[1:-1], [p.number for p in predictions], side="right")
    gains: list[list[float]] = [[] for _ in range(points)]
    for place, prediction in zip(part.tolist(), predictions, strict=True):
        value = gain(prediction)
        if value is not None:
            gains[place].append(value)
    return [float(np.mean(values)) if values else float("nan") for values in gains]
