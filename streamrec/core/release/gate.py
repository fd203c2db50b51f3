"""Candidate against champion on examples neither was trained on: Accept, or Reject with reasons.

Knows the rule that turns the numbers of a comparison (``core.release.gate_report``) into a
decision. Which numbers there are, and how far each may fall, is the task's to say.

For each paired difference (candidate minus champion, oriented so that more is better, mean d and
standard error se over examples; docs/adr/0061):

    d >= -tolerance                  fine: nobody would notice
    -limit <= d < -tolerance         reject if d < -z·se: noise does not explain it
    d < -limit                       reject: too much to wait for certainty

So noise alone rarely rejects an equal candidate, and a candidate that is much worse does not
pass because the sample is small. Scores that cannot be, and weights or answers too far from the
champion's, are refused however good they look.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from streamrec.core.release.gate_report import Compared, GateReport, summary

NAME = re.compile(r"[a-z_]{1,30}")


@dataclass(frozen=True, slots=True)
class Limit:
    """How far a metric may fall; absolute, or with ``of_champion`` as a share of the champion's."""

    tolerance: float
    limit: float = math.inf
    of_champion: bool = False


@dataclass(frozen=True, slots=True)
class GateRules:
    """When a difference counts. A metric without a limit is told and not judged."""

    limits: Mapping[str, Limit]
    max_norms: Mapping[str, float] = field(default_factory=dict)  # by name, or by what precedes "/"
    slice_examples: int = 30  # a smaller slice says nothing
    slice_factor: float = 2.0  # a slice's tolerances and limits are so many times wider
    z: float = 2.0  # standard errors that noise may explain


@dataclass(frozen=True, slots=True)
class Accept:
    report: GateReport


@dataclass(frozen=True, slots=True)
class Reject:
    report: GateReport
    reasons: tuple[str, ...]


Verdict = Accept | Reject


def decide(report: GateReport, rules: GateRules, also: Sequence[str] = ()) -> Verdict:
    """The decision, with every reason against; ``also``: the task's own."""
    reasons = [*_broken(report, rules), *also, *_relative(report, rules)]
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


def kinds(verdict: Accept | Reject) -> tuple[str, ...]:
    """What each reason is about, for counting: the name it begins with, without its slice.

    A task's own reasons begin with a name too; what does not is ``other``.
    """
    if isinstance(verdict, Accept):
        return ("none",)
    words = [reason.split(maxsplit=1)[0].partition("/")[0] for reason in verdict.reasons if reason]
    return tuple(dict.fromkeys(word if NAME.fullmatch(word) else "other" for word in words))


def _broken(report: GateReport, rules: GateRules) -> list[str]:
    reasons = []
    if report.not_finite:
        reasons.append(f"scores are not probabilities on {report.not_finite} examples")
    for name, norm in report.norms.items():
        kind = name.partition("/")[0]
        limit = rules.max_norms.get(name, rules.max_norms.get(kind, math.inf))
        if not norm <= limit:  # also when it is not a number
            reasons.append(f"{name} is {norm:.3g}, above {limit:g}")
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
    allowed = rules.limits.get(metric)
    if allowed is None or (part and m.n < rules.slice_examples):
        return False
    scale = m.champion if allowed.of_champion else 1.0
    wide = (rules.slice_factor if part else 1.0) * scale
    if m.difference >= -allowed.tolerance * wide:
        return False
    return m.difference < -allowed.limit * wide or m.difference < -rules.z * m.standard_error


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
