"""The gate lets equal and better candidates through and stops worse ones, noise or not."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from streamrec.core.examples import FloatArray
from streamrec.core.release import gate
from streamrec.core.release.gate import Accept, Reject
from streamrec.tasks.ranking import judging
from streamrec.tasks.ranking.examples import ExampleKind, RankingExample
from streamrec.tasks.ranking.features import FEATURES
from streamrec.tasks.ranking.gate_metrics import RankingGateRules, compare, decide
from streamrec.tasks.ranking.judging import JudgedExample, judge

AGE = FEATURES.index("age")
RULES = RankingGateRules()


def example(
    labels: list[float], *, kind: ExampleKind = ExampleKind.IMPRESSION, history: int = 5,
    age_h: float = 1000.0,
) -> RankingExample:  # fmt: skip
    n = len(labels)
    stats_CF = np.zeros((n, len(FEATURES)), np.float32)
    stats_CF[:, AGE] = np.log1p(age_h)
    return RankingExample(
        0, 0, 0, "u", 0, kind, 0, tuple("abcdefgh"[:history]), tuple(map(str, range(n))),
        np.array(labels, np.float32), stats_CF, np.zeros(n, np.float32),
    )  # fmt: skip


def p(*values: float) -> FloatArray:
    return np.array(values, np.float32)


def sigmoid(x: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-x)), np.float32)


def trial(
    seed: int, examples: int, damage: float, jitter: float, **kinds: object
) -> list[JudgedExample]:
    """A world with a true logit; the champion knows it with noise, the candidate a bit less.

    ``jitter`` is what two equally good models differ by; ``damage`` what a worse one adds.
    """
    rng = np.random.default_rng(seed)
    judged = []
    for _ in range(examples):
        truth_C = rng.normal(-1.5, 1.0, 10)
        labels_C = (rng.random(10) < sigmoid(truth_C)).astype(np.float32)
        shared_C = truth_C + rng.normal(0, 0.7, 10)
        champion_C = sigmoid(shared_C + rng.normal(0, jitter, 10))
        candidate_C = sigmoid(
            (1 - damage) * (shared_C + rng.normal(0, jitter, 10))
            + damage * rng.normal(-1.5, 1.2, 10)
        )
        one = example(labels_C.tolist(), **kinds)
        judged.append(judge(one, candidate_C, champion_C))
    return judged


def rejected(examples: int, damage: float, jitter: float, runs: int = 60) -> float:
    verdicts = [
        decide(compare(trial(seed, examples, damage, jitter), "g"), RULES) for seed in range(runs)
    ]
    return sum(isinstance(verdict, Reject) for verdict in verdicts) / runs


def test_error_rates_are_those_of_the_decision_record() -> None:
    """docs/adr/0061: equal candidates pass, bad ones do not, at 200 and at 20 examples."""
    assert rejected(200, damage=0.0, jitter=0.1) <= 0.10
    assert rejected(200, damage=0.0, jitter=0.3) <= 0.10
    assert rejected(200, damage=0.5, jitter=0.1) >= 0.70
    assert rejected(200, damage=1.0, jitter=0.1) >= 0.99
    assert rejected(20, damage=0.0, jitter=0.1) <= 0.15
    assert rejected(20, damage=1.0, jitter=0.1) >= 0.95


def test_a_better_candidate_passes() -> None:
    swapped = [
        replace(
            j,
            reciprocal_ranks=j.reciprocal_ranks and j.reciprocal_ranks[::-1],
            calibrations=j.calibrations and j.calibrations[::-1],
        )
        for j in trial(1, 200, 0.5, 0.1)
    ]
    assert isinstance(decide(compare(swapped, "g"), RULES), Accept)


def test_scores_that_are_no_probabilities_reject() -> None:
    one = example([1, 0])
    for bad in (p(np.nan, 0.5), p(1.5, 0.5), p(0.5, -0.1), p(np.inf, 0.1)):
        verdict = decide(compare([judge(one, bad, p(0.5, 0.5))], "g"), RULES)
        assert isinstance(verdict, Reject)
        assert "not probabilities" in verdict.reasons[0]


def test_a_broken_champion_is_replaced() -> None:
    verdict = decide(compare([judge(example([1, 0]), p(0.5, 0.5), p(np.nan, 0.5))], "g"), RULES)
    assert isinstance(verdict, Accept)


@pytest.mark.parametrize("norm", [11.0, float("nan"), float("inf")])
def test_exploding_weights_reject(norm: float) -> None:
    judged = trial(0, 50, 0.0, 0.0)
    verdict = decide(compare(judged, "g", {"update_norm/head": norm}), RULES)
    assert isinstance(verdict, Reject)
    assert "update_norm/head" in verdict.reasons[0]
    assert isinstance(decide(compare(judged, "g", {"update_norm/head": 0.1}), RULES), Accept)


def test_equal_scores_do_not_win() -> None:
    """A model that says the same of everything must not win by the order of the list."""
    flat = [judge(example([1, 0, 0, 0]), p(*[0.3] * 4), p(0.6, 0.2, 0.2, 0.2)) for _ in range(40)]
    verdict = decide(compare(flat, "g"), RULES)
    assert isinstance(verdict, Reject)
    assert verdict.report.metrics["mrr"].candidate == 0.25


def test_the_numbers_by_hand() -> None:
    report = compare([judge(example([1, 0]), p(0.8, 0.4), p(0.5, 0.5))], "g")
    ours, theirs = -(np.log(0.8) + np.log(0.6)) / 2, -np.log(0.5)
    assert report.metrics["log_loss"].candidate == pytest.approx(ours)
    assert report.metrics["log_loss"].difference == pytest.approx(theirs - ours)
    assert report.metrics["mrr"].difference == 0.5
    assert report.metrics["calibration"].champion == pytest.approx(0.0)


def test_overconfidence_is_caught_by_loss_not_by_rank() -> None:
    judged = []
    rng = np.random.default_rng(3)
    for _ in range(200):
        labels_C = np.zeros(10, np.float32)
        labels_C[rng.integers(10)] = 1
        champion_C = np.where(labels_C > 0, 0.2, 0.08).astype(np.float32)
        judged.append(judge(example(labels_C.tolist()), np.minimum(champion_C * 4, 1), champion_C))
    verdict = decide(compare(judged, "g"), RULES)
    assert isinstance(verdict, Reject)
    assert any(reason.startswith("log_loss") for reason in verdict.reasons)
    assert any(reason.startswith("calibration") for reason in verdict.reasons)
    assert not any(reason.startswith("mrr") for reason in verdict.reasons)


def test_sampled_negatives_judge_the_ranking_only() -> None:
    report = compare([judge(example([1, 0], kind=ExampleKind.NEXT_CLICK), p(1, 0), p(0, 1))], "g")
    assert set(report.metrics) == {"mrr"}
    assert report.metrics["mrr"].difference == 0.5


def test_a_view_alone_judges_the_probability_only() -> None:
    report = compare([judge(example([0], kind=ExampleKind.VIEW), p(0.1), p(0.4))], "g")
    assert set(report.metrics) == {"log_loss", "calibration"}


def test_a_loss_hidden_in_the_mean_is_found_in_its_slice() -> None:
    good = [judge(example([1, 0, 0, 0]), p(0.6, 0.2, 0.2, 0.2), p(0.6, 0.2, 0.2, 0.2))] * 4000
    fresh = example([1, 0, 0, 0], history=1, age_h=2.0)
    bad = [judge(fresh, p(0.3, 0.6, 0.2, 0.2), p(0.5, 0.2, 0.2, 0.2))] * 40
    verdict = decide(compare(good + bad, "g"), RULES)
    assert isinstance(verdict, Reject)
    assert {reason.split()[0] for reason in verdict.reasons} >= {"mrr/new_users", "mrr/new_items"}
    few = decide(compare(good + bad[:20], "g"), RULES)  # too few to say anything
    assert isinstance(few, Accept)


def test_slices_name_new_users_and_newly_seen_accepted_items() -> None:
    assert judging.slices_of(example([1, 0])) == ()
    assert judging.slices_of(example([1, 0], history=2)) == ("new_users",)
    assert judging.slices_of(example([1, 0], age_h=23.0)) == ("new_items",)
    assert judging.slices_of(example([0, 0], age_h=0.0)) == ()  # nothing accepted


def test_nothing_judged_is_accepted_with_empty_numbers() -> None:
    verdict = decide(compare([], "g"), RULES)
    assert isinstance(verdict, Accept)
    assert "nothing to compare" in gate.summary(verdict.report)


def test_the_record_is_json_whatever_the_numbers() -> None:
    verdict = decide(compare(trial(2, 30, 1.0, 0.1), "g7", {"n": float("nan")}), RULES)
    record = json.loads(json.dumps(gate.to_record(verdict), allow_nan=False))
    assert record["accepted"] is False
    assert record["champion"] == "g7"
    assert record["norms"]["n"] is None
    assert record["metrics"]["mrr"]["n"] <= 30
    single = compare([judge(example([1, 0]), p(0.6, 0.4), p(0.5, 0.4))], "g")
    assert gate.to_record(decide(single, RULES))["metrics"]["mrr"]["standard_error"] is None


def reasons(verdict: Accept | Reject) -> str:
    return "; ".join(verdict.reasons) if isinstance(verdict, Reject) else ""


def test_divergence_by_hand_and_its_limit() -> None:
    one = judge(example([1, 0]), p(0.6, 0.2), p(0.4, 0.4))
    assert one.kl == pytest.approx(0.75 * np.log(1.5) + 0.25 * np.log(0.5))
    assert judge(example([1]), p(0.6), p(0.4)).kl is None  # a list of one has no order
    torn = [judge(example([0, 0]), p(0.99, 1e-6), p(1e-6, 0.99))] * 40
    assert "kl is" in reasons(decide(compare(torn, "g"), RULES))


def test_lists_far_from_those_of_a_bad_champion_pass_when_they_are_clearly_better() -> None:
    good, bad = p(0.99, 1e-6), p(1e-6, 0.99)
    better = [judge(example([1, 0]), good, bad)] * 40 + [judge(example([0, 1]), good, bad)] * 2
    assert isinstance(decide(compare(better, "upside-down"), RULES), Accept)


def test_lists_that_collapse_onto_few_items_reject() -> None:
    rng = np.random.default_rng(0)
    judged = []
    for _ in range(60):
        labels = np.zeros(40)
        one = example(labels.tolist())
        shuffled = replace(one, candidates=tuple(map(str, rng.permutation(200)[:40])))
        honest = rng.random(40).astype(np.float32) * 0.1
        favourites = np.array([0.9 - int(i) / 250 for i in shuffled.candidates], np.float32)
        judged.append(judge(shuffled, favourites, honest))
    report = compare(judged, "g")
    coverage = report.metrics["coverage"]
    assert coverage.candidate < 0.5 * coverage.champion
    assert "collapse" in reasons(decide(report, RULES))
    assert "collapse" not in reasons(decide(compare(judged[:20], "g"), RULES))  # too few lists


def test_many_small_steps_down_are_caught_by_the_anchor() -> None:
    """Each step is below the gate's tolerance; together they are not."""
    one = example([0, 1, 0, 0, 0, 0, 0, 0])
    good, bad = p(0.1, 0.3, *[0.1] * 6), p(0.3, 0.2, *[0.1] * 6)

    @cache
    def judged_as(ours_bad: bool, theirs_bad: bool, *anchor: bool) -> JudgedExample:
        return judge(one, *(bad if is_bad else good for is_bad in (ours_bad, theirs_bad, *anchor)))

    def step(number: int) -> tuple[Accept | Reject, Accept | Reject]:
        """A candidate that fails ``number`` more examples in 400 than the first one did."""
        judged, unanchored = [], []
        for n in range(400):
            ours, theirs = n < 2 * number, n < 2 * (number - 1)
            judged.append(judged_as(ours, theirs, False))
            unanchored.append(judged_as(ours, theirs))
        return decide(compare(judged, "g", anchor="g1"), RULES), decide(
            compare(unanchored, "g"), RULES
        )

    verdicts = [step(number) for number in range(1, 20)]
    assert all(isinstance(alone, Accept) for _, alone in verdicts)
    assert isinstance(verdicts[0][0], Accept)
    assert isinstance(verdicts[-1][0], Reject)
    assert "g1, a former champion" in reasons(verdicts[-1][0])


def test_a_candidate_below_popularity_rejects_unless_it_is_a_step_up() -> None:
    one = example([0, 1, 0, 0])
    one.stats_CF[1, FEATURES.index("accepts_5000ev")] = 3.0  # popularity finds it first
    worse, bad = p(0.5, 0.1, 0.4, 0.3), p(0.5, 0.1, 0.4, 0.05)
    as_bad = decide(compare([judge(one, worse, worse)] * 40, "g"), RULES)
    assert "popularity" in reasons(as_bad)
    better = decide(compare([judge(one, bad, worse)] * 40, "g"), RULES)
    assert "popularity" not in reasons(better)


def test_an_absurd_calibration_rejects_unless_it_is_a_step_up() -> None:
    shown = example([0], kind=ExampleKind.VIEW)
    same = decide(compare([judge(shown, p(0.9), p(0.9))] * 40, "g"), RULES)
    assert "calibration error 0.900" in reasons(same)
    better = decide(compare([judge(shown, p(0.8), p(0.9))] * 40, "g"), RULES)
    assert isinstance(better, Accept)


def test_a_user_who_was_away_for_weeks_is_a_slice() -> None:
    one = example([1, 0])
    one.stats_CF[:, FEATURES.index("user_away")] = np.log1p(24.0 * 15)
    assert judging.slices_of(one) == ("inactive_users",)
    assert judging.slices_of(replace(one, history=())) == ("new_users",)  # nobody to miss


def test_references_and_anchor_are_in_the_record() -> None:
    judged = [judge(example([1, 0, 0]), p(0.6, 0.4, 0.1), p(0.5, 0.4, 0.1), p(0.1, 0.4, 0.5))]
    record = gate.to_record(decide(compare(judged, "g7", anchor="g2"), RULES))
    assert record["anchor"] == "g2"
    assert record["references"]["anchor"]["champion"] == pytest.approx(1 / 3)
    assert record["references"]["popularity"]["n"] == 1
    assert record["norms"]["kl"] > 0
