"""Whether a candidate may replace replies' champion: what it would say, and how that was received.

Two kinds of evidence, over examples that neither has learned:

- what people thought of replies that were written by others: an off-policy estimate of how many of
  the candidate's would be accepted, and of the champion's (``core.release.off_policy``). A reply's
  weight is the chance that a generation plans and writes it over the chance with which that was
  done, at most ``LARGEST``; below ``LEAST_EFFECTIVE`` effective replies it decides nothing;
- replies that the candidate, and the adapter it started from, wrote to the same prompts, now.

Refused beside a fall of the estimate: a divergence above ``MOST_NATS`` a reply; less variety than
``LEAST_VARIETY`` of the start's; a reply of its own that is not grounded; more unfinished ones, or
longer ones, than the start's by ``MORE_UNFINISHED`` or ``MORE_WORDS``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrec.core.release import gate
from streamrec.core.release.gate import GateRules, Limit, Verdict
from streamrec.core.release.gate_report import Compared, GateReport
from streamrec.core.replies.distinct import distinct_2
from streamrec.ports.generating import Written
from streamrec.tasks.replies.examples import ReplyExample
from streamrec.tasks.replies.model.scorer import SaidOfReply

ACCEPTANCE = "acceptance"
LARGEST = 10.0
LEAST_EFFECTIVE = 20.0
MOST_NATS = 5.0
LEAST_VARIETY = 0.8
LEAST_TEXTS = 10
"""Of its own, before what they are like decides anything."""
MORE_UNFINISHED = 0.1
MORE_WORDS = 1.5

RULES = GateRules(
    {ACCEPTANCE: Limit(tolerance=0.01, limit=0.1)},
    max_norms={"update_norm": 10.0, "kl_nats": MOST_NATS},
)
_SLOT = re.compile(r"\[\[(\w+)\]\]")


class JudgedReply(NamedTuple):
    """``weights``: of candidate, champion and anchor, where there is one, by how much was said."""

    reward: float
    weights: tuple[float, float, float | None]
    candidate: SaidOfReply
    slots: tuple[str, ...]


class RepliesJudge:
    """``ports.Judge``."""

    def judge(
        self,
        example: ReplyExample,
        candidate: SaidOfReply,
        champion: SaidOfReply,
        anchor: SaidOfReply | None,
    ) -> JudgedReply:
        says = example.weight
        once = None if anchor is None else says * weight_of(example, anchor)
        both = says * weight_of(example, candidate), says * weight_of(example, champion)
        weights = (*both, once)
        return JudgedReply(example.reward, weights, candidate, example.slots)

    def verdict(
        self,
        judged: Sequence[JudgedReply],
        champion: str,
        norms: Mapping[str, float],
        anchor: str | None,
    ) -> Verdict:
        broken = sum(not math.isfinite(one.weights[0]) for one in judged)
        sound = [one for one in judged if math.isfinite(one.weights[0])]
        reward_N = np.array([one.reward for one in sound])
        ours_N, theirs_N = (np.array([one.weights[at] or 0.0 for one in sound]) for at in (0, 1))
        compared = snips_difference(reward_N, ours_N, theirs_N)
        metrics = {ACCEPTANCE: compared} if compared and decides(ours_N, theirs_N) else {}
        references = {f"{ACCEPTANCE}_unsure": compared} if compared and not metrics else {}
        once_N = np.array([one.weights[2] or 0.0 for one in sound])
        beside = snips_difference(reward_N, ours_N, once_N) if anchor else None
        if beside is not None:
            references["anchor"] = beside
        written = [one.candidate for one in sound if one.candidate.kl is not None]
        far = {"kl_nats": float(np.mean([one.kl for one in written]))} if written else {}
        effective = {"effective_replies": effective_size(ours_N)}
        report = GateReport(
            champion, len(judged), broken, metrics, {**norms, **far, **effective}, references,
            anchor,
        )  # fmt: skip
        return gate.decide(report, RULES, tuple(_own_words(sound)))


def weight_of(example: ReplyExample, said: SaidOfReply) -> float:
    """How much likelier a generation is to plan and write a reply than it was; of a template's
    reply, to plan it."""
    written = said.log_probability - example.log_probability
    weight = said.chance / example.plan_propensity * math.exp(min(written, 50.0))
    return min(LARGEST, weight) if math.isfinite(weight) else math.nan


def effective_size(weight_N: NDArray[np.float64]) -> float:
    """(sum w)^2 / sum w^2."""
    squares = float((weight_N**2).sum())
    return float(weight_N.sum()) ** 2 / squares if squares else 0.0


def decides(ours_N: NDArray[np.float64], theirs_N: NDArray[np.float64]) -> bool:
    return min(effective_size(ours_N), effective_size(theirs_N)) >= LEAST_EFFECTIVE


def snips_difference(
    reward_N: NDArray[np.float64], ours_N: NDArray[np.float64], theirs_N: NDArray[np.float64]
) -> Compared | None:
    """Self-normalised estimates of both, and their difference over the same replies.

    Standard error: the delta method's, of the difference of two ratios,
    sqrt(sum((w (r - v) / W - w' (r - v') / W')^2)). None where one of them would say none of these
    replies.
    """
    one, other = float(ours_N.sum()), float(theirs_N.sum())
    if not one or not other:
        return None
    ours, theirs = float(ours_N @ reward_N) / one, float(theirs_N @ reward_N) / other
    part_N = ours_N * (reward_N - ours) / one - theirs_N * (reward_N - theirs) / other
    error = math.sqrt(float((part_N**2).sum()))
    return Compared(ours, theirs, ours - theirs, error, len(reward_N))


class _Anew(NamedTuple):
    """One prompt, answered by the candidate and by the adapter it started from."""

    own: Written
    start: Written
    slots: tuple[str, ...]


def _own_words(judged: Sequence[JudgedReply]) -> Iterator[str]:
    """What is wrong with what the candidate writes by itself."""
    found = [
        _Anew(said.own, said.start, slots)
        for _, _, said, slots in judged
        if said.own is not None and said.start is not None
    ]
    loose = sum(not _grounded(one.own.text, one.slots) for one in found)
    if loose:
        yield f"grounded {len(found) - loose} of {len(found)} of its own replies"
    if len(found) < LEAST_TEXTS:
        return
    own, start = [one.own for one in found], [one.start for one in found]
    ours, theirs = (distinct_2([said.text for said in texts]) for texts in (own, start))
    if ours < LEAST_VARIETY * theirs:
        yield f"variety {ours:.3f} of distinct pairs, below {LEAST_VARIETY:g} times {theirs:.3f}"
    cut, before = (float(np.mean([not said.finished for said in texts])) for texts in (own, start))
    if cut > before + MORE_UNFINISHED:
        yield f"unfinished {cut:.2f} of its own replies, against {before:.2f}"
    words, few = (float(np.mean([len(s.text.split()) for s in texts])) for texts in (own, start))
    if words > MORE_WORDS * few:
        yield f"length {words:.1f} words, against {few:.1f}"


def _grounded(text: str, slots: Sequence[str]) -> bool:
    """It names something, and nothing that it was not offered."""
    named = _SLOT.findall(text)
    return bool(named) and set(named) <= set(slots)
