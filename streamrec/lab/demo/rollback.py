"""Rolls the champion back and brings it forward again, by the code of the command line."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from streamrec.apps import clients
from streamrec.core.tasks import RANKING
from streamrec.errors import RegistryConflict, StreamrecError
from streamrec.loop.releasing.fleet_watch import SwapReport
from streamrec.settings import Settings

ATTEMPTS = 5
LOOK_AROUND_S = 3.0
"""How long the older generation serves before the newer one comes back."""


@dataclass(frozen=True, slots=True)
class RollbackTimes:
    """Milliseconds until the last serving worker had confirmed; None: it was not shown."""

    undone: str = ""
    back_ms: int | None = None
    forward_ms: int | None = None


def show_rollback(
    settings: Settings, say: Callable[[str], None], task: str = RANKING
) -> RollbackTimes:
    """Back, a look around, and forward. Says what it does and why it could not."""
    try:
        with clients.release_service(settings, task) as service:
            state = service.state()
            if state.champion is None or not state.history:
                say("no rollback is shown: there is no former champion yet")
                return RollbackTimes()
            back = insist(lambda: service.rollback("the demo shows it", state.previous))
            say(_told("rolled back to", back))
            time.sleep(LOOK_AROUND_S)
            forward = insist(lambda: service.activate(state.champion or "", "the demo shows it"))
            say(_told("brought forward", forward))
    except StreamrecError as error:
        say(f"the rollback could not be shown: {error}")
        return RollbackTimes()
    return RollbackTimes(
        state.champion,
        back.took_ms if back.complete else None,
        forward.took_ms if forward.complete else None,
    )


def insist(act: Callable[[], SwapReport]) -> SwapReport:
    """The trainer may release in the same moment; a person would look and try again."""
    for _ in range(ATTEMPTS - 1):
        try:
            return act()
        except RegistryConflict:
            continue
    return act()


def _told(what: str, report: SwapReport) -> str:
    how = f"confirmed after {report.took_ms} ms" if report.complete else "not confirmed by all"
    return f"{what} {report.generation}, {how}"
