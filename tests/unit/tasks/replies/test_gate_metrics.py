"""Whether a candidate may replace replies' champion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streamrec.core.release.gate import Accept, Reject
from streamrec.ports.generating import Written
from streamrec.tasks.replies.gate_metrics import (
    ACCEPTANCE,
    RepliesJudge,
    effective_size,
    snips_difference,
    weight_of,
)
from streamrec.tasks.replies.model.scorer import SaidOfReply
from tests.unit.tasks.replies.test_examples import GOOD

SAME = SaidOfReply(GOOD.log_probability, 1.0, GOOD.plan_propensity)
TEXTS = ["try [[1]] now", "have a look at [[2]]", "why not [[1]] or [[2]]", "[[2]] is the one"]


def written(text: str, *, finished: bool = True) -> Written:
    return Written(text, (1,), (2,), -1.0, finished)


def judged(candidate: SaidOfReply, number: int = 60, texts=TEXTS, own=None):
    """Rewards by turns; the first are those that the candidate would write more often."""
    judge, found = RepliesJudge(), []
    for at in range(number):
        example = replace(GOOD, offset=at, reply_id=f"r{at}", reward=float(at % 2))
        start = texts[at % len(texts)]
        said = replace(
            candidate, own=written(own[at % len(own)] if own else start), start=written(start)
        )
        found.append(judge.judge(example, said, SAME, None))
    return found


def verdict(found):
    return RepliesJudge().verdict(found, "g1", {"update_norm/adapter": 0.1}, None)


def test_an_equal_candidate_is_accepted_and_its_distance_told() -> None:
    decided = verdict(judged(SAME))
    assert isinstance(decided, Accept)
    assert decided.report.norms["kl_nats"] == 1.0
    assert decided.report.norms["effective_replies"] == pytest.approx(60)
    assert decided.report.metrics[ACCEPTANCE].candidate == 0.5


@pytest.mark.parametrize(
    ("candidate", "own", "reason"),
    [
        (replace(SAME, kl=5.5), None, "kl_nats is 5.5"),
        (SAME, ["try [[1]] now"], "variety"),
        (SAME, ["try it", *TEXTS], "grounded"),
        (SAME, ["try [[7]]", *TEXTS], "grounded"),
        (SAME, [f"{text} {text} and also {text}" for text in TEXTS], "length"),
        (replace(SAME, log_probability=float("nan")), None, "not probabilities"),
    ],
)
def test_what_is_too_far_or_badly_said_is_refused(candidate, own, reason) -> None:
    decided = verdict(judged(candidate, own=own))
    assert isinstance(decided, Reject)
    assert any(reason in one for one in decided.reasons), decided.reasons


def test_a_candidate_that_says_less_what_people_accept_is_refused() -> None:
    judge, found = RepliesJudge(), []
    for at in range(120):
        accepted = at % 2 == 0
        example = replace(GOOD, offset=at, reward=float(accepted))
        shift = -1.0 if accepted else 0.5
        said = replace(SAME, log_probability=GOOD.log_probability + shift)
        found.append(judge.judge(example, said, SAME, None))
    decided = verdict(found)
    assert isinstance(decided, Reject)
    assert decided.reasons[0].startswith(ACCEPTANCE)


def test_few_effective_replies_decide_nothing() -> None:
    found = judged(replace(SAME, log_probability=GOOD.log_probability - 9.0), number=10)
    decided = verdict(found)
    assert ACCEPTANCE not in decided.report.metrics
    assert decided.report.references[f"{ACCEPTANCE}_unsure"].n == 10


def test_weights_are_ratios_with_a_ceiling_and_a_template_has_its_plan_alone() -> None:
    likelier = replace(SAME, log_probability=GOOD.log_probability + 1.0)
    assert weight_of(GOOD, likelier) == pytest.approx(np.e)
    assert weight_of(GOOD, replace(SAME, log_probability=0.0, chance=1.0)) == 10.0
    plain = replace(GOOD, generation="", prompt_ids=(), token_ids=(), log_probability=0.0)
    said = SaidOfReply(0.0, None, GOOD.plan_propensity / 2)
    assert weight_of(plain, said) == pytest.approx(0.5)


def test_the_estimate_is_that_of_the_formula() -> None:
    reward_N = np.array([1.0, 0.0, 1.0, 1.0])
    ours_N, theirs_N = np.array([2.0, 1.0, 0.0, 1.0]), np.ones(4)
    found = snips_difference(reward_N, ours_N, theirs_N)
    assert found is not None
    assert (found.candidate, found.champion) == (0.75, 0.75)
    assert effective_size(ours_N) == pytest.approx(16 / 6)
    assert snips_difference(reward_N, np.zeros(4), theirs_N) is None
