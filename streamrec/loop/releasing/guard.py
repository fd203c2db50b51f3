"""The guard: a new champion that serves worse than the one before is rolled back by itself.

Knows which change is watched and when a breach is one too many. Does not know the limits
(``core.release.service_levels``), who measures (``loop.releasing.levels``) or how a rollback
is done (``loop.releasing.release``).

Each look, about once a second:

1. Read the registry. Another champion, by an activation: remember what its predecessor
   broke when it was last looked at, and begin to watch. By a rollback: nothing to watch.
2. Add up the fleet's levels of the champion. A breach that its predecessor had too is not
   its fault and does not count.
3. A breach on ``looks`` looks in a row: roll back, which pins the predecessor.

Only a change that this guard has seen itself is undone: after a restart the champion there
is has nothing to be compared with. A pin is somebody's decision and is left alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from streamrec.core.release.registry import RegistryState
from streamrec.core.release.service_levels import Level, LevelRules, breaches, new_breaches
from streamrec.errors import RegistryConflict, UserError
from streamrec.loop.releasing.fleet_watch import SwapReport
from streamrec.loop.releasing.levels import by_generation
from streamrec.ports import Clock, Fleet

log = logging.getLogger(__name__)

ACTOR = "guard"
LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class GuardRules:
    """``looks`` in a row with a breach, within ``watch_s`` of the activation. 0: never."""

    looks: int = 5
    watch_s: float = 600.0
    levels: LevelRules = field(default_factory=LevelRules)


class Guard:
    """``look`` again and again. For one thread, whose desk nobody else uses."""

    def __init__(
        self,
        state: Callable[[], RegistryState],
        roll_back: Callable[[str, str], SwapReport],
        fleet: Fleet,
        clock: Clock,
        rules: GuardRules,
    ) -> None:
        """``state`` and ``roll_back`` (reason, to): of a ``ReleaseService`` as ``ACTOR``."""
        self._state = state
        self._roll_back = roll_back
        self._fleet = fleet
        self._clock = clock
        self._rules = rules
        self._champion: str | None = None
        self._broken: frozenset[str] = frozenset()  # by the champion, when last looked at
        self._known: frozenset[str] = frozenset()  # by its predecessor
        self._since_ms: int | None = None  # None: the champion is not watched
        self._strikes = 0

    def look(self) -> None:
        """One look. Raises Unavailable."""
        state = self._state()
        if state.champion is None or not self._rules.looks:
            return
        level = by_generation(self._fleet.workers()).get(state.champion, Level())
        if state.champion != self._champion:
            self._promoted(state)
        if level.lists >= self._rules.levels.min_lists:
            self._broken = frozenset(breaches(level, self._rules.levels))
        breach = new_breaches(level, self._rules.levels, self._known)
        if not self._watching(state):
            return
        self._strikes = self._strikes + 1 if breach else 0
        if self._strikes >= self._rules.looks:
            self._undo(state, breach)

    def _promoted(self, state: RegistryState) -> None:
        activated = state.came_after(self._champion)
        self._since_ms = self._clock.now_ms() if activated else None
        self._known, self._broken = self._broken, frozenset()
        self._champion, self._strikes = state.champion, 0

    def _watching(self, state: RegistryState) -> bool:
        since_ms = self._since_ms
        if since_ms is None or state.pin is not None or state.canary is not None:
            return False
        return self._clock.now_ms() - since_ms <= self._rules.watch_s * 1000

    def _undo(self, state: RegistryState, breach: str) -> None:
        """To the predecessor by name: the newest change may be another by then.

        Somebody who acts at the same moment was first: then it is looked at anew.
        """
        self._strikes = 0
        champion, previous = state.champion, state.previous or ""
        reason = f"{breach}, on {self._rules.looks} looks in a row; not so before {champion}"
        try:
            report = self._roll_back(reason, previous)
        except (RegistryConflict, UserError) as error:
            log.warning("%s is not rolled back: %s", champion, error)
            return
        log.error(
            "%s is rolled back to %s and pinned there: %s", champion, report.generation, reason
        )
