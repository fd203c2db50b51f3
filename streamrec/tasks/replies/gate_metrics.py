"""Whether a candidate may replace the champion of replies: what people would accept, and how far
its words have gone.

Acceptance is estimated from replies that neither has learned, each weighed by how much likelier a
generation is to choose its plan and write its words than whoever wrote it was (SNIPS; weights
truncated at ``MOST``, Ionides 2008). The standard error of the difference is the delta method's for
two ratios over the same examples. The rule itself is ``core.release.gate``'s.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrec.core.release import gate
from streamrec.core.release.gate import GateRules, Limit, Verdict
from streamrec.core.release.gate_report import Compared, GateReport
from streamrec.tasks.replies.examples import ReplyExample
from streamrec.tasks.replies.model.scorer import SaidOfReply

ACCEPTANCE, ANCHOR, KL = "acceptance", "anchor", "kl_nats"
MOST = 10.0
MOST_NATS = 5.0
"""Divergence from the adapter it started from, a reply, in the mean."""

RULES = GateRules(
    {ACCEPTANCE: Limit(tolerance=0.02, limit=0.3)},
    max_norms={"update_norm": 10.0, KL: MOST_NATS},
)


class JudgedReply(NamedTuple):
    """What came of a reply, how much that says, and the weights of both generations."""

    reward: float
    says: float
    candidate: float
    champion: float
    anchor: float | None
    kl: float


class RepliesJudge:
    """``ports.Judge`` of plans and words."""

    def judge(
        self,
        example: ReplyExample,
        candidate: SaidOfReply,
        champion: SaidOfReply,
        anchor: SaidOfReply | None,
    ) -> JudgedReply:
        return JudgedReply(
            example.reward,
            example.weight,
            _weight(example, candidate),
            _weight(example, champion),
            None if anchor is None else _weight(example, anchor),
            candidate.kl,
        )

    def verdict(
        self,
        judged: Sequence[JudgedReply],
        champion: str,
        norms: Mapping[str, float],
        anchor: str | None,
    ) -> Verdict:
        sound = [one for one in judged if math.isfinite(one.candidate) and math.isfinite(one.kl)]
        beside = [one for one in sound if one.anchor is not None]
        report = GateReport(
            champion,
            len(judged),
            len(judged) - len(sound),
            _compared(ACCEPTANCE, sound, [one.champion for one in sound]),
            {**norms, KL: float(np.mean([one.kl for one in sound])) if sound else 0.0},
            _compared(ANCHOR, beside, [one.anchor or 0.0 for one in beside]),
            anchor,
        )
        return gate.decide(report, RULES)


def _weight(example: ReplyExample, said: SaidOfReply) -> float:
    """At most ``MOST``; not finite where a score is not."""
    if not math.isfinite(said.log_probability):
        return math.nan
    words = said.log_probability - example.log_probability
    return min(MOST, said.chance / example.plan_propensity * math.exp(min(words, math.log(MOST))))


def _compared(
    name: str, judged: Sequence[JudgedReply], others: Sequence[float]
) -> dict[str, Compared]:
    """Estimated acceptance of the candidate and of another; nothing where nothing can be said."""
    rewards_N = np.array([one.reward for one in judged])
    says_N = np.array([one.says for one in judged])
    mine_N = says_N * np.array([one.candidate for one in judged])
    theirs_N = says_N * np.array(others)
    if not mine_N.sum() or not theirs_N.sum():
        return {}
    mine, about_mine_N = _estimate(mine_N, rewards_N)
    theirs, about_theirs_N = _estimate(theirs_N, rewards_N)
    error = float(np.sqrt(np.square(about_mine_N - about_theirs_N).sum()))
    return {name: Compared(mine, theirs, mine - theirs, error, len(judged))}


Floats = NDArray[np.float64]


def _estimate(weights_N: Floats, rewards_N: Floats) -> tuple[float, Floats]:
    """The estimate, and what each example moves it by (N,)."""
    value = float(weights_N @ rewards_N / weights_N.sum())
    return value, weights_N * (rewards_N - value) / weights_N.sum()
