"""Lists, replies and what people thought of them, counted by group of users and of items.

Knows what the log says, in whatever order topics are read, and whatever comes twice. Does not know
where it is read or who declared a group; what the counts say of fairness is ``fairness``'s.

A reply is judged by the first accept or reject about it. It counts for its user's group, and once
for each group of the items that it names. A place of a list likewise.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping

from streamrec.core.events import Interaction, Kind, Recommendation, ReplyMessage
from streamrec.core.measures.fairness import GroupCounts, GroupRow, exposure_at, table

UNDECLARED = "(not declared)"


class ReplyGroups:
    """``group_of``: a user's; ``groups_of``: an item's, none where it is unknown."""

    def __init__(
        self, group_of: Callable[[str], str], groups_of: Callable[[str], Iterable[str]]
    ) -> None:
        self._group_of, self._groups_of = group_of, groups_of
        self._users: dict[str, GroupCounts] = defaultdict(GroupCounts)
        self._items: dict[str, GroupCounts] = defaultdict(GroupCounts)
        self._seen: set[str] = set()
        self._askers: set[str] = set()
        self._said: dict[str, tuple[str, tuple[str, ...]]] = {}  # reply_id -> user, items
        self._accepted: dict[str, bool] = {}  # reply_id -> by the first word on it

    def take(self, found: object) -> None:
        """Whatever is on the topics; what says nothing of groups is passed over."""
        if isinstance(found, Recommendation):
            self._list(found)
        elif isinstance(found, ReplyMessage) and found.final:
            self._said[found.reply_id] = found.user_id, found.items
        elif isinstance(found, Interaction) and found.kind in (Kind.ACCEPT, Kind.REJECT):
            self._accepted.setdefault(found.reply_id or "", found.kind is Kind.ACCEPT)

    def users(self) -> list[GroupRow]:
        """Expected: as many places as a group has of those who were given a list."""
        askers = Counter(self._group_of(user) for user in self._askers)
        return table(self._with_judged()[0], _shares(askers))

    def items(self, catalogue: Iterable[str]) -> list[GroupRow]:
        """Expected: as many places as a group has of the ``catalogue`` (ids)."""
        there = Counter(group for item in catalogue for group in set(self._groups_of(item)))
        return table(self._with_judged()[1], _shares(there))

    @property
    def judged(self) -> int:
        return len(self._said.keys() & self._accepted.keys())

    @property
    def lists(self) -> int:
        return len(self._seen)

    def _list(self, found: Recommendation) -> None:
        name = f"{found.user_id}\0{found.recommendation_id}"
        if name in self._seen:
            return
        self._seen.add(name)
        self._askers.add(found.user_id)
        group = self._group_of(found.user_id)
        for place, item in enumerate(found.items):
            one = GroupCounts(listed=1, exposure=exposure_at(place))
            self._users[group] += one
            for of in set(self._groups_of(item.item_id)):
                self._items[of] += one

    def _with_judged(self) -> tuple[dict[str, GroupCounts], dict[str, GroupCounts]]:
        users = defaultdict(GroupCounts, self._users)
        items = defaultdict(GroupCounts, self._items)
        for reply_id, (user, named) in self._said.items():
            if (accepted := self._accepted.get(reply_id)) is None:
                continue
            one = GroupCounts(judged=1, accepted=int(accepted))
            users[self._group_of(user)] += one
            for of in {group for item in named for group in self._groups_of(item)}:
                items[of] += one
        return users, items


def _shares(counted: Mapping[str, int]) -> dict[str, float]:
    total = sum(counted.values())
    return {group: count / total for group, count in counted.items()} if total else {}
