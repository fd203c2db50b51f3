"""Whether a ranker may replace the champion: what is compared, and how far each may fall.

Knows ranking's metrics over judged examples (``tasks.ranking.judging``) and what is refused beside
a fall against the champion (docs/adr/0063): lists too far from the champion's, lists that collapse
onto few items, a calibration error above a limit, a ranking below popularity's, or below that of
the champion some releases ago (the anchor: many steps down, each too small to be noticed). The last
three do not hold up a candidate that is better than the champion, nor does the distance of lists
one that is clearly better: refusing it would keep what is worse. The rule itself is
``core.release.gate``'s.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from streamrec.core.examples import FloatArray
from streamrec.core.measures.prequential import Calibration
from streamrec.core.release import gate
from streamrec.core.release.gate import GateRules, Limit, Verdict
from streamrec.core.release.gate_report import Compared, GateReport, paired
from streamrec.tasks.ranking.examples import RankingExample
from streamrec.tasks.ranking.judging import ANCHOR, POPULARITY, JudgedExample, judge

KL = "kl"
COVERAGE = "coverage"


@dataclass(frozen=True, slots=True)
class RankingGateRules:
    """When a difference counts. Tolerances and limits are absolute unless named a ratio."""

    ranking_tolerance: float = 0.005  # of mean reciprocal rank
    ranking_limit: float = 0.05
    loss_tolerance_ratio: float = 0.01  # of the champion's log loss
    loss_limit_ratio: float = 0.15
    calibration_tolerance: float = 0.03  # of expected calibration error
    slice_examples: int = 30
    slice_factor: float = 2.0
    z: float = 2.0
    max_update_norm: float = 10.0  # ‖candidate - champion‖ / ‖champion‖, by weight file
    max_kl: float = 1.0  # nats, mean over lists
    min_coverage_ratio: float = 0.5  # of the champion's
    max_calibration: float = 0.35  # expected calibration error
    floor_tolerance: float = 0.02  # of reciprocal rank, below popularity or the anchor
    absolute_examples: int = 30  # fewer say nothing about coverage, calibration and floors


class RankingJudge:
    """``ports.Judge`` of rankers."""

    def __init__(self, rules: RankingGateRules) -> None:
        self._rules = rules

    def judge(
        self,
        example: RankingExample,
        candidate_C: FloatArray,
        champion_C: FloatArray,
        anchor_C: FloatArray | None,
    ) -> JudgedExample:
        """P(accept | shown) of the example's candidates, against what came of it."""
        return judge(example, candidate_C, champion_C, anchor_C)

    def verdict(
        self,
        judged: Sequence[JudgedExample],
        champion: str,
        norms: Mapping[str, float],
        anchor: str | None,
    ) -> Verdict:
        return decide(compare(judged, champion, norms, anchor), self._rules)


def decide(report: GateReport, rules: RankingGateRules) -> Verdict:
    """The decision, with every reason against."""
    norms = {"update_norm": rules.max_update_norm}
    if not _clearly_better(report, rules):
        norms[KL] = rules.max_kl
    loss = Limit(rules.loss_tolerance_ratio, rules.loss_limit_ratio, of_champion=True)
    limits = {
        "mrr": Limit(rules.ranking_tolerance, rules.ranking_limit),
        "log_loss": loss,
        "calibration": Limit(rules.calibration_tolerance),
    }
    relative = GateRules(limits, norms, rules.slice_examples, rules.slice_factor, rules.z)
    return gate.decide(report, relative, _absolute(report, rules))


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


def _metrics(judged: Sequence[JudgedExample], suffix: str) -> dict[str, Compared]:
    ranks = [one.reciprocal_ranks for one in judged if one.reciprocal_ranks]
    losses = [_losses(*one.calibrations) for one in judged if one.calibrations]
    found = {"mrr": paired(ranks, 1.0), "log_loss": paired(losses, -1.0)}
    return {name + suffix: m for name, m in found.items() if m is not None}


def _references(judged: Sequence[JudgedExample]) -> dict[str, Compared]:
    pairs: dict[str, list[tuple[float, float]]] = {}
    for one in judged:
        if one.reciprocal_ranks is None:
            continue
        for name, reciprocal in one.references:
            pairs.setdefault(name, []).append((one.reciprocal_ranks[0], reciprocal))
    found = {name: paired(of, 1.0) for name, of in pairs.items()}
    return {name: m for name, m in found.items() if m is not None}


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


def _absolute(report: GateReport, rules: RankingGateRules) -> list[str]:
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


def _below_floors(report: GateReport, rules: RankingGateRules) -> list[str]:
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


def _clearly_better(report: GateReport, rules: RankingGateRules) -> bool:
    """Beyond noise in probability or order: far from a bad champion is where to go."""
    found = (report.metrics.get(name) for name in ("log_loss", "mrr"))
    return any(m is not None and m.difference > rules.z * m.standard_error for m in found)
