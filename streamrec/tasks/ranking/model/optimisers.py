"""The optimisers on the menu, and what of them a checkpoint keeps.

Knows torch's optimisers and the rate each is good with here. Does not know losses or weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from streamrec.settings import Optimiser

RATES = {Optimiser.ADAMW: 2e-4, Optimiser.SGD: 2e-2, Optimiser.ADAFACTOR: 2e-3}
"""Learning rates where the settings name none. Adafactor's is relative to a weight's size."""
MOMENTUM = 0.9


def make_optimiser(
    kind: Optimiser, parameters: Iterable[nn.Parameter], rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019), SGD with momentum, or Adafactor (Shazeer & Stern 2018).

    Adafactor keeps a row and a column of second moments instead of two copies of the weights.
    """
    if kind is Optimiser.SGD:
        return torch.optim.SGD(parameters, rate, momentum=MOMENTUM, weight_decay=weight_decay)
    if kind is Optimiser.ADAFACTOR:
        return torch.optim.Adafactor(parameters, rate, weight_decay=weight_decay)
    return torch.optim.AdamW(parameters, rate, weight_decay=weight_decay)


def optimiser_state(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Its moments, flat and named ``<parameter number>.<slot>``."""
    return {
        f"{number}.{slot}": value
        for number, slots in optimiser.state_dict()["state"].items()
        for slot, value in slots.items()
        if isinstance(value, Tensor)
    }


def load_optimiser_state(optimiser: torch.optim.Optimizer, state: Mapping[str, Tensor]) -> None:
    """Take what ``optimiser_state`` gave of the same kind of optimiser."""
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in state.items():
        number, _, slot = name.partition(".")
        slots.setdefault(int(number), {})[slot] = value
    optimiser.load_state_dict(optimiser.state_dict() | {"state": slots})
