"""A score as a sum over groups of inputs: Shapley values.

What the groups mean is in ``tasks.ranking.lists.reasons``.

    score = constant + Σ_g linear_g + Σ_g network_g

``linear_g`` is exact: the linear skip is a sum. The network is not, so ``network_g`` is the
group's Shapley value (Shapley 1953; for models: Lundberg & Lee 2017): what adding the group
changes, averaged over all orders of adding groups, where a group that is not there stands at
its mean (standardised 0). ``constant`` is the network with nothing there. With six groups all
64 subsets are computed: no sampling.

Legend: T items, D inputs, M hidden units, G groups, S subsets of groups.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from math import factorial
from typing import NamedTuple

import torch
from torch import Tensor

from streamrec.tasks.ranking.lists.reasons import GROUPS, positions
from streamrec.tasks.ranking.model.head import Head

COLUMNS = positions()
_AT_ONCE = 256
"""Items at once: 64 subsets of their hidden units stay in the cache."""


class ScoreParts(NamedTuple):
    linear_TG: Tensor
    network_TG: Tensor
    constant: Tensor  # ()

    def total(self) -> Tensor:
        """(T, G)"""
        return self.linear_TG + self.network_TG


@torch.no_grad()
def shapley_values(head: Head, standard_TD: Tensor) -> ScoreParts:
    """ScoreParts of the scores of standardised inputs."""
    linear_TD = standard_TD * head.linear_D
    linear_TG = torch.stack([linear_TD[:, own].sum(1) for own in COLUMNS], dim=1)
    network = [_shapley(head, part_TD) for part_TD in torch.split(standard_TD, _AT_ONCE)]
    network_TG = torch.cat(network)
    constant = torch.relu(head.bias_M) @ head.outer_M
    return ScoreParts(linear_TG, network_TG, constant)


def _shapley(head: Head, standard_TD: Tensor) -> Tensor:
    hidden_GTM = torch.stack([standard_TD[:, own] @ head.inner_DM[own] for own in COLUMNS])
    members_SG, weights_GS = _subsets(len(GROUPS))
    hidden_STM = torch.tensordot(members_SG, hidden_GTM, dims=1).add_(head.bias_M).relu_()
    values_GT: Tensor = weights_GS @ (hidden_STM @ head.outer_M)
    return values_GT.T


@cache
def _subsets(groups: int) -> tuple[Tensor, Tensor]:
    """Which groups are in each subset (S, G), and each subset's weight in each value (G, S)."""
    members = list(product((0, 1), repeat=groups))
    weights = torch.zeros(groups, len(members), dtype=torch.float64)
    for s, member in enumerate(members):
        size = sum(member)
        for g in range(groups):
            others = size - member[g]
            share = factorial(others) * factorial(groups - others - 1) / factorial(groups)
            weights[g, s] = share if member[g] else -share
    return torch.tensor(members, dtype=torch.float32), weights.float()
