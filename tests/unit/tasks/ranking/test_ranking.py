"""An account of scores is made of what they were made of."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from streamrec.tasks.ranking.features import FeatureMaker, candidate_features
from streamrec.tasks.ranking.model.head import INPUTS
from streamrec.tasks.ranking.model.learner import OnlineLearner
from streamrec.tasks.ranking.model.ranker import Ranker
from tests.unit.tasks.ranking.test_learner import ITEMS, Loop, RandomVectors

NOW_MS = 1_000_000 + 400 * 60_000


@pytest.fixture
def loop() -> Loop:
    return Loop()


def trained(loop: Loop) -> Ranker:
    learner = OnlineLearner(loop.catalogue, RandomVectors(len(ITEMS)), seed=0)
    learner.learn(loop.examples)
    return learner.snapshot()


def test_the_parts_of_an_account_sum_to_the_score_and_give_the_probability(loop):
    ranker = trained(loop)
    users = [loop.fold.user("u3"), loop.fold.user("nobody"), loop.fold.user("u4")]
    ranking = ranker.ranking(users, [NOW_MS] * 3, FeatureMaker(loop.statistics, loop.catalogue))
    users_T = np.array([0, 0, 1, 2, 2], np.int32)
    rows_T = np.array([5, 7, 7, 0, 39], np.int32)
    account = ranking.account(users_T, rows_T)
    scores_T = ranking.scores_BN[users_T, rows_T]
    constant = float(torch.relu(ranker.head.bias_M) @ ranker.head.outer_M)
    np.testing.assert_allclose(account.parts_TG.sum(1) + constant, scores_T, atol=1e-4)
    again = ranker.head(torch.from_numpy(account.raw_TD)).numpy()
    np.testing.assert_allclose(again, scores_T, atol=1e-4)
    np.testing.assert_allclose(ranker.probability(again), ranker.probability(scores_T), atol=1e-5)


def test_raw_inputs_are_the_features_that_ingest_logs(loop):
    ranker = trained(loop)
    user, rows = loop.fold.user("u3"), np.array([5, 7], np.int32)
    ranking = ranker.ranking([user], [NOW_MS], FeatureMaker(loop.statistics, loop.catalogue))
    account = ranking.account(np.zeros(2, np.int32), rows)
    logged = candidate_features(user, rows, NOW_MS, loop.statistics, loop.catalogue)
    features = logged.shape[1]
    kept = np.abs(account.standard_TD[:, :features]) < 8  # nothing that was clipped
    np.testing.assert_allclose(
        account.raw_TD[:, :features][kept], logged[kept], atol=1e-3, rtol=1e-3
    )


def test_closeness_is_the_cosine_with_the_users_items_newest_first(loop):
    ranker = trained(loop)
    user = loop.fold.user("u3")
    ranking = ranker.ranking([user], [NOW_MS], FeatureMaker(loop.statistics, loop.catalogue))
    account = ranking.account(np.zeros(1, np.int32), np.array([5], np.int32))
    newest_first = loop.catalogue.rows(user.history)[::-1].tolist()
    wanted = ranker.dots.vectors_ND[newest_first] @ ranker.dots.vectors_ND[5]
    count = len(newest_first)
    np.testing.assert_allclose(account.closeness_TH[0, :count], wanted.numpy(), atol=1e-5)
    assert not account.closeness_TH[0, count:].any()
    at = INPUTS.index("sim_last")
    np.testing.assert_allclose(account.raw_TD[0, at], account.closeness_TH[0, 0], atol=1e-3)
