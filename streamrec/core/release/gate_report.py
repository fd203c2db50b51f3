"""The numbers of a trial: what two models did on the same fresh examples, and how sure that is.

Knows means, paired differences and their noise. Does not know which of them is too bad
(``core.release.gate``) nor how one example is judged (``core.release.judging``).

Examples are treated as independent; a user's are not quite, which makes standard errors
somewhat small.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from streamrec.core.measures.prequential import Calibration
from streamrec.core.release.judging import JudgedExample

KL = "kl"
COVERAGE = "coverage"


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

    ``metrics``: "mrr", "log_loss/new_users", "calibration", "coverage". ``norms``: how far
    the candidate is from the champion, "update_norm/head" relative, "kl" in nats, mean over
    lists. ``references``: reciprocal rank against others than the champion.
    """

    champion: str
    examples: int
    not_finite: int  # examples the candidate could not score
    metrics: Mapping[str, Compared] = field(default_factory=dict)
    norms: Mapping[str, float] = field(default_factory=dict)
    references: Mapping[str, Compared] = field(default_factory=dict)
    anchor: str | None = None  # the former champion behind references["anchor"]


def compare(
    judged: Sequence[JudgedExample],
    champion: str,
    norms: Mapping[str, float] | None = None,
    anchor: str | None = None,
) -> GateReport:
    """The numbers of a trial."""
    metrics = _metrics(judged, "")
    for name in sorted({name for one in judged for name in one.slices}):
        metrics |= _metrics([one for one in judged if name in one.slices], f"/{name}")
    metrics |= _calibration(judged) | _coverage(judged)
    broken = sum(not one.finite for one in judged)
    distances = dict(norms or {}) | _divergence(judged)
    return GateReport(
        champion, len(judged), broken, metrics, distances, _references(judged), anchor
    )


def summary(report: GateReport) -> str:
    """One line for a log: the headline metrics."""
    parts = [
        f"{name} {m.candidate:.4f} against {m.champion:.4f} (±{m.standard_error:.4f})"
        for name, m in report.metrics.items()
        if "/" not in name
    ]
    return f"{', '.join(parts) or 'nothing to rank'} on {report.examples} examples"


def _metrics(judged: Sequence[JudgedExample], suffix: str) -> dict[str, Compared]:
    ranks = [one.reciprocal_ranks for one in judged if one.reciprocal_ranks]
    losses = [_losses(*one.calibrations) for one in judged if one.calibrations]
    found = {"mrr": _paired(ranks, 1.0), "log_loss": _paired(losses, -1.0)}
    return {name + suffix: m for name, m in found.items() if m is not None}


def _references(judged: Sequence[JudgedExample]) -> dict[str, Compared]:
    pairs: dict[str, list[tuple[float, float]]] = {}
    for one in judged:
        if one.reciprocal_ranks is None:
            continue
        for name, reciprocal in one.references:
            pairs.setdefault(name, []).append((one.reciprocal_ranks[0], reciprocal))
    found = {name: _paired(of, 1.0) for name, of in pairs.items()}
    return {name: m for name, m in found.items() if m is not None}


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


def _calibration(judged: Iterable[JudgedExample]) -> dict[str, Compared]:
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


def _coverage(judged: Iterable[JudgedExample]) -> dict[str, Compared]:
    """Share of all items offered in these lists that are on top of at least one of them."""
    lists = [one.lists for one in judged if one.lists is not None]
    if not lists:
        return {}
    offered = len({item for one in lists for item in one.offered})
    ours = len({item for one in lists for item in one.candidate}) / offered
    theirs = len({item for one in lists for item in one.champion}) / offered
    error = math.sqrt(theirs * (1 - theirs) / offered)
    return {COVERAGE: Compared(ours, theirs, ours - theirs, error, len(lists))}


def _divergence(judged: Iterable[JudgedExample]) -> dict[str, float]:
    nats = [one.kl for one in judged if one.kl is not None]
    return {KL: float(np.mean(nats))} if nats else {}
