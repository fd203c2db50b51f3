"""Candidate against champion on examples neither was trained on: Accept, or Reject with reasons.

Knows the rule that turns the numbers of a comparison (``core.release.gate_report``) into a
decision. Does not know models, nor how an example is judged (``core.release.judging``).

*Relative to the champion*, for each paired difference (candidate minus champion, oriented so
that more is better, mean d and standard error se over examples; docs/adr/0061):

    d >= -tolerance                  fine: nobody would notice
    -limit <= d < -tolerance         reject if d < -z·se: noise does not explain it
    d < -limit                       reject: too much to wait for certainty

So noise alone rarely rejects an equal candidate, and a candidate that is much worse does not
pass because the sample is small.

*Absolutely* (docs/adr/0063): scores that are no probabilities; weights or lists too far from
the champion's; lists that collapse onto few items; a calibration error above a limit, a
ranking below popularity's, or below that of the champion some releases ago (the anchor: many
steps down, each too small to be noticed). The last three do not hold up a candidate that is
better than the champion, nor does the distance of lists one that is clearly better: refusing
it would keep what is worse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from streamrec.core.release.gate_report import COVERAGE, KL, Compared, GateReport, compare, summary
from streamrec.core.release.judging import ANCHOR, POPULARITY


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
    max_kl: float = 1.0  # nats, mean over lists
    min_coverage_ratio: float = 0.5  # of the champion's
    max_calibration: float = 0.35  # expected calibration error
    floor_tolerance: float = 0.02  # of reciprocal rank, below popularity or the anchor
    absolute_examples: int = 30  # fewer say nothing about coverage, calibration and floors


@dataclass(frozen=True, slots=True)
class Accept:
    report: GateReport


@dataclass(frozen=True, slots=True)
class Reject:
    report: GateReport
    reasons: tuple[str, ...]


def decide(report: GateReport, rules: GateRules) -> Accept | Reject:
    """The decision, with every reason against."""
    reasons = [
        *_broken(report, rules),
        *_absolute(report, rules),
        *_relative(report, rules),
    ]
    return Reject(report, tuple(reasons)) if reasons else Accept(report)


def to_record(verdict: Accept | Reject) -> dict[str, Any]:
    """A JSON-able form for the manifest; numbers that are not finite become null."""
    report = verdict.report
    return {
        "accepted": isinstance(verdict, Accept),
        "reasons": list(verdict.reasons) if isinstance(verdict, Reject) else [],
        "champion": report.champion,
        "anchor": report.anchor,
        "examples": report.examples,
        "not_finite": report.not_finite,
        "metrics": {name: _compared(m) for name, m in report.metrics.items()},
        "references": {name: _compared(m) for name, m in report.references.items()},
        "norms": {name: _number(norm) for name, norm in report.norms.items()},
    }


def reason(verdict: Accept | Reject) -> str:
    """What was decided on, for a log and the control log."""
    if isinstance(verdict, Reject):
        return "; ".join(verdict.reasons)
    return summary(verdict.report)


def _broken(report: GateReport, rules: GateRules) -> list[str]:
    reasons = []
    if report.not_finite:
        reasons.append(f"scores are not probabilities on {report.not_finite} examples")
    for name, norm in report.norms.items():
        if name == KL and _clearly_better(report, rules):
            continue
        limit = rules.max_kl if name == KL else rules.max_update_norm
        if not norm <= limit:  # also when it is not a number
            reasons.append(f"{name} is {norm:.3g}, above {limit:g}")
    return reasons


def _absolute(report: GateReport, rules: GateRules) -> list[str]:
    reasons = []
    coverage = report.metrics.get(COVERAGE)
    if coverage and coverage.n >= rules.absolute_examples:
        least = rules.min_coverage_ratio * coverage.champion
        if coverage.candidate < least:
            reasons.append(
                f"coverage {coverage.candidate:.3f} is below {rules.min_coverage_ratio:g} of "
                f"the champion's {coverage.champion:.3f}: its lists collapse onto few items"
            )
    calibration = report.metrics.get("calibration")
    if (
        calibration
        and calibration.n >= rules.absolute_examples
        and calibration.candidate > rules.max_calibration
        and calibration.difference <= 0
    ):
        reasons.append(
            f"calibration error {calibration.candidate:.3f} is above {rules.max_calibration:g}"
        )
    return reasons + _below_floors(report, rules)


def _below_floors(report: GateReport, rules: GateRules) -> list[str]:
    ranking = report.metrics.get("mrr")
    if ranking is None or ranking.difference > 0:
        return []
    names = {POPULARITY: "popularity's", ANCHOR: f"that of {report.anchor}, a former champion,"}
    return [
        f"mrr {m.candidate:.4f} is below {names.get(name, name)} {m.champion:.4f} on the same "
        f"examples (standard error {m.standard_error:.4f}, n {m.n})"
        for name, m in report.references.items()
        if m.n >= rules.absolute_examples
        and m.difference < -rules.floor_tolerance
        and m.difference < -rules.z * m.standard_error
    ]


def _clearly_better(report: GateReport, rules: GateRules) -> bool:
    """Beyond noise in probability or order: far from a bad champion is where to go."""
    found = (report.metrics.get(name) for name in ("log_loss", "mrr"))
    return any(m is not None and m.difference > rules.z * m.standard_error for m in found)


def _relative(report: GateReport, rules: GateRules) -> list[str]:
    return [
        f"{name} {m.candidate:.4f} is worse than the champion's {m.champion:.4f} by "
        f"{-m.difference:.4f} (standard error {m.standard_error:.4f}, n {m.n})"
        for name, m in report.metrics.items()
        if _worse(name, m, rules)
    ]


def _worse(name: str, m: Compared, rules: GateRules) -> bool:
    metric, _, part = name.partition("/")
    if metric == COVERAGE or (part and m.n < rules.slice_examples):
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


def _compared(m: Compared) -> dict[str, Any]:
    return {
        "candidate": _number(m.candidate),
        "champion": _number(m.champion),
        "difference": _number(m.difference),
        "standard_error": _number(m.standard_error),
        "n": m.n,
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


__all__ = [
    "Accept",
    "GateReport",
    "GateRules",
    "Reject",
    "compare",
    "decide",
    "reason",
    "summary",
    "to_record",
]
