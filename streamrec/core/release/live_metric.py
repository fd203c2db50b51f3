"""How often the lists of each generation are clicked, as the stream tells it.

Knows how views and clicks are joined to the list they came from, and what one user may
weigh.

An event belongs to a list when it names its ``recommendation_id``, is the same user's, is
about an item on it, and came within ``window_ms`` of it. Anything else is foreign and
counts nowhere: nobody can click for somebody else, or on what was never shown.

A list counts once, when its window is over: counting clicks as they come, and silence only
later, would flatter whichever generation is newer. Of a list it counts whether an event was
accepted (a click, a purchase, ...), and with ``shown_only`` it counts at all only if some
event says that it was seen.

All times are Kafka timestamps, in milliseconds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from streamrec.core.events import EXPLORED, Interaction, Recommendation
from streamrec.core.release.off_policy import Snips, greedy_weight
from streamrec.core.release.sequential_test import Rate, capped_rate

GENERATIONS = 16
"""Generations whose totals are remembered."""


@dataclass(frozen=True, slots=True)
class JoinRules:
    """``user_lists``: a user's lists weigh no more than this many. ``max_open``: memory."""

    window_ms: int = 30_000
    user_lists: int = 20
    shown_only: bool = False
    max_open: int = 200_000


@dataclass(slots=True)
class Total:
    """Of one generation, since counting began."""

    lists: int = 0
    shown: int = 0
    clicked: int = 0
    explored: int = 0
    greedy: Snips = field(default_factory=Snips)


@dataclass(slots=True)
class _Open:
    """A list whose window is not over."""

    user_id: str
    generation: str
    at_ms: int
    items: frozenset[str]
    weight: float  # of the greedy policy
    explored: bool
    shown: bool = False
    clicked: bool = False


class LiveMetric:
    """Feed it recommendations and events about as they come, then ``advance``."""

    def __init__(self, rules: JoinRules) -> None:
        self.foreign = 0  # events that named a list that was not theirs
        self.dropped = 0  # lists given up because too many were open
        self._rules = rules
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._early: OrderedDict[str, tuple[str, list[tuple[Interaction, int]]]] = OrderedDict()
        self._totals: OrderedDict[str, Total] = OrderedDict()
        self._since_ms = 0
        self._users: dict[str, dict[str, tuple[int, int]]] = {}  # generation -> user -> counts

    # -- what comes in ------------------------------------------------------------------

    def recommended(self, message: Recommendation, at_ms: int) -> None:
        """A list is on its topic. Of one that was sent twice the first counts."""
        name = message.recommendation_id
        if name in self._open or not message.items:
            return
        explored = any(item.reason == EXPLORED for item in message.items)
        self._open[name] = _Open(
            message.user_id,
            message.generation,
            at_ms,
            frozenset(item.item_id for item in message.items),
            greedy_weight([item.propensity for item in message.items], explored=explored),
            explored,
        )
        _, early = self._early.pop(name, ("", []))
        for event, event_ms in early:
            self._join(self._open[name], event, event_ms)
        while len(self._open) > self._rules.max_open:
            self._open.popitem(last=False)
            self.dropped += 1

    def happened(self, event: Interaction, at_ms: int) -> None:
        """An event is on its topic. Events may be read a little before their list is."""
        name = event.recommendation_id
        if name is None:
            return
        found = self._open.get(name)
        if found is not None:
            self._join(found, event, at_ms)
            return
        self._early.setdefault(name, (name, []))[1].append((event, at_ms))
        while len(self._early) > self._rules.max_open:
            self._early.popitem(last=False)
            self.foreign += 1

    def _join(self, found: _Open, event: Interaction, at_ms: int) -> None:
        late = at_ms > found.at_ms + self._rules.window_ms
        if event.user_id != found.user_id or event.item_id not in found.items or late:
            self.foreign += 1
            return
        found.shown = True
        found.clicked |= event.accepted

    def advance(self, now_ms: int) -> None:
        """Close the lists whose window is over, and forget events that fit none."""
        closing = now_ms - self._rules.window_ms
        while self._open and next(iter(self._open.values())).at_ms < closing:
            self._close(self._open.popitem(last=False)[1])
        while self._early and next(iter(self._early.values()))[1][0][1] < closing:
            self.foreign += len(self._early.popitem(last=False)[1][1])

    def _close(self, done: _Open) -> None:
        total = self._totals.setdefault(done.generation, Total())
        total.lists += 1
        total.shown += done.shown
        total.clicked += done.clicked
        total.explored += done.explored
        while len(self._totals) > GENERATIONS:
            self._totals.popitem(last=False)
        if self._rules.shown_only and not done.shown:
            return
        total.greedy.add(done.weight, float(done.clicked))
        if done.at_ms >= self._since_ms:
            users = self._users.setdefault(done.generation, {})
            while len(self._users) > GENERATIONS:
                del self._users[next(iter(self._users))]
            lists, clicked = users.get(done.user_id, (0, 0))
            users[done.user_id] = lists + 1, clicked + done.clicked

    # -- what comes out -----------------------------------------------------------------

    def begin(self, since_ms: int) -> None:
        """Start comparing: lists made from here on count for ``rate``, none before.

        Begun again at the same moment, nothing changes.
        """
        if since_ms == self._since_ms:
            return
        self._since_ms = since_ms
        self._users = {}

    def rate(self, generation: str) -> Rate:
        """Share of the generation's lists that were clicked, since ``begin``."""
        counts = self._users.get(generation, {}).values()
        return capped_rate(
            [lists for lists, _ in counts],
            [clicked for _, clicked in counts],
            self._rules.user_lists,
        )

    def totals(self) -> Iterable[tuple[str, Total]]:
        """Every remembered generation, the one first seen first."""
        return list(self._totals.items())
