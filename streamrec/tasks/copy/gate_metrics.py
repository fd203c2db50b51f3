"""Whether a candidate may replace copy's champion: how well each foretells which words are clicked.

The metric is the loss of an example for each of its clicks (``prior_head.mean_nats``), over
examples that neither has learned. The rule itself is ``core.release.gate``'s.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from streamrec.core.examples import FloatArray
from streamrec.core.release import gate
from streamrec.core.release.gate import GateRules, Limit, Verdict
from streamrec.core.release.gate_report import Compared, GateReport, paired
from streamrec.tasks.copy.examples import CopyExample
from streamrec.tasks.copy.model.prior_head import mean_nats

NATS = "nats_per_click"
ANCHOR = "anchor"
RULES = GateRules({NATS: Limit(tolerance=0.002, limit=0.05)}, max_norms={"update_norm": 10.0})
"""Among four wordings the best of which is clicked half as often again, knowing which is worth
about 0.02 nats a click."""


class JudgedCopy(NamedTuple):
    """Nats a click of one example that has some."""

    candidate: float
    champion: float
    anchor: float | None
    clicks: float


class CopyJudge:
    """``ports.Judge`` of priors from texts."""

    def judge(
        self,
        example: CopyExample,
        candidate_A: FloatArray,
        champion_A: FloatArray,
        anchor_A: FloatArray | None,
    ) -> JudgedCopy:
        """Scores of the example's wordings, against what was clicked."""
        return JudgedCopy(
            mean_nats(candidate_A, example),
            mean_nats(champion_A, example),
            None if anchor_A is None else mean_nats(anchor_A, example),
            float(example.clicks_A.sum()),
        )

    def verdict(
        self,
        judged: Sequence[JudgedCopy],
        champion: str,
        norms: Mapping[str, float],
        anchor: str | None,
    ) -> Verdict:
        sound = [one for one in judged if one.clicks and math.isfinite(one.candidate)]
        broken = sum(not math.isfinite(one.candidate) for one in judged)
        compared = paired([(one.candidate, one.champion) for one in sound], -1.0)
        beside = paired(
            [(one.candidate, one.anchor) for one in sound if one.anchor is not None], -1.0
        )
        report = GateReport(
            champion, len(judged), broken, _named(NATS, compared), norms,
            _named(ANCHOR, beside), anchor,
        )  # fmt: skip
        return gate.decide(report, RULES)


def _named(name: str, compared: Compared | None) -> dict[str, Compared]:
    return {} if compared is None else {name: compared}
