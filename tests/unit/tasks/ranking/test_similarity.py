"""Vectors by row: also of a list without items, which a serving worker explains like any other."""

from __future__ import annotations

import torch

from streamrec.tasks.ranking.model.similarity import gather

VECTORS = torch.tensor([[1.0, 0.0], [0.0, 1.0]])


def test_rows_that_are_unknown_or_not_there_are_zero() -> None:
    found = gather(VECTORS, torch.tensor([[1, -1], [0, 2]]))
    assert found.tolist() == [[[0.0, 1.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]]]


def test_no_rows_have_no_vectors() -> None:
    assert gather(VECTORS, torch.zeros(0, dtype=torch.int64)).shape == (0, 2)
    assert gather(VECTORS, torch.zeros(3, 0, dtype=torch.int64)).shape == (3, 0, 2)
