"""Who answers a micro-batch: the champion, and the canary for its share of the users.

Knows how triggers are split between two generations; why there is a canary is
``core.release.canary``'s and ``loop.releasing.release``'s to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streamrec.core.release.canary import Canary
from streamrec.ports import Asked, ServingModel


@dataclass(frozen=True, slots=True)
class OnTrial:
    """A loaded canary and the rule that says whom it answers."""

    model: ServingModel
    rule: Canary

    @property
    def generation(self) -> str:
        return self.rule.generation


def split(
    asked: Sequence[Asked], champion: ServingModel, canary: OnTrial | None
) -> list[tuple[ServingModel, list[Asked]]]:
    """What each generation answers, the champion's first; without the one that answers nothing."""
    if canary is None:
        return [(champion, list(asked))] if asked else []
    groups: tuple[list[Asked], list[Asked]] = ([], [])
    for one in asked:
        groups[canary.rule.gets(one.user_id)].append(one)
    pairs = zip((champion, canary.model), groups, strict=True)
    return [(model, group) for model, group in pairs if group]
