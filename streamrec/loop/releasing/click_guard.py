"""A new champion that people click less than the one before is rolled back by itself.

Knows which change is watched and when the verdict is in. Does not know how outcomes are counted
(``core.release.live_metric``), what is significant (``core.release.sequential_test``) or how a
rollback is done (``loop.releasing.release``).

This is the net below the canary: for a generation that reached everybody at once, because
there are no canaries or because a person activated it. Champion and predecessor answer at
different times, so what differs may also be the time of day: that is why a good part of the
rate may go (``TestRules.harm``) before it counts, and why it is off until asked for.

Each look: another champion, by an activation that this guard has seen: begin to watch. It is
compared with the newest former champion that has answered often enough: releases may follow
each other faster than clicks. Harm: roll back, which pins the predecessor. A pin is
somebody's decision and is left alone; a canary has its own watch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from streamrec.core.release import sequential_test
from streamrec.core.release.registry import RegistryState
from streamrec.core.release.sequential_test import Rate, TestRules, Verdict
from streamrec.errors import RegistryConflict, UserError
from streamrec.loop.releasing.fleet_watch import SwapReport
from streamrec.ports import Clock

log = logging.getLogger(__name__)

ACTOR = "click-guard"
LOOK_EVERY_S = 1.0


class ClickGuard:
    """``look`` again and again. For one thread, whose desk nobody else uses."""

    def __init__(
        self,
        state: Callable[[], RegistryState],
        roll_back: Callable[[str, str], SwapReport],
        rate: Callable[[str], Rate],
        clock: Clock,
        rules: TestRules,
        *,
        watch_s: float,
    ) -> None:
        """``state`` and ``roll_back``: of a ``ReleaseService`` whose actor is ``ACTOR``."""
        self._state = state
        self._roll_back = roll_back
        self._rate = rate
        self._clock = clock
        self._rules = rules
        self._watch_s = watch_s
        self._champion: str | None = None
        self._since_ms: int | None = None  # None: the champion is not watched

    def look(self) -> None:
        """One look. Raises Unavailable."""
        state = self._state()
        if state.champion is None:
            return
        if state.champion != self._champion:
            self._promoted(state)
        if self._since_ms is None or state.pin is not None or state.canary is not None:
            return
        if self._clock.now_ms() - self._since_ms > self._watch_s * 1000:
            return
        before, newest = self._before(state), self._rate(state.champion)
        look = sequential_test.look(before, newest, self._rules)
        if look.verdict is Verdict.HARM:
            self._undo(state, str(look))

    def _promoted(self, state: RegistryState) -> None:
        activated = state.came_after(self._champion)
        self._since_ms = self._clock.now_ms() if activated else None
        self._champion = state.champion

    def _before(self, state: RegistryState) -> Rate:
        """Of the newest former champion that has answered often enough to be compared with."""
        rates = (self._rate(former) for former in reversed(state.history))
        return next((rate for rate in rates if rate.lists >= self._rules.least_lists), Rate())

    def _undo(self, state: RegistryState, why: str) -> None:
        """To the predecessor by name: the newest change may be another by then.

        Somebody who acts at the same moment was first: then it is looked at anew.
        """
        champion, previous = state.champion, state.previous or ""
        try:
            report = self._roll_back(f"clicked less than the one before: {why}", previous)
        except (RegistryConflict, UserError) as error:
            log.warning("%s is not rolled back: %s", champion, error)
            return
        self._since_ms = None
        log.error("%s is rolled back to %s: %s", champion, report.generation, why)
