"""Candidate against champion on examples neither was trained on: Accept, or Reject with reasons.

Knows the numbers of a comparison and the rule that turns them into a decision. Does not
know models, and keeps no scores: one ``Judged`` per example.

The rule, for each paired difference (candidate minus champion, oriented so that more is
better, mean d and standard error se over examples; docs/adr/0061 has the error rates):

    d >= -tolerance                  fine: nobody would notice
    -limit <= d < -tolerance         reject if d < -z·se: noise does not explain it
    d < -limit                       reject: too much to wait for certainty

So noise alone rarely rejects an equal candidate, and a candidate that is much worse does not
pass because the sample is small. Examples are treated as independent; a user's are not
quite, which makes ``se`` somewhat small.

Shapes: C candidates of an example.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from streamrec.core.examples import Example, ExampleKind, FloatArray
from streamrec.core.features import FEATURES
from streamrec.core.prequential import Calibration, Impressions

NEW_USER_HISTORY = 3
"""A user with fewer accepted items is new."""
NEW_ITEM_HOURS = 24.0
"""An accepted item that was first seen less long ago is new."""

_AGE = FEATURES.index("age")


@dataclass(frozen=True, slots=True)
class GateRules:
    """When a difference counts. Tolerances and limits are absolute unless named a ratio."""

    ranking_tolerance: float = 0.005  # of mean reciprocal rank
    ranking_limit: float = 0.05
    loss_tolerance_ratio: float = 0.01  # of the champion's log loss
    loss_limit_ratio: float = 0.15
    calibration_tolerance: float = 0.03  # of expected calibration error
    slice_examples: int = 30  # a smaller slice says nothing
    slice_factor: float = 2.0  # a slice's tolerances and limits are so many times wider
    z: float = 2.0  # standard errors that noise may explain
    max_update_norm: float = 10.0  # ‖candidate - champion‖ / ‖champion‖, by weight file


@dataclass(frozen=True, slots=True)
class Judged:
    """What one fresh example says about candidate and champion."""

    reciprocal_ranks: tuple[float, float] | None  # None where there is nothing to rank
    calibrations: tuple[Calibration, Calibration] | None  # None where labels were sampled
    slices: tuple[str, ...]
    finite: bool  # of the candidate's scores


@dataclass(frozen=True, slots=True)
class Compared:
    """One metric: means of both, mean difference (more is better) and its standard error."""

    candidate: float
    champion: float
    difference: float
    standard_error: float
    n: int


@dataclass(frozen=True, slots=True)
class GateReport:
    """Every number a decision rests on."""

    champion: str
    examples: int
    not_finite: int  # examples the candidate could not score
    metrics: Mapping[str, Compared] = field(default_factory=dict)  # "mrr", "log_loss/new_users"
    norms: Mapping[str, float] = field(default_factory=dict)  # "update_norm/head": relative


@dataclass(frozen=True, slots=True)
class Accept:
    report: GateReport


@dataclass(frozen=True, slots=True)
class Reject:
    report: GateReport
    reasons: tuple[str, ...]


def judge(example: Example, candidate_C: FloatArray, champion_C: FloatArray) -> Judged:
    """Compare two predictions, P(accept | shown) of each candidate, with what came of it."""
    labels_C, slices = example.labels_C, slices_of(example)
    if not _sound(candidate_C):
        return Judged(None, None, slices, finite=False)
    if not _sound(champion_C):  # nothing to be compared with; a sound candidate replaces it
        return Judged(None, None, slices, finite=True)
    both = candidate_C, champion_C
    ours, theirs = (Impressions().add(p_C, labels_C) for p_C in both)
    ranks = (ours.reciprocal, theirs.reciprocal) if ours.n else None
    if example.kind is ExampleKind.NEXT_CLICK:  # sampled negatives: no real click rate
        return Judged(ranks, None, slices, finite=True)
    ours_p, theirs_p = (Calibration().add(p_C, labels_C) for p_C in both)
    return Judged(ranks, (ours_p, theirs_p), slices, finite=True)


def slices_of(example: Example) -> tuple[str, ...]:
    """The groups an example belongs to, watched apart: a mean can hide their loss."""
    new_user = len(example.history) < NEW_USER_HISTORY
    ages_h = np.expm1(example.stats_CF[example.labels_C > 0, _AGE])
    new_item = bool(len(ages_h)) and bool((ages_h < NEW_ITEM_HOURS).any())
    return ("new_users",) * new_user + ("new_items",) * new_item


def compare(
    judged: Sequence[Judged], champion: str, norms: Mapping[str, float] | None = None
) -> GateReport:
    """The numbers of a trial."""
    metrics = _metrics(judged, "")
    for name in sorted({name for one in judged for name in one.slices}):
        metrics |= _metrics([one for one in judged if name in one.slices], f"/{name}")
    metrics |= _calibration(judged)
    broken = sum(not one.finite for one in judged)
    return GateReport(champion, len(judged), broken, metrics, dict(norms or {}))


def decide(report: GateReport, rules: GateRules) -> Accept | Reject:
    """The decision, with every reason against."""
    reasons = [*_absolute(report, rules), *_relative(report, rules)]
    return Reject(report, tuple(reasons)) if reasons else Accept(report)


def to_record(verdict: Accept | Reject) -> dict[str, Any]:
    """A JSON-able form for the manifest; numbers that are not finite become null."""
    report = verdict.report
    return {
        "accepted": isinstance(verdict, Accept),
        "reasons": list(verdict.reasons) if isinstance(verdict, Reject) else [],
        "champion": report.champion,
        "examples": report.examples,
        "not_finite": report.not_finite,
        "metrics": {
            name: {
                "candidate": _number(m.candidate),
                "champion": _number(m.champion),
                "difference": _number(m.difference),
                "standard_error": _number(m.standard_error),
                "n": m.n,
            }
            for name, m in report.metrics.items()
        },
        "norms": {name: _number(norm) for name, norm in report.norms.items()},
    }


def summary(report: GateReport) -> str:
    """One line for a log: the headline metrics."""
    parts = [
        f"{name} {m.candidate:.4f} against {m.champion:.4f} (±{m.standard_error:.4f})"
        for name, m in report.metrics.items()
        if "/" not in name
    ]
    return f"{', '.join(parts) or 'nothing to rank'} on {report.examples} examples"


def reason(verdict: Accept | Reject) -> str:
    """What was decided on, for a log and the control log."""
    if isinstance(verdict, Reject):
        return "; ".join(verdict.reasons)
    return summary(verdict.report)


def _metrics(judged: Sequence[Judged], suffix: str) -> dict[str, Compared]:
    ranks = [one.reciprocal_ranks for one in judged if one.reciprocal_ranks]
    losses = [_losses(*one.calibrations) for one in judged if one.calibrations]
    found = {"mrr": _paired(ranks, 1.0), "log_loss": _paired(losses, -1.0)}
    return {name + suffix: m for name, m in found.items() if m is not None}


def _paired(pairs: Sequence[tuple[float, float]], sign: float) -> Compared | None:
    """Means, and the paired difference; ``sign`` -1 where less is better."""
    if not pairs:
        return None
    both_N2 = np.asarray(pairs, np.float64)
    d_N = sign * (both_N2[:, 0] - both_N2[:, 1])
    n = len(d_N)
    error = float(d_N.std(ddof=1)) / math.sqrt(n) if n > 1 else math.inf
    means = both_N2.mean(0)
    return Compared(float(means[0]), float(means[1]), float(d_N.mean()), error, n)


def _losses(candidate: Calibration, champion: Calibration) -> tuple[float, float]:
    return candidate.log_loss / candidate.n, champion.log_loss / champion.n


def _calibration(judged: Iterable[Judged]) -> dict[str, Compared]:
    """Expected calibration error of both over all shown candidates."""
    candidate, champion = Calibration(), Calibration()
    for ours, theirs in (one.calibrations for one in judged if one.calibrations):
        candidate, champion = candidate + ours, champion + theirs
    n = candidate.n
    if not n:
        return {}
    rate = float(candidate.accepted_B.sum()) / n
    error = math.sqrt(rate * (1 - rate) / n)  # of one click rate: the scale of the noise
    ours_ece, theirs_ece = candidate.report()["ece"], champion.report()["ece"]
    return {"calibration": Compared(ours_ece, theirs_ece, theirs_ece - ours_ece, error, n)}


def _absolute(report: GateReport, rules: GateRules) -> list[str]:
    reasons = []
    if report.not_finite:
        reasons.append(f"scores are not probabilities on {report.not_finite} examples")
    for name, norm in report.norms.items():
        if not norm <= rules.max_update_norm:  # also when it is not a number
            reasons.append(f"{name} is {norm:.3g}, above {rules.max_update_norm:g}")
    return reasons


def _relative(report: GateReport, rules: GateRules) -> list[str]:
    return [
        f"{name} {m.candidate:.4f} is worse than the champion's {m.champion:.4f} by "
        f"{-m.difference:.4f} (standard error {m.standard_error:.4f}, n {m.n})"
        for name, m in report.metrics.items()
        if _worse(name, m, rules)
    ]


def _worse(name: str, m: Compared, rules: GateRules) -> bool:
    metric, _, part = name.partition("/")
    if part and m.n < rules.slice_examples:
        return False
    if metric == "mrr":
        tolerance, limit = rules.ranking_tolerance, rules.ranking_limit
    elif metric == "log_loss":
        tolerance = rules.loss_tolerance_ratio * m.champion
        limit = rules.loss_limit_ratio * m.champion
    else:
        tolerance, limit = rules.calibration_tolerance, math.inf
    wide = rules.slice_factor if part else 1.0
    if m.difference >= -tolerance * wide:
        return False
    return m.difference < -limit * wide or m.difference < -rules.z * m.standard_error


def _sound(probabilities_C: FloatArray) -> bool:
    return bool(((probabilities_C >= 0) & (probabilities_C <= 1)).all())  # False for NaN


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
