"""The numbers of a trial: what two models did on the same fresh examples, and how sure that is.

Knows means, paired differences and their noise. Which metrics there are is the task's to say, which
of them is too bad ``core.release.gate``'s.

Examples are treated as independent; a user's are not quite, which makes standard errors
somewhat small.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, slots=True)
class Compared:
    """One metric: means of both, mean difference (more is better) and its standard error."""

    candidate: float
    champion: float  # or another that the candidate is compared with
    difference: float
    standard_error: float
    n: int


@dataclass(frozen=True, slots=True)
class GateReport:
    """Every number a decision rests on.

    ``metrics``: by name, a slice's as ``metric/slice``. ``norms``: how far the candidate is from
    the champion. ``references``: the ranking metric against others than the champion.
    """

    champion: str
    examples: int
    not_finite: int  # examples the candidate could not score
    metrics: Mapping[str, Compared] = field(default_factory=dict)
    norms: Mapping[str, float] = field(default_factory=dict)
    references: Mapping[str, Compared] = field(default_factory=dict)
    anchor: str | None = None  # the former champion behind references["anchor"]


def summary(report: GateReport) -> str:
    """One line for a log: the headline metrics."""
    parts = [
        f"{name} {m.candidate:.4f} against {m.champion:.4f} (±{m.standard_error:.4f})"
        for name, m in report.metrics.items()
        if "/" not in name
    ]
    return f"{', '.join(parts) or 'nothing to compare'} on {report.examples} examples"


def paired(pairs: Sequence[tuple[float, float]], sign: float) -> Compared | None:
    """Means, and the paired difference; ``sign`` -1 where less is better."""
    if not pairs:
        return None
    both_N2 = np.asarray(pairs, np.float64)
    d_N = sign * (both_N2[:, 0] - both_N2[:, 1])
    n = len(d_N)
    error = float(d_N.std(ddof=1)) / math.sqrt(n) if n > 1 else math.inf
    means = both_N2.mean(0)
    return Compared(float(means[0]), float(means[1]), float(d_N.mean()), error, n)
