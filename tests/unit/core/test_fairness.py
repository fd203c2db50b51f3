"""Groups beside all others: shares, intervals, exposure."""

from __future__ import annotations

import numpy as np
import pytest

from streamrec.core.measures.fairness import (
    GroupCounts,
    difference,
    exposure_at,
    summed,
    table,
)
from streamrec.core.measures.proportions import wilson


def test_intervals_are_those_of_the_literature() -> None:
    """Newcombe 1998, Statistics in Medicine 17:873-890, table II, example (a)."""
    assert difference((56, 70), (48, 80)) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_a_table() -> None:
    counts = summed(
        [
            ("young", GroupCounts(judged=100, accepted=80, listed=4, exposure=3.0)),
            ("young", GroupCounts(judged=100, accepted=70, listed=2, exposure=1.0)),
            ("old", GroupCounts(judged=100, accepted=50, listed=6, exposure=4.0)),
            ("silent", GroupCounts(listed=4, exposure=2.0)),
        ]
    )
    rows = {row.group: row for row in table(counts, {"young": 0.5})}
    assert list(rows) == ["young", "old", "silent"]
    young, old, silent = rows.values()
    assert young.acceptance == pytest.approx((0.75, 0.686, 0.805), abs=1e-3)
    assert (silent.acceptance, silent.difference) == (None, None)
    assert young.difference == pytest.approx((0.25, 0.135, 0.361), abs=1e-3)
    assert old.difference == pytest.approx((-0.25, -0.361, -0.135), abs=1e-3)
    assert (young.told_apart, old.told_apart, silent.told_apart) == (True, True, False)
    assert (young.list_share, old.exposure_share) == (6 / 16, 0.4)
    assert (young.exposure_ratio, old.exposure_ratio) == (0.8, None)


def test_few_judgements_tell_nothing_apart() -> None:
    few = {"a": GroupCounts(judged=29, accepted=29), "b": GroupCounts(judged=500, accepted=0)}
    assert [row.told_apart for row in table(few)] == [False, False]


def test_one_group_has_nobody_beside_it() -> None:
    (row,) = table({"all": GroupCounts(judged=100, accepted=10)})
    assert (row.difference, row.told_apart, row.list_share, row.exposure_share) == (
        None,
        False,
        0,
        0,
    )


def test_a_place_weighs_less_the_lower_it_is() -> None:
    assert [exposure_at(0), exposure_at(2)] == [1.0, 0.5]
    assert table({}) == []


def test_equal_groups_are_told_apart_one_time_in_twenty() -> None:
    rng = np.random.default_rng(0)
    hits = rng.binomial(200, 0.4, size=(2_000, 2))
    apart = [
        table({"a": GroupCounts(200, int(a)), "b": GroupCounts(200, int(b))})[0].told_apart
        for a, b in hits
    ]
    assert 0.03 < np.mean(apart) < 0.065
