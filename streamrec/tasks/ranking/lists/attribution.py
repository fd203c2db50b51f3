"""An answer looked back at: what each score was made of, and which of the user's items drove it.

Values only; ``tasks.ranking.model.attribution`` computes them. Legend: G groups
(``tasks.ranking.lists.reasons.GROUPS``), H the user's known items, newest first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ItemAttribution:
    """One item of a list.

    score = constant + Σ linear + Σ network; P(accept) = σ(scale × score + shift).
    """

    item_id: str
    linear: Mapping[str, float]  # group -> what the linear skip adds for it
    network: Mapping[str, float]  # group -> what the network adds for it (Shapley)
    constant: float  # the network with every input at its mean
    scale: float
    shift: float
    score: float
    probability: float
    published: float  # the probability that was published
    drivers: Sequence[float]  # (H,) how much lower the score is without that item

    def part(self, group: str) -> float:
        return self.linear[group] + self.network[group]

    @property
    def logit(self) -> float:
        return self.scale * self.score + self.shift

    @property
    def faithful(self) -> bool:
        """Whether the weights at hand give what was published."""
        return abs(self.probability - self.published) < 1e-3


def strongest(items: Sequence[ItemAttribution], count: int) -> list[int]:
    """Places in the history that moved the list's scores most, summed over its items."""
    if not items:
        return []
    moved = [sum(abs(item.drivers[h]) for item in items) for h in range(len(items[0].drivers))]
    ranked = sorted(range(len(moved)), key=lambda h: -moved[h])
    return [h for h in ranked[:count] if moved[h] > 0]
