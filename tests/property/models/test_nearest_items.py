"""Rows that come, change and go while the nearest are asked for."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from streamrec.models.nearest_items import NearestItems

DIM, ROWS = 8, 60


def vector(seed: int) -> torch.Tensor:
    drawn = torch.randn(DIM, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(drawn, dim=0)


Step = tuple[int, int | None]
steps = st.lists(st.tuples(st.integers(0, ROWS - 1), st.none() | st.integers(0, 500)), max_size=30)


@settings(max_examples=40, deadline=None)
@given(start=st.integers(0, ROWS), steps=steps)
def test_what_is_found_is_what_is_there(start: int, steps: list[Step]) -> None:
    """All rows with a vector, each once, and no other; the nearest of a vector is itself."""
    there = {row: vector(row) for row in range(start)}
    nearest = NearestItems(torch.stack([*there.values()]) if there else torch.zeros(0, DIM))
    for row, seed in steps:
        there.pop(row, None)
        put = torch.zeros(DIM)
        if seed is not None:
            put = there[row] = vector(1_000 + seed)
        nearest.put([row], put[None])
    assert len(nearest) == len(there)
    (found,) = nearest.search(vector(7)[None], ROWS + 5)
    assert sorted(found[found >= 0].tolist()) == sorted(there)


@settings(max_examples=20, deadline=None)
@given(allowed=st.sets(st.integers(0, ROWS - 1)))
def test_only_what_is_allowed_is_found(allowed: set[int]) -> None:
    vectors_ND = torch.stack([vector(row) for row in range(ROWS)])
    allowed_N = torch.zeros(ROWS, dtype=torch.bool)
    allowed_N[list(allowed)] = True
    found = NearestItems(vectors_ND).search(vectors_ND[:1], ROWS, allowed_N.numpy())[0]
    assert {*found[found >= 0].tolist()} == allowed


def test_siblings_follow_what_comes_and_goes() -> None:
    vectors_ND = torch.stack([vector(row) for row in range(ROWS)])
    nearest = NearestItems(vectors_ND)
    (before,) = nearest.siblings([3], vectors_ND)
    assert 3 not in before
    nearest.put([ROWS], vectors_ND[3:4])
    vectors_ND = torch.cat([vectors_ND, vectors_ND[3:4]])
    (after,) = nearest.siblings([3], vectors_ND)
    assert ROWS in after
    gone = int(after[after != ROWS][0])
    nearest.put([gone], torch.zeros(1, DIM))
    (last,) = nearest.siblings([3], vectors_ND)
    assert gone not in last
    assert ROWS in last


def test_an_index_that_has_doubled_is_outgrown() -> None:
    nearest = NearestItems(torch.stack([vector(row) for row in range(ROWS)]))
    assert not nearest.outgrown
    more = torch.stack([vector(ROWS + n) for n in range(ROWS + 1)])
    nearest.put(range(ROWS, 2 * ROWS + 1), more)
    assert nearest.outgrown
