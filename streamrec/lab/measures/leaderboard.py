"""Predictions of several models over one stream: metrics, halves, slices, differences.

Knows predictions and how they are summed and paired. Does not know who made them or how,
nor how a difference is judged (``lab.measures.significance``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from streamrec.core.examples import FloatArray
from streamrec.core.measures.prequential import Calibration, Impressions, NextClicks
from streamrec.lab.measures.metric_names import IMPRESSIONS, MAIN_METRIC, NEXT_CLICK, QUERIES
from streamrec.lab.measures.significance import Comparison, paired_bootstrap

RESAMPLES = 2_000


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
    asked: bool = False  # whether a query led to the target
    again: bool = False  # whether its user has accepted the target before

    @property
    def first(self) -> bool:
        """Whether nobody is known to have accepted the target before."""
        return not (self.item_accepts or self.again)


@dataclass(frozen=True, slots=True, eq=False)
class SampledList:
    """Probabilities of an accepted item among sampled others; says nothing of ranking.

    Where nothing is shown in impressions, P(accept | shown) can only be checked on these.
    """

    number: int
    scores_C: FloatArray
    labels_C: FloatArray


@dataclass(slots=True)
class Metrics:
    next_click: NextClicks = NextClicks()
    queries: NextClicks = NextClicks()
    impressions: Impressions = Impressions()
    calibration: Calibration = field(default_factory=Calibration)
    sampled: Calibration = field(default_factory=Calibration)

    def add(self, prediction: Prediction) -> None:
        if prediction.rank and prediction.asked:
            self.queries = self.queries.add(prediction.rank)
        elif prediction.rank:
            self.next_click = self.next_click.add(prediction.rank)
        elif prediction.scores_C is not None and prediction.labels_C is not None:
            before = self.impressions.n
            self.impressions = self.impressions.add(prediction.scores_C, prediction.labels_C)
            if self.impressions.n > before:
                self.calibration = self.calibration.add(prediction.scores_C, prediction.labels_C)

    def add_list(self, one: SampledList) -> None:
        self.sampled = self.sampled.add(one.scores_C, one.labels_C)

    def report(self) -> dict[str, Any]:
        """``calibration`` is that of impressions, or of sampled lists where there are none."""
        shown = self.calibration.n > 0 or self.sampled.n == 0
        calibration = self.calibration if shown else self.sampled
        return {
            IMPRESSIONS: self.impressions.report(),
            NEXT_CLICK: self.next_click.report(),
            QUERIES: self.queries.report(),
            "calibration": calibration.report() | {"of": IMPRESSIONS if shown else "sampled_lists"},
        }


@dataclass(frozen=True, slots=True)
class ScoredSpan:
    """The scored part of a stream, as event numbers ``[first, stop)``."""

    first: int
    stop: int

    def part(self, of: float) -> int:
        """The event number after this part of the span."""
        return self.first + int((self.stop - self.first) * of)


def report_of(
    predictions: Sequence[Prediction], span: ScoredSpan, lists: Sequence[SampledList] = ()
) -> dict[str, Any]:
    """Metrics over all predictions, and the same under ``second_half``."""
    whole, second, half = Metrics(), Metrics(), span.part(0.5)
    for prediction in predictions:
        whole.add(prediction)
        if prediction.number >= half:
            second.add(prediction)
    for one in lists:
        whole.add_list(one)
        if one.number >= half:
            second.add_list(one)
    return whole.report() | {"second_half": second.report()}


FEW = 3
LONG_MS = 7 * 24 * 3_600_000

Slice = Callable[[Prediction, ScoredSpan], bool]
SLICES: Mapping[str, Slice] = {
    "new_users": lambda p, span: p.history < FEW and p.number >= span.part(0.5),
    "new_items": lambda p, span: p.item_accepts < FEW and p.number >= span.part(0.5),
    "long_away": lambda p, span: p.away_ms > LONG_MS and p.number >= span.part(0.5),
    "never_accepted": lambda p, span: (
        not (p.item_accepts or p.again) and p.number >= span.part(0.5)
    ),
    "last_quarter": lambda p, span: p.number >= span.part(0.75),
}
"""Users with fewer than FEW clicks, items with fewer or none at all, users away for LONG_MS; second
half."""


def slices_of(predictions: Sequence[Prediction], span: ScoredSpan) -> dict[str, Any]:
    """Metrics by slice."""
    reports = {}
    for name, chosen in SLICES.items():
        metrics = Metrics()
        for prediction in predictions:
            if chosen(prediction, span):
                metrics.add(prediction)
        reports[name] = metrics.report()
    return reports


def outcome(prediction: Prediction) -> tuple[str, dict[str, float]] | None:
    """Kind and metrics of one prediction; None for an impression without both outcomes."""
    if prediction.rank:
        kind = QUERIES if prediction.asked else NEXT_CLICK
        return kind, NextClicks().add(prediction.rank).report()
    if prediction.scores_C is None or prediction.labels_C is None:
        return None
    one = Impressions().add(prediction.scores_C, prediction.labels_C)
    return (IMPRESSIONS, one.report()) if one.n else None


def gain(prediction: Prediction) -> float | None:
    """NDCG@10 of a next click or a query, AUC of an impression with both outcomes."""
    found = outcome(prediction)
    return None if found is None else found[1][MAIN_METRIC[found[0]]]


def differences(
    ours: Sequence[Prediction], theirs: Sequence[Prediction], seed: int
) -> dict[str, Any]:
    """Ours against theirs on the same events, by kind and metric; a kind without any is left out.

    Raises:
        ValueError: the predictions are not of the same events.
    """
    users: dict[str, int] = {}
    paired: dict[str, list[tuple[int, dict[str, float], dict[str, float]]]] = {}
    for one, other in zip(ours, theirs, strict=True):
        if one.number != other.number:
            raise ValueError(f"event {one.number} cannot be compared with event {other.number}")
        found, against = outcome(one), outcome(other)
        if found is None or against is None:
            continue
        user = users.setdefault(one.user_id, len(users))
        paired.setdefault(found[0], []).append((user, found[1], against[1]))
    return {
        kind: {
            metric: comparison_report(_compared(pairs, metric, seed))
            for metric in pairs[0][1]
            if metric != "n"
        }
        for kind, pairs in paired.items()
    }


def slice_differences(
    ours: Sequence[Prediction], theirs: Sequence[Prediction], span: ScoredSpan, seed: int
) -> dict[str, Any]:
    """``differences`` in the main metric by slice."""
    found: dict[str, Any] = {}
    for name, chosen in SLICES.items():
        pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if chosen(a, span)]
        by_kind = differences([a for a, _ in pairs], [b for _, b in pairs], seed)
        found[name] = {
            kind: {MAIN_METRIC[kind]: metrics[MAIN_METRIC[kind]]}
            for kind, metrics in by_kind.items()
        }
    return found


def _compared(
    pairs: Sequence[tuple[int, dict[str, float], dict[str, float]]], metric: str, seed: int
) -> Comparison:
    return paired_bootstrap(
        np.array([user for user, _, _ in pairs]),
        np.array([a[metric] for _, a, _ in pairs]),
        np.array([b[metric] for _, _, b in pairs]),
        np.random.default_rng(seed),
        RESAMPLES,
    )


def comparison_report(comparison: Comparison) -> dict[str, Any]:
    """As JSON; a ratio that is none (nothing to divide by) is null."""
    ratio, low, high = (
        value if math.isfinite(value) else None
        for value in (comparison.ratio, *comparison.ratio_interval)
    )
    return {
        "mean": comparison.difference,
        "low": comparison.difference_interval[0],
        "high": comparison.difference_interval[1],
        "ratio": ratio,
        "ratio_low": low,
        "ratio_high": high,
        "p_value": comparison.p_value,
        "significant": comparison.significant,
        "events": comparison.events,
        "users": comparison.users,
    }


def second_half(predictions: Sequence[Prediction], span: ScoredSpan) -> list[Prediction]:
    return [p for p in predictions if p.number >= span.part(0.5)]


def curve(
    predictions: Sequence[Prediction], span: ScoredSpan, points: int = 20
) -> list[float | None]:
    """Mean gain in equal parts of the span, for a plot; None where nothing was predicted."""
    edges = [span.part(n / points) for n in range(points + 1)]
    part = np.searchsorted(edges[1:-1], [p.number for p in predictions], side="right")
    gains: list[list[float]] = [[] for _ in range(points)]
    for place, prediction in zip(part.tolist(), predictions, strict=True):
        value = gain(prediction)
        if value is not None:
            gains[place].append(value)
    return [float(np.mean(values)) if values else None for values in gains]
