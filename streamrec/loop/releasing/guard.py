"""Two guards: a new champion that serves worse, or is clicked less, is rolled back by itself.

Which change is watched, and when a breach is one too many. The limits are those of
``core.release.service_levels`` and ``core.release.sequential_test``; levels are measured in
``loop.releasing.levels``, outcomes in ``loop.releasing.outcomes``.

Each look of either, about once a second:

1. Read the registry. Another champion, by an activation: begin to watch. By a rollback:
   nothing to watch.
2. Compare it with what was before, for ``watch_s`` from the activation.
3. Harm: roll back, which pins the predecessor.

Only a change that this guard has seen itself is undone: after a restart the champion there
is has nothing to be compared with. A pin is somebody's decision and is left alone; a canary has
its own watch.

The service-level guard compares with what the predecessor broke when it was last looked at: a
breach that it had too is not the champion's fault. A breach counts when it is there on ``looks``
looks in a row.

The click guard is the net below the canary: for a generation that reached everybody at once,
because there are no canaries or because a person activated it. Champion and predecessor answer
at different times, so what differs may also be the time of day: that is why a good part of the
rate may go (``TestRules.harm``) before it counts, and why it is off until asked for. It compares
with the newest former champion that has answered often enough: releases may follow each other
faster than clicks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from streamrec.core.release import sequential_test
from streamrec.core.release.registry import RegistryState
from streamrec.core.release.sequential_test import Rate, TestRules, Verdict
from streamrec.core.release.service_levels import Level, LevelRules, breaches, new_breaches
from streamrec.errors import RegistryConflict, UserError
from streamrec.loop.releasing.fleet_watch import SwapReport
from streamrec.loop.releasing.levels import by_generation
from streamrec.ports import Clock, Fleet

log = logging.getLogger(__name__)

ACTOR = "guard"
CLICK_ACTOR = "click-guard"
LOOK_EVERY_S = 1.0

RollBack = Callable[[str, str], SwapReport]
"""Reason, and the former champion to go back to."""


class PromotionWatch:
    """What both guards share: the change that is watched, and how it is undone."""

    def __init__(
        self,
        state: Callable[[], RegistryState],
        roll_back: RollBack,
        clock: Clock,
        watch_s: float,
    ) -> None:
        """``state`` and ``roll_back``: of a ``ReleaseService`` in the guard's name."""
        self.state = state
        self._roll_back = roll_back
        self._clock = clock
        self._watch_s = watch_s
        self._champion: str | None = None
        self._since_ms: int | None = None  # None: the champion is not watched

    def changed(self, state: RegistryState) -> bool:
        """Whether another champion answers than at the last look."""
        if state.champion == self._champion:
            return False
        activated = state.came_after(self._champion)
        self._since_ms = self._clock.now_ms() if activated else None
        self._champion = state.champion
        return True

    def watching(self, state: RegistryState) -> bool:
        """Whether the champion is one to be rolled back for harm."""
        since_ms = self._since_ms
        if since_ms is None or state.pin is not None or state.canary is not None:
            return False
        return self._clock.now_ms() - since_ms <= self._watch_s * 1000

    def undo(self, state: RegistryState, reason: str) -> None:
        """To the predecessor by name: the newest change may be another by then.

        Somebody who acts at the same moment was first: then it is looked at anew.
        """
        champion, previous = state.champion, state.previous or ""
        try:
            report = self._roll_back(reason, previous)
        except (RegistryConflict, UserError) as error:
            log.warning("%s is not rolled back: %s", champion, error)
            return
        self._since_ms = None
        back = report.generation
        log.error("%s is rolled back to %s and pinned there: %s", champion, back, reason)


@dataclass(frozen=True, slots=True)
class GuardRules:
    """``looks`` in a row with a breach, within ``watch_s`` of the activation. 0: never."""

    looks: int = 5
    watch_s: float = 600.0
    levels: LevelRules = field(default_factory=LevelRules)


class Guard:
    """On service levels. ``look`` again and again, in one thread."""

    def __init__(
        self,
        state: Callable[[], RegistryState],
        roll_back: RollBack,
        fleet: Fleet,
        clock: Clock,
        rules: GuardRules,
    ) -> None:
        self._promotion = PromotionWatch(state, roll_back, clock, rules.watch_s)
        self._fleet = fleet
        self._rules = rules
        self._broken: frozenset[str] = frozenset()  # by the champion, when last looked at
        self._known: frozenset[str] = frozenset()  # by its predecessor
        self._strikes = 0

    def look(self) -> None:
        """One look. Raises Unavailable."""
        promotion, rules = self._promotion, self._rules
        state = promotion.state()
        if state.champion is None or not rules.looks:
            return
        level = by_generation(self._fleet.workers()).get(state.champion, Level())
        if promotion.changed(state):
            self._known, self._broken = self._broken, frozenset()
            self._strikes = 0
        if level.lists >= rules.levels.min_lists:
            self._broken = frozenset(breaches(level, rules.levels))
        breach = new_breaches(level, rules.levels, self._known)
        if not promotion.watching(state):
            return
        self._strikes = self._strikes + 1 if breach else 0
        if self._strikes >= rules.looks:
            self._strikes = 0
            before = f"not so before {state.champion}"
            promotion.undo(state, f"{breach}, on {rules.looks} looks in a row; {before}")


class ClickGuard:
    """On the click rate. ``look`` again and again, in one thread."""

    def __init__(
        self,
        state: Callable[[], RegistryState],
        roll_back: RollBack,
        rate: Callable[[str], Rate],
        clock: Clock,
        rules: TestRules,
        *,
        watch_s: float,
    ) -> None:
        self._promotion = PromotionWatch(state, roll_back, clock, watch_s)
        self._rate = rate
        self._rules = rules

    def look(self) -> None:
        """One look. Raises Unavailable."""
        promotion = self._promotion
        state = promotion.state()
        if state.champion is None:
            return
        promotion.changed(state)
        if not promotion.watching(state):
            return
        newest = self._rate(state.champion)
        look = sequential_test.look(self._before(state), newest, self._rules)
        if look.verdict is Verdict.HARM:
            promotion.undo(state, f"clicked less than the one before: {look}")

    def _before(self, state: RegistryState) -> Rate:
        """Of the newest former champion that has answered often enough to be compared with."""
        rates = (self._rate(former) for former in reversed(state.history))
        return next((rate for rate in rates if rate.lists >= self._rules.min_lists), Rate())
