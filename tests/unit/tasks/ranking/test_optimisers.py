"""Every optimiser of the menu takes steps and resumes where it was."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from streamrec.settings import Optimiser
from streamrec.tasks.ranking.model.optimisers import (
    RATES,
    load_optimiser_state,
    make_optimiser,
    optimiser_state,
)


def parameters() -> list[nn.Parameter]:
    drawn = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=drawn)) for shape in ((6, 4), (5,))]


def descend(optimiser: torch.optim.Optimizer, own: list[nn.Parameter], steps: int) -> float:
    loss = torch.tensor(0.0)
    for _ in range(steps):
        optimiser.zero_grad()
        loss = torch.stack([(p - 1.0).pow(2).sum() for p in own]).sum()
        loss.backward()
        optimiser.step()
    return loss.item()


@pytest.mark.parametrize("kind", list(Optimiser))
def test_it_goes_down_and_resumes_bit_for_bit(kind: Optimiser) -> None:
    whole = parameters()
    optimiser = make_optimiser(kind, whole, 10 * RATES[kind], 0.01)
    first = descend(optimiser, whole, 1)
    assert descend(optimiser, whole, 4) < first

    resumed = [nn.Parameter(p.detach().clone()) for p in whole]
    other = make_optimiser(kind, resumed, 10 * RATES[kind], 0.01)
    load_optimiser_state(other, {k: v.clone() for k, v in optimiser_state(optimiser).items()})
    assert descend(other, resumed, 3) == descend(optimiser, whole, 3)
    for one, two in zip(whole, resumed, strict=True):
        assert torch.equal(one, two)


def test_adafactor_keeps_less_than_the_weights() -> None:
    own = [nn.Parameter(torch.randn(100, 100))]
    sizes = {}
    for kind in (Optimiser.ADAMW, Optimiser.ADAFACTOR):
        optimiser = make_optimiser(kind, own, 1e-3, 0.0)
        descend(optimiser, own, 1)
        sizes[kind] = sum(value.numel() for value in optimiser_state(optimiser).values())
    assert sizes[Optimiser.ADAFACTOR] < 0.05 * sizes[Optimiser.ADAMW]
