"""What is believed of wordings, whatever the counts."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamrec.core.variants.beta import expected_losses, intervals, posterior, shares

ARMS = st.lists(
    st.tuples(st.floats(0.001, 0.5), st.floats(1, 5_000), st.integers(0, 5_000), st.floats(0, 1)),
    min_size=1,
    max_size=6,
)


def columns(arms):
    mean_A, strength_A, views_A, part_A = (
        np.array(column, float) for column in zip(*arms, strict=True)
    )
    return mean_A, strength_A, views_A, np.floor(views_A * part_A)


@given(ARMS, st.booleans())
def test_a_posterior_is_one_and_its_sums_are_right(arms, pooled):
    found = posterior(*columns(arms), pooled=pooled)
    assert (found.alpha_A > 0).all()
    assert (found.beta_A > 0).all()
    given_A = shares(found, seed=1, draws=200)
    assert abs(given_A.sum() - 1) < 1e-9
    assert (expected_losses(found, seed=1, draws=200) >= 0).all()
    low_A, high_A = intervals(found, seed=1, draws=200).T
    assert (low_A <= high_A).all()


@given(ARMS)
def test_without_a_count_it_is_the_prior(arms):
    mean_A, strength_A, views_A, _ = columns(arms)
    for pooled in (False, True):
        found = posterior(mean_A, strength_A, 0 * views_A, 0 * views_A, pooled=pooled)
        np.testing.assert_allclose(found.means, mean_A)
        np.testing.assert_allclose(found.alpha_A + found.beta_A, strength_A)


@given(ARMS)
def test_unpooled_it_is_what_beta_arithmetic_says(arms):
    mean_A, strength_A, views_A, clicks_A = columns(arms)
    found = posterior(mean_A, strength_A, views_A, clicks_A, pooled=False)
    np.testing.assert_allclose(found.alpha_A, mean_A * strength_A + clicks_A)
    np.testing.assert_allclose(found.alpha_A + found.beta_A, strength_A + views_A)


@given(st.floats(0.01, 0.2), st.integers(500, 5_000))
def test_what_arms_have_in_common_follows_their_counts(rate, views):
    """Twice as good by the prior stays twice as good, at the level that is found."""
    views_A = np.array([views, views], float)
    clicks_A = np.round(views_A * np.array([2, 1]) * rate / 1.5)
    found = posterior(np.array([0.02, 0.01]), np.array([500.0, 1000.0]), views_A, clicks_A)
    np.testing.assert_allclose(found.means * views_A, clicks_A, rtol=0.1, atol=1.0)
