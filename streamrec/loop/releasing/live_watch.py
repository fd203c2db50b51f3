"""Telling everybody how the generations do with their users.

Knows what is reported. Does not know how outcomes are counted (``loop.releasing.outcomes``) or
where the report is kept.
"""

from __future__ import annotations

from collections.abc import Callable

from streamrec.core.release import live_report, sequential_test
from streamrec.core.release.live_report import LiveReport, LiveTrial
from streamrec.core.release.registry import RegistryState
from streamrec.core.release.sequential_test import TestRules
from streamrec.loop.releasing.outcomes import Outcomes
from streamrec.ports import Clock

REPORT_EVERY_S = 1.0


class LiveWatch:
    """``report`` again and again, in a thread of its own. ``put`` raises Unavailable."""

    def __init__(
        self,
        outcomes: Outcomes,
        state: Callable[[], RegistryState],
        put: Callable[[LiveReport], None],
        clock: Clock,
        rules: TestRules,
    ) -> None:
        self._outcomes = outcomes
        self._state = state
        self._put = put
        self._clock = clock
        self._rules = rules

    def report(self) -> None:
        """Put up what is known by now. Raises Unavailable."""
        self._put(
            LiveReport(
                self._clock.now_ms(),
                live_report.generations(self._outcomes.totals()),
                self._trial(self._state()),
                self._outcomes.foreign,
            )
        )

    def _trial(self, state: RegistryState) -> LiveTrial | None:
        canary, champion = state.canary, state.champion
        if canary is None or champion is None:
            return None
        rate = self._outcomes.rate
        look = sequential_test.look(rate(champion), rate(canary.generation), self._rules)
        return live_report.trial(canary.generation, champion, canary.since_ms, look)
