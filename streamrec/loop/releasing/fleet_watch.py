"""Watching the serving workers follow the control log.

Knows who has to confirm a swap, and how long is waited for it. Does not change anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from streamrec.core.release.registry import ControlRecord
from streamrec.errors import Unavailable
from streamrec.ports import Clock, Fleet, WorkerStatus

SERVING = "serving"
LOOK_EVERY_S = 0.01
CONFIRM_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class SwapReport:
    """Which serving workers followed, and how many milliseconds after the control record."""

    generation: str
    revision: int = 0
    confirmed_ms: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)  # worker -> why
    silent: tuple[str, ...] = ()  # alive by its last beat, but has not confirmed in time
    problem: str = ""  # why we do not know, when the fleet could not be asked

    @property
    def complete(self) -> bool:
        """Whether every serving worker confirmed."""
        return not (self.refused or self.silent or self.problem)

    @property
    def nobody_can(self) -> bool:
        """Whether all who answered refused, and nobody is still to answer."""
        return bool(self.refused) and not self.confirmed_ms and not self.silent

    @property
    def reasons(self) -> str:
        return "; ".join(f"{worker}: {why}" for worker, why in self.refused.items())

    @property
    def took_ms(self) -> int:
        """Until the last confirmation."""
        return max(self.confirmed_ms.values(), default=0)


class FleetWatch:
    """Looks at the fleet until every serving worker has confirmed, refused, or gone."""

    def __init__(self, fleet: Fleet, clock: Clock, sleep: Callable[[float], None]) -> None:
        self._fleet = fleet
        self._clock = clock
        self._sleep = sleep

    def staged(self, generation: str, timeout_s: float) -> SwapReport:
        """Who has loaded the generation, and who refuses it.

        Raises Unavailable when the fleet could not be asked: who knows what it serves?
        """
        report = self._watch(
            SwapReport(generation),
            lambda worker: generation in (worker.staged, worker.canary, worker.active),
            self._clock.now_ms(),
            timeout_s,
        )
        if report.problem:
            raise Unavailable(report.problem)
        return report

    def active(
        self, generation: str, record: ControlRecord, timeout_s: float = CONFIRM_TIMEOUT_S
    ) -> SwapReport:
        """Who has flipped, in milliseconds since the record was decided."""
        revision = record.state.revision
        return self._watch(
            SwapReport(generation, revision),
            lambda worker: worker.active == generation and worker.revision >= revision,
            record.at_ms,
            timeout_s,
        )

    def _watch(
        self,
        report: SwapReport,
        done: Callable[[WorkerStatus], bool],
        since_ms: int,
        timeout_s: float,
    ) -> SwapReport:
        deadline_ms = self._clock.now_ms() + timeout_s * 1000
        while True:
            now_ms = self._clock.now_ms()
            try:
                workers = [w for w in self._fleet.workers() if w.role == SERVING]
                report = _seen(report, workers, done, now_ms - since_ms)
            except Unavailable as error:
                report = replace(report, problem=str(error))
            if not (report.silent or report.problem) or now_ms >= deadline_ms:
                return report
            self._sleep(LOOK_EVERY_S)


def _seen(
    report: SwapReport,
    workers: Sequence[WorkerStatus],
    done: Callable[[WorkerStatus], bool],
    after_ms: int,
) -> SwapReport:
    now_done = {w.worker_id: after_ms for w in workers if done(w)}
    confirmed = {**now_done, **report.confirmed_ms}
    generation = report.generation
    refused = {w.worker_id: w.refused[generation] for w in workers if generation in w.refused}
    answered = confirmed.keys() | refused.keys()
    silent = tuple(w.worker_id for w in workers if w.worker_id not in answered)
    return replace(report, confirmed_ms=confirmed, refused=refused, silent=silent, problem="")
