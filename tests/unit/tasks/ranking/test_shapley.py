"""The parts of a score sum to it, and say what a part is worth."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch

from streamrec.tasks.ranking.lists.reasons import GROUPS
from streamrec.tasks.ranking.model.head import INPUTS, Head
from streamrec.tasks.ranking.model.shapley import COLUMNS, shapley_values


@pytest.fixture
def head() -> Head:
    made = Head(torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        made.outer_M.normal_(generator=generator)
        made.bias_M.normal_(generator=generator)
        made.mean_D.normal_(generator=generator)
        made.deviation_D.uniform_(0.5, 2, generator=generator)
    return made


def test_parts_and_constant_sum_to_the_score(head):
    raw_TD = torch.randn(300, len(INPUTS), generator=torch.Generator().manual_seed(2)) * 3
    parts = shapley_values(head, head.standardised(raw_TD))
    torch.testing.assert_close(
        parts.total().sum(1) + parts.constant, head(raw_TD), atol=2e-4, rtol=1e-4
    )


def test_a_group_that_stands_at_its_mean_adds_nothing(head):
    standard_TD = torch.randn(5, len(INPUTS), generator=torch.Generator().manual_seed(3))
    standard_TD[:, COLUMNS[2]] = 0.0
    assert shapley_values(head, standard_TD).total()[:, 2].abs().max() < 1e-4


def test_the_network_is_shared_out_as_the_mean_over_all_orders(head):
    standard_1D = torch.randn(1, len(INPUTS), generator=torch.Generator().manual_seed(4))

    def network(groups) -> float:
        there = torch.zeros_like(standard_1D)
        for group in groups:
            there[:, COLUMNS[group]] = standard_1D[:, COLUMNS[group]]
        hidden = torch.relu(there @ head.inner_DM + head.bias_M)
        return float((hidden @ head.outer_M).detach())

    orders = list(permutations(range(len(GROUPS))))
    wanted = torch.zeros(len(GROUPS))
    for order in orders:
        for place, group in enumerate(order):
            wanted[group] += (network(order[: place + 1]) - network(order[:place])) / len(orders)
    found = shapley_values(head, standard_1D).network_TG[0]
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-3)


def test_nothing_to_attribute(head):
    assert shapley_values(head, torch.zeros(0, len(INPUTS))).total().shape == (0, len(GROUPS))
