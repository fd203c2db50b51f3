"""Baselines rank by what their names say, the same in a list and in the catalogue."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streamrec.core.events import Interaction, Item
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.fold import Located, PartitionFold
from streamrec.core.state.statistics import Statistics
from streamrec.lab.baselines.bm25 import Bm25Ranker
from streamrec.lab.baselines.statistics import (
    CLICK_RATE,
    ITEM_KNN,
    POPULARITY,
    WEIGHTS,
    StatisticRanker,
)
from streamrec.tasks.ranking.example_maker import RankingRules, ranking_fold
from streamrec.tasks.ranking.features import FeatureMaker, candidate_features
from tests.harness.training_worker import example
from tests.unit.core.test_fold import click, view


def folded(events: list[Interaction]) -> tuple[PartitionFold, Statistics, Catalogue]:
    catalogue = Catalogue()
    catalogue.put([Item(f"i{n}", f"Item {n}") for n in range(6)])
    statistics = Statistics(catalogue)
    fold = ranking_fold(0, RankingRules(sampled_negatives=3), catalogue, statistics)
    run = [Located(n, 0, event) for n, event in enumerate(events)]
    fold.put_users(dict.fromkeys(fold.missing_users(run)))
    fold.apply(run, 0)
    return fold, statistics, catalogue


EVENTS = [
    *(click(f"a{n}", "i1", 1_000 + n) for n in range(5)),
    *(view(f"b{n}", "i1", 1_200 + n, f"p{n}") for n in range(30)),
    *(click(f"c{n}", "i2", 1_300 + n) for n in range(3)),
    click("x", "i3", 1_400),
    click("x", "i4", 1_401),
    click("u", "i3", 1_500),
]


@pytest.mark.parametrize(
    ("name", "best"), [(POPULARITY, "i1"), (CLICK_RATE, "i2"), (ITEM_KNN, "i4")]
)
def test_each_puts_its_own_first(name: str, best: str) -> None:
    fold, statistics, catalogue = folded(EVENTS)
    ranker = StatisticRanker(WEIGHTS[name])
    (scores_N,) = ranker.rank([fold.user("u")], [2_000], FeatureMaker(statistics, catalogue))
    assert catalogue.item(int(np.argmax(scores_N))).item_id == best


@pytest.mark.parametrize("name", list(WEIGHTS))
def test_the_catalogue_and_a_list_agree(name: str) -> None:
    fold, statistics, catalogue = folded(EVENTS)
    ranker, user = StatisticRanker(WEIGHTS[name]), fold.user("u")
    (scores_N,) = ranker.rank([user], [2_000], FeatureMaker(statistics, catalogue))
    rows = np.arange(len(catalogue))
    stats = candidate_features(user, rows, 2_000, statistics, catalogue)
    (shares_N,) = ranker.score([replace(example(0, 0), stats_CF=stats)])
    np.testing.assert_allclose(shares_N, 1 / (1 + np.exp(-scores_N)), rtol=1e-5)


def test_a_feature_nobody_has_is_refused() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        StatisticRanker({"nonsense": 1.0})


def test_words_of_a_query_find_the_item_that_has_the_rarest_of_them() -> None:
    fold, statistics, catalogue = folded(EVENTS)
    catalogue.put([Item("bees", "A quiet film", "about bees"), Item("ants", "A quiet film")])
    features = FeatureMaker(statistics, catalogue)
    ranker, user = Bm25Ranker(catalogue), fold.user("u")
    scores_BN = ranker.rank([user] * 2, [0, 0], features, ["a quiet film about BEES", ""])
    assert catalogue.item(int(np.argmax(scores_BN[0]))).item_id == "bees"
    assert not scores_BN[1].any()
    shown = replace(example(0, 0), candidates=("ants", "bees", "nowhere"), query="bees")
    assert np.argsort(ranker.score([shown])[0]).tolist() == [2, 0, 1]
