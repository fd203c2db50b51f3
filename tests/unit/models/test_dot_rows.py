"""Remembered rows of cosines are the cosines, whatever was forgotten in between."""

from __future__ import annotations

import random

import pytest
import torch
from torch.nn import functional

from streamrec.models.dot_rows import DotRows
from streamrec.tasks.ranking.model.similarity import (
    RECENT,
    candidate_similarities,
    catalogue_similarities,
)

ITEMS, DIM = 40, 8


@pytest.fixture
def vectors_ND() -> torch.Tensor:  # noqa: N802 - shapes are part of names here
    generator = torch.Generator().manual_seed(3)
    return functional.normalize(torch.randn(ITEMS, DIM, generator=generator), dim=-1)


@pytest.mark.parametrize("kept", [1, 5, ITEMS])
def test_rows_are_the_products_however_few_are_kept(vectors_ND: torch.Tensor, kept: int) -> None:
    dots, rng = DotRows(vectors_ND, kept * ITEMS * 4), random.Random(1)
    for _ in range(50):
        rows = [rng.randrange(ITEMS) for _ in range(rng.randrange(1, 9))]
        table, place = dots.find(rows)
        for row in rows:
            torch.testing.assert_close(table[place[row]], vectors_ND @ vectors_ND[row])


def test_an_item_that_is_not_indexed_yet_is_close_to_nothing(vectors_ND: torch.Tensor) -> None:
    table, place = DotRows(vectors_ND).find([ITEMS + 3, 2])
    assert not table[place[ITEMS + 3]].any()
    assert table[place[2]].any()


def remembered(dots: DotRows, row: int) -> bool:
    """Whether it is known without the vectors, which are gone: a row computed now is zero."""
    table, place = dots.find([row])
    return bool(table[place[row]].any())


def test_a_row_is_computed_once(vectors_ND: torch.Tensor) -> None:
    dots = DotRows(vectors_ND)
    dots.find([1, 2, 2])
    vectors_ND.zero_()
    dots.find([2, 3])
    assert [remembered(dots, row) for row in (1, 2, 3)] == [True, True, False]


def test_the_row_asked_for_longest_ago_is_forgotten(vectors_ND: torch.Tensor) -> None:
    dots = DotRows(vectors_ND, 2 * ITEMS * 4)
    for row in (1, 2, 1, 3):
        dots.find([row])
    vectors_ND.zero_()
    assert [remembered(dots, row) for row in (1, 3, 2)] == [True, True, False]


@pytest.mark.parametrize("kept", [2, ITEMS])
def test_the_whole_catalogue_and_a_few_candidates_agree(
    vectors_ND: torch.Tensor, kept: int
) -> None:
    rng = random.Random(2)
    history_BH = torch.full((5, RECENT + 4), -1)
    for b, length in enumerate((0, 1, 3, RECENT, RECENT + 4)):
        history_BH[b, :length] = torch.tensor([rng.randrange(ITEMS) for _ in range(length)])
    rows_BC = torch.arange(ITEMS).expand(5, ITEMS)
    expected_BCS = candidate_similarities(vectors_ND, history_BH, rows_BC)
    found_BSN = catalogue_similarities(DotRows(vectors_ND, kept * ITEMS * 4), history_BH)
    torch.testing.assert_close(found_BSN.transpose(1, 2), expected_BCS, atol=1e-5, rtol=1e-4)
