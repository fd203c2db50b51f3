"""Whether each recommendation names a generation that could rightly answer it.

Knows which generations the control log lets answer whom, and that workers follow it in order.

Each worker walks through the *line-ups* of the control log: a champion, and a canary while
there is one. A recommendation fits a line-up when it names the champion, or the canary and
its user is among the canary's share: a worker that could not load the canary answers
everybody with the champion. It is mixed when it fits none that its worker could have
reached by then, counting from the one it last was seen at. All of a micro-batch (same
worker, same ``served_at_ms``) must fit one line-up together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from streamrec.core.events import Recommendation
from streamrec.core.release.canary import Canary
from streamrec.core.release.registry import RegistryState


class LineUp(NamedTuple):
    """Who answers from ``since_ms`` on."""

    since_ms: int
    champion: str
    canary: Canary | None = None

    def fits(self, message: Recommendation) -> bool:
        if message.served_at_ms < self.since_ms:
            return False
        if message.generation == self.champion:
            return True
        canary = self.canary
        return (
            canary is not None
            and canary.generation == message.generation
            and canary.gets(message.user_id)
        )


@dataclass(slots=True)
class _Walker:
    """One worker: the line-up it was last seen at, and its latest micro-batch."""

    step: int = 0
    served_at_ms: int = -1
    batch: list[Recommendation] = field(default_factory=list)


class GenerationWalk:
    """Feed it the accepted control records in log order, and recommendations by time."""

    def __init__(self) -> None:
        self.mixed = 0
        self._line_ups: list[LineUp] = []
        self._walkers: dict[str, _Walker] = {}

    def follow(self, state: RegistryState, at_ms: int) -> None:
        """The registry is in this state from ``at_ms`` on."""
        if state.champion is None:
            return
        line_up = LineUp(at_ms, state.champion, state.canary)
        if not self._line_ups or self._line_ups[-1][1:] != line_up[1:]:
            self._line_ups.append(line_up)

    def served(self, message: Recommendation) -> bool:
        """Count the message; whether it is in order."""
        walker = self._walkers.setdefault(message.worker_id, _Walker())
        if message.served_at_ms != walker.served_at_ms:
            walker.served_at_ms = message.served_at_ms
            walker.batch = []
        step = self._next_step(walker, message)
        if step is None:
            self.mixed += 1
            return False
        walker.step = step
        walker.batch.append(message)
        return True

    def _next_step(self, walker: _Walker, message: Recommendation) -> int | None:
        """The earliest line-up from here on that fits it and its micro-batch."""
        for step in range(walker.step, len(self._line_ups)):
            line_up = self._line_ups[step]
            if line_up.fits(message) and (
                step == walker.step or all(map(line_up.fits, walker.batch))
            ):
                return step
        return None
