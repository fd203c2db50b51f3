"""The words that a list's items are shown with, where an item has more than one.

Knows items that carry variants, and that a list says which it shows, in each item and in its own id
(``core.variants.credit``). Does not know how a wording is drawn (``core.variants.traffic``).

1. While the view stands still: a wish for each item of each list that has variants.
2. What has been assigned before stands, unless the item has no such variant any more.
3. The list names them. Items for which its id has no room are shown as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from streamrec.core.events import Recommendation, RecommendedItem
from streamrec.core.variants.credit import named, room
from streamrec.core.variants.traffic import Assigned, PriorsOf, WordingTraffic
from streamrec.tasks.ranking.lists.state_mirror import View

UserItem = tuple[str, str]
Wishes = Mapping[UserItem, Assigned]
Hold = Callable[[Wishes], Wishes]
"""What stands of these wishes. Raises Unavailable."""


class Wording:
    """``hold``: keeps assignments; ``period_ms``: how long one draw stands."""

    def __init__(
        self,
        hold: Hold = dict,
        period_ms: int = 86_400_000,
        priors: PriorsOf = lambda _: None,
    ) -> None:
        self._hold = hold
        self._period_ms = max(1, period_ms)
        self._traffic = WordingTraffic(priors)

    def wishes(
        self, lists: Sequence[tuple[str, Sequence[RecommendedItem]]], view: View, now_ms: int
    ) -> dict[UserItem, Assigned]:
        """Of (user, items of a list); empty where no item has variants."""
        wished: dict[UserItem, Assigned] = {}
        for user_id, items in lists:
            for one in items:
                row = view.catalogue.row(one.item_id)
                item = None if row is None else view.catalogue.item(row)
                if row is not None and item is not None and len(item.variants) > 1:
                    tables, period = view.tables(row), now_ms // self._period_ms
                    wish = self._traffic.assign(user_id, item, tables, period)
                    wished[user_id, one.item_id] = wish
        return wished

    def hold(self, wished: Wishes, view_variants: Mapping[str, frozenset[str]]) -> Wishes:
        """What stands. ``view_variants``: of each item, those that it has. Raises Unavailable."""
        held = self._hold(wished) if wished else wished
        return {
            pair: one if one.variant_id in view_variants[pair[1]] else wished[pair]
            for pair, one in held.items()
        }


def worded(made: Recommendation, held: Wishes) -> Recommendation:
    """The list with the wordings of its user."""
    least = room(made.recommendation_id)
    shown = {
        item.item_id: held[made.user_id, item.item_id]
        for item in made.items
        if (made.user_id, item.item_id) in held
    }
    shown = dict(list(shown.items())[:least])
    if not shown:
        return made
    items = tuple(
        replace(item, variant_id=one.variant_id, variant_propensity=one.propensity)
        if (one := shown.get(item.item_id))
        else item
        for item in made.items
    )
    variants = {item_id: one.variant_id for item_id, one in shown.items()}
    name = named(made.recommendation_id, made.user_id, variants)
    return replace(made, recommendation_id=name, items=items)
