"""Who answers a micro-batch: the champion, and the canary for its share of the users.

Knows how triggers are split between two generations. Does not know how they rank
(``loop.serving.serve``) or why there is a canary (``core.release.canary``,
``loop.releasing.release``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from streamrec.core.release.canary import Canary
from streamrec.ports import ServingModel

ListRequest = TypeVar("ListRequest")


@dataclass(frozen=True, slots=True)
class OnTrial:
    """A loaded canary and the rule that says whose lists it makes."""

    model: ServingModel
    rule: Canary

    @property
    def generation(self) -> str:
        return self.rule.generation


def split(
    wishes: Sequence[ListRequest],
    user_of: Callable[[ListRequest], str],
    champion: ServingModel,
    canary: OnTrial | None,
) -> list[tuple[ServingModel, list[ListRequest]]]:
    """The wishes of each generation, the champion's first; groups without a wish are left out."""
    if canary is None:
        return [(champion, list(wishes))] if wishes else []
    groups: tuple[list[ListRequest], list[ListRequest]] = ([], [])
    for wish in wishes:
        groups[canary.rule.gets(user_of(wish))].append(wish)
    pairs = zip((champion, canary.model), groups, strict=True)
    return [(model, group) for model, group in pairs if group]
