"""A statistic's value for the whole catalogue is its value for every pair, computed faster."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamrec.core.events import Item, Source
from streamrec.core.state.catalogue import UNKNOWN, Catalogue, IntArray
from streamrec.core.state.item_stats import PartialItemCounts, partition_half_lives
from streamrec.core.state.pair_memory import PairRow, observe
from streamrec.core.state.statistics import Statistics
from streamrec.tasks.ranking.statistics.categories import DENSE
from streamrec.tasks.ranking.statistics.declaration import PairStatistic
from streamrec.tasks.ranking.statistics.moment import Moment
from streamrec.tasks.ranking.statistics.registry import STATISTICS

ITEMS = 150
WORDS = ("the", "matrix", "hobbit", "alien", "two")


def catalogue_of(numbers: np.random.Generator, *, kinds: int) -> Catalogue:
    catalogue = Catalogue()
    catalogue.put(
        Item(
            f"i{n}",
            " ".join(numbers.choice(WORDS, numbers.integers(1, 4))),
            categories=tuple(f"c{c}" for c in numbers.integers(0, kinds, numbers.integers(0, 7))),
        )
        for n in range(ITEMS)
    )
    return catalogue


def rows_of(numbers: np.random.Generator) -> dict[str, dict]:
    """What one partition could have stored."""
    half_lives, at_ms = partition_half_lives(2), 1_000
    counts: dict[str, PartialItemCounts] = {}
    pairs: dict[str, PairRow] = {}
    history: list[str] = []
    for clock in range(1, 80):
        item, accepted = f"i{numbers.zipf(1.4) % (ITEMS - 5)}", bool(numbers.integers(2))
        at_ms += int(numbers.integers(3_600_000))
        counts.setdefault(item, PartialItemCounts()).touch(
            clock, at_ms, half_lives, view=not accepted, accept=accepted
        )
        if accepted:
            observe(pairs, item, history)
            history.append(item)
    rows = {"c": {"n": 80, "t": at_ms}}
    rows |= {f"i/{item}": one.to_record() for item, one in counts.items()}
    return rows | {f"n/{item}": one.to_record() for item, one in pairs.items()}


def world(seed: int, kinds: int) -> tuple[Moment, list[IntArray]]:
    numbers = np.random.default_rng(seed)
    catalogue = catalogue_of(numbers, kinds=kinds)
    statistics = Statistics(catalogue, partitions=2)
    for partition in range(2):
        statistics.apply_rows(Source("events", partition), rows_of(numbers))
    histories = [
        numbers.integers(UNKNOWN, ITEMS, numbers.integers(0, 50)).astype(np.int32) for _ in range(3)
    ]
    return Moment(statistics, catalogue), [*histories, np.zeros(0, np.int32)]


@pytest.mark.parametrize("declared", STATISTICS.pairs, ids=lambda one: one.__name__)
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32), kinds=st.sampled_from([4, 4 * DENSE]))
def test_the_value_for_the_catalogue_is_the_value_for_its_pairs(
    declared: type[PairStatistic], seed: int, kinds: int
) -> None:
    moment, histories = world(seed, kinds)
    statistic = declared(moment)
    out_BCN = np.zeros((len(histories), len(declared.columns), ITEMS), np.float32)
    derived_BCN = np.zeros_like(out_BCN)
    statistic.catalogue(histories, out_BCN)
    PairStatistic.catalogue(statistic, histories, derived_BCN)
    np.testing.assert_allclose(out_BCN, derived_BCN, atol=1e-5)


@pytest.mark.parametrize("declared", STATISTICS.pairs, ids=lambda one: one.__name__)
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32))
def test_the_value_for_a_pair_is_finite_and_no_matter_what_else_is_asked(
    declared: type[PairStatistic], seed: int
) -> None:
    moment, histories = world(seed, 4)
    statistic = declared(moment)
    numbers = np.random.default_rng(seed)
    rows_T = numbers.integers(0, ITEMS, 20)
    request_T = numbers.integers(0, len(histories), 20).astype(np.intp)
    together_TC = statistic.pairs(histories, rows_T, request_T)
    assert np.isfinite(together_TC).all()
    for row, request, value_C in zip(rows_T, request_T, together_TC, strict=True):
        alone = statistic.pairs([histories[request]], np.array([row]), np.zeros(1, np.intp))
        np.testing.assert_allclose(alone[0], value_C, atol=1e-5)


def test_enough_categories_leave_the_dense_matrix() -> None:
    """The property above has seen both ways of summing over categories."""
    for kinds, dense in ((4, True), (4 * DENSE, False)):
        catalogue = catalogue_of(np.random.default_rng(0), kinds=kinds)
        assert (catalogue.category_count <= DENSE) == dense
