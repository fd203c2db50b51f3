"""Releases and rollbacks: one control record, then the whole fleet confirms.

Knows the order of a release and what a refusal or a pin does to it. Does not know how
workers load or swap (``stages.serve``), who has confirmed (``stages.fleet_watch``), nor
which steps are possible (``core.registry``).

A release by the trainer:

1. Put the finished directory into the registry store.
2. Append ``stage``: every serving worker loads the generation beside the champion.
3. Wait until each has said that it is ready, or why it refuses; one that is gone or silent
   past ``stage_timeout_s`` holds nobody up.
4. Append ``activate``, unless somebody pinned the champion meanwhile.
5. Wait until each has flipped, and report who has, and how fast.

A crash between any two steps leaves the champion serving; the next release starts afresh.
An operator's ``activate`` takes steps 2 to 5, a ``rollback`` 4 and 5: what it goes back to
is still warm.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from streamrec.core import registry
from streamrec.core.registry import Action, ControlRecord, Pin, RegistryState
from streamrec.errors import RegistryConflict, UserError
from streamrec.ports import Clock, ControlLog, Fleet, RegistryStore
from streamrec.stages.fleet_watch import FleetWatch, SwapReport

log = logging.getLogger(__name__)

ATTEMPTS = 5
"""How often the trainer looks again after losing a race; an operator is told at once."""

Transition = Callable[[RegistryState], RegistryState]


class Outcome(StrEnum):
    """What became of a release."""

    ACTIVATED = "activated"
    HELD = "held"  # pinned, or an operator staged something else: it stays a candidate
    REFUSED = "refused"  # no serving worker could load it


@dataclass(frozen=True, slots=True)
class ReleaseReport:
    """A release from the candidate's directory to the fleet."""

    outcome: Outcome
    reason: str
    staging: SwapReport
    swap: SwapReport | None = None  # when activated


class ReleaseDesk:
    """Changes the registry for one actor and watches the fleet follow.

    Not for several threads: the control log belongs to one.
    """

    def __init__(
        self,
        control: ControlLog,
        fleet: Fleet,
        store: RegistryStore,
        clock: Clock,
        actor: str,
        *,
        stage_timeout_s: float = 20.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._control = control
        self._watch = FleetWatch(fleet, clock, sleep)
        self._store = store
        self._clock = clock
        self._actor = actor
        self._stage_timeout_s = stage_timeout_s

    def state(self) -> RegistryState:
        """The registry as the log has it now. Raises Unavailable."""
        latest = self._control.latest()
        return latest.state if latest else RegistryState()

    def publish(
        self, generation: str, directory: Path, reason: str, digest: str = ""
    ) -> ReleaseReport:
        """Release a candidate that passed its gate: the trainer's way.

        Raises:
            Unavailable: Kafka, Redis or the store is away; nothing is activated, try again.
        """
        self._store.put(generation, directory)
        latest = self._control.latest()
        if latest and latest.state.champion == generation:  # we crashed after step 4
            swap = self._watch.active(generation, latest)
            return ReleaseReport(Outcome.ACTIVATED, reason, SwapReport(generation), swap)
        try:
            self._insist(Action.STAGE, generation, reason, digest, _stage_unless_pinned)
            staging = self._watch.staged(generation, self._stage_timeout_s)
            if staging.nobody_can:
                why = staging.reasons
                self._insist(Action.REJECT, generation, why, digest, registry.reject)
                return ReleaseReport(Outcome.REFUSED, why, staging)
            record = self._insist(Action.ACTIVATE, generation, reason, digest, registry.promote)
        except UserError as error:
            return self._held(generation, str(error), digest)
        return ReleaseReport(
            Outcome.ACTIVATED, reason, staging, self._watch.active(generation, record)
        )

    def reject(self, generation: str, reason: str, digest: str = "") -> None:
        """Note that a candidate did not pass. Raises UserError for the champion."""
        self._insist(Action.REJECT, generation, reason, digest, registry.reject)

    def activate(self, generation: str, reason: str) -> SwapReport:
        """Make any generation of the store champion, after the fleet has loaded it.

        Raises:
            UserError: it is not in the store, or the champion already.
            RegistryConflict: somebody acted first; nothing was changed.
        """
        if generation not in self._store.generations():
            raise UserError(f"{generation} is not in the registry; `streamrec adapters list`")
        if self.state().staged != generation:
            self._append(
                Action.STAGE, generation, reason, "", lambda s: registry.stage(s, generation)
            )
        staging = self._watch.staged(generation, self._stage_timeout_s)
        if staging.nobody_can:
            raise UserError(f"no serving worker can load {generation}: {staging.reasons}")
        record = self._append(
            Action.ACTIVATE, generation, reason, "", lambda s: registry.activate(s, generation)
        )
        return self._watch.active(generation, record)

    def rollback(self, reason: str, to: str | None = None) -> SwapReport:
        """Back to the previous champion, or to a named former one; pins it.

        Raises:
            UserError: there is no such former champion.
            RegistryConflict: somebody acted first; nothing was changed.
        """
        by = self._pin(reason)
        record = self._append(
            Action.ROLLBACK, to, reason, "", lambda s: registry.rollback(s, by, to)
        )
        return self._watch.active(record.state.champion or "", record)

    def pin(self, reason: str) -> RegistryState:
        """Keep the champion. Raises UserError, RegistryConflict."""
        by = self._pin(reason)
        return self._append(Action.PIN, None, reason, "", lambda s: registry.pin(s, by)).state

    def unpin(self, reason: str = "") -> RegistryState:
        """Let the trainer activate again. Raises UserError, RegistryConflict."""
        return self._append(Action.UNPIN, None, reason, "", registry.unpin).state

    def _held(self, generation: str, why: str, digest: str) -> ReleaseReport:
        log.warning("%s stays a candidate: %s", generation, why)
        try:
            self._insist(Action.HOLD, generation, why, digest, registry.hold)
        except UserError:  # not pinned (any more): an operator staged something else
            log.info("%s is released with the next candidate's turn", generation)
        return ReleaseReport(Outcome.HELD, why, SwapReport(generation))

    def _insist(
        self,
        action: Action,
        generation: str,
        reason: str,
        digest: str,
        transition: Callable[[RegistryState, str], RegistryState],
    ) -> ControlRecord:
        """Append, deciding again from the new state after every lost race."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._append(
                    action, generation, reason, digest, lambda s: transition(s, generation)
                )
            except RegistryConflict as conflict:
                if attempt == ATTEMPTS:
                    raise
                log.info("%s of %s: %s; deciding again", action, generation, conflict)
        raise AssertionError  # unreachable: the last attempt returns or raises

    def _append(
        self,
        action: Action,
        generation: str | None,
        reason: str,
        digest: str,
        transition: Transition,
    ) -> ControlRecord:
        state = transition(self.state())
        record = ControlRecord(
            action=action,
            actor=self._actor,
            reason=reason,
            at_ms=self._clock.now_ms(),
            state=state,
            generation=generation or state.champion,
            digest=digest,
        )
        self._control.append(record)
        return record

    def _pin(self, reason: str) -> Pin:
        return Pin(self._actor, reason, self._clock.now_ms())


def _stage_unless_pinned(state: RegistryState, generation: str) -> RegistryState:
    if state.pin is not None:
        raise UserError(f"{state.champion} is pinned by {state.pin.actor}: {state.pin.reason}")
    return registry.stage(state, generation)
