"""Watching a canary until it is clear what becomes of it.

Knows when to look, and what ends a canary: harm to the click rate or to the service ends it
badly and at once; benefit, after ``min_s``, or no harm until ``max_s`` ends it well; and whoever
changes the registry meanwhile ends it in their own way. Does not know how outcomes are counted
(``core.release.live_metric``), what is significant (``core.release.sequential_test``), or how
the registry is changed (``loop.releasing.release``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from streamrec.core.release import sequential_test
from streamrec.core.release.canary import Canary
from streamrec.core.release.sequential_test import Look, TestRules, Verdict
from streamrec.core.release.service_levels import Level, LevelRules, breaches, new_breaches
from streamrec.errors import Unavailable
from streamrec.loop.releasing.levels import by_generation
from streamrec.loop.releasing.outcomes import Outcomes
from streamrec.ports import Clock, Counted, Fleet, Meter

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
SAY_EVERY_S = 30.0


class Ending(StrEnum):
    """How a canary ends."""

    PROMOTE = "promote"
    ABANDON = "abandon"
    SUPERSEDED = "superseded"  # somebody else changed the registry


class Decision(NamedTuple):
    """What becomes of it, and why, with the numbers."""

    ending: Ending
    reason: str


@dataclass(frozen=True, slots=True)
class CanaryRolloutRules:
    """``share`` of the users; ``looks``: a breach of service levels on so many ends it."""

    share: float
    min_s: float = 10.0
    max_s: float = 600.0
    looks: int = 5
    test: TestRules = field(default_factory=TestRules)
    levels: LevelRules = field(default_factory=LevelRules)


class CanaryRollout:
    """Looks about once a second, for as long as it takes. For the thread that releases."""

    def __init__(
        self,
        outcomes: Outcomes,
        fleet: Fleet,
        clock: Clock,
        sleep: Callable[[float], None],
        rules: CanaryRolloutRules,
        *,
        meter: Meter | None = None,
    ) -> None:
        self.rules = rules
        self._outcomes = outcomes
        self._fleet = fleet
        self._clock = clock
        self._sleep = sleep
        self._meter = meter or Meter()

    def watch(self, canary: Canary, champion: str, still_out: Callable[[], bool]) -> Decision:
        """Return when it is decided. ``still_out``: whether the registry still has it out.

        Called again for the same canary after an interruption, it goes on where it was.

        Raises:
            Unavailable: the registry cannot be asked; nothing is decided.
        """
        decision = self._decision(canary, champion, still_out)
        self._meter.count(Counted.CANARIES, ending=decision.ending)
        return decision

    def _decision(self, canary: Canary, champion: str, still_out: Callable[[], bool]) -> Decision:
        self._outcomes.begin(canary.since_ms)
        breached, said_ms = 0, self._clock.now_ms()
        while True:
            if not still_out():
                return Decision(Ending.SUPERSEDED, "somebody else ended it")
            breach = self._breach(canary.generation, champion)
            breached = breached + 1 if breach else 0
            look = self._look(canary.generation, champion)
            now_ms = self._clock.now_ms()
            decision = self._decide(look, breach, breached, (now_ms - canary.since_ms) / 1000)
            if decision is not None:
                return decision
            if now_ms - said_ms >= SAY_EVERY_S * 1000:
                said_ms = now_ms
                log.info("canary %s: %s", canary.generation, look)
            self._sleep(LOOK_EVERY_S)

    def _decide(self, look: Look, breach: str, breached: int, elapsed_s: float) -> Decision | None:
        rules = self.rules
        if rules.looks and breached >= rules.looks:
            return Decision(Ending.ABANDON, breach)
        if look.verdict is Verdict.HARM:
            return Decision(Ending.ABANDON, f"harm after {elapsed_s:.0f} s: {look}")
        if look.verdict is Verdict.BENEFIT and elapsed_s >= rules.min_s:
            return Decision(Ending.PROMOTE, f"benefit after {elapsed_s:.0f} s: {look}")
        if elapsed_s >= rules.max_s:
            found = "no harm found" if look.enough else "too few outcomes to tell"
            return Decision(Ending.PROMOTE, f"{found} in {elapsed_s:.0f} s: {look}")
        return None

    def _look(self, generation: str, champion: str) -> Look:
        rate = self._outcomes.rate
        return sequential_test.look(rate(champion), rate(generation), self.rules.test)

    def _breach(self, generation: str, champion: str) -> str:
        """Service levels that the canary breaks and the champion does not."""
        try:
            levels = by_generation(self._fleet.workers())
        except Unavailable as error:
            log.debug("service levels: %s", error)
            return ""
        rules, nothing = self.rules.levels, Level()
        known = breaches(levels.get(champion, nothing), rules)
        return new_breaches(levels.get(generation, nothing), rules, known)
