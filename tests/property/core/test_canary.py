"""The assignment: stable, of the right size, and new for every salt."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamrec.core.release.canary import Canary, position

SALTS = st.text(max_size=40)
USERS = st.text(max_size=40)
SHARES = st.sampled_from([0.01, 0.05, 0.2, 0.5])


@given(SALTS, USERS)
def test_a_user_stands_at_one_place_in_the_unit_interval(salt: str, user: str) -> None:
    assert 0.0 <= position(salt, user) < 1.0
    assert position(salt, user) == position(salt, user)


@given(SALTS, SHARES)
def test_the_share_is_what_was_asked_for(salt: str, share: float) -> None:
    canary, users = Canary("g", share, salt, 0), 4000
    hits = sum(canary.gets(f"user-{n}") for n in range(users))
    five_sigma = 5 * (users * share * (1 - share)) ** 0.5
    assert abs(hits - users * share) <= five_sigma


@given(SALTS, USERS)
def test_a_larger_share_keeps_everybody_it_had(salt: str, user: str) -> None:
    small, large = Canary("g", 0.1, salt, 0), Canary("g", 0.4, salt, 0)
    assert large.gets(user) or not small.gets(user)


@given(SALTS, SALTS)
def test_another_salt_draws_other_people(one: str, other: str) -> None:
    if one == other:
        return
    first, second = Canary("g", 0.5, one, 0), Canary("g", 0.5, other, 0)
    same = sum(first.gets(f"u{n}") == second.gets(f"u{n}") for n in range(1000))
    assert 400 < same < 600


def test_the_assignment_never_changes_between_versions() -> None:
    """Workers of two releases share a fleet: these values are for ever."""
    assert [round(position("g000001-00000000", f"user{n}"), 6) for n in range(3)] == FOR_EVER


FOR_EVER = [0.336999, 0.48732, 0.900513]
