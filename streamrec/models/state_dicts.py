"""States within states: tensors of a part by name, under the part's own name.

Knows how names are put together and taken apart: ``part.name``. Does not know what a tensor means,
nor how it is kept (``tasks.ranking.model.learner_files``).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def named(part: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``state`` under the name of the part it is of."""
    return {f"{part}.{name}": value for name, value in state.items()}


def under(part: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What ``named`` put there; empty when there is nothing of that part."""
    start = part + "."
    return {name.removeprefix(start): v for name, v in state.items() if name.startswith(start)}
