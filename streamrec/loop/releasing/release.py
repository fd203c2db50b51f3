"""Releases and rollbacks: one control record, then the whole fleet confirms.

Knows the order of a release and what a refusal or a pin does to it. Does not know how workers
load or swap (``loop.serving.serve``), who has confirmed (``loop.releasing.fleet_watch``),
nor which steps are possible (``core.release.transitions``).

A release by the trainer:

1. Put the finished directory into the registry store.
2. Append ``stage``: every serving worker loads the generation beside the champion.
3. Wait until each has said that it is ready, or why it refuses; one that is gone or silent
   past ``stage_timeout_s`` holds nobody up.
4. With canaries: append ``canary``, watch its share of the users
   (``loop.releasing.canary_rollout``), and append ``abandon`` when it does harm: that is the end
   of it.
5. Append ``activate``, unless somebody pinned the champion meanwhile.
6. Wait until each has flipped, and report who has, and how fast.

A crash between any two steps leaves the champion serving; the next release starts afresh. A
crash during 4 leaves the canary out with nobody watching: the next start withdraws it first
(``recover``), and so does an orderly stop.
An operator's ``activate`` takes steps 2, 3, 5 and 6, a ``rollback`` 5 and 6: what it goes
back to is still warm.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from streamrec.core.ledger.quarantine import Quarantine
from streamrec.core.release import registry, transitions
from streamrec.core.release.canary import Canary
from streamrec.core.release.registry import Action, ControlRecord, Pin, RegistryState
from streamrec.errors import RegistryConflict, UserError
from streamrec.loop.releasing.canary_rollout import CanaryRollout, Decision, Ending
from streamrec.loop.releasing.fleet_watch import FleetWatch, SwapReport
from streamrec.ports import (
    NO_SPAN,
    NO_TRACER,
    Clock,
    ControlLog,
    Fleet,
    RegistryStore,
    Spans,
    Tracer,
)

log = logging.getLogger(__name__)

ATTEMPTS = 5
"""How often a step is decided again after a lost race."""

CANARY_ACTOR = "canary"
"""Who abandons a canary, in the control log: not the trainer, but what its users did."""

Transition = Callable[[RegistryState], RegistryState]


class Outcome(StrEnum):
    """What became of a release."""

    ACTIVATED = "activated"
    HELD = "held"  # pinned, or an operator staged something else: it stays a candidate
    REFUSED = "refused"  # no serving worker could load it
    ABANDONED = "abandoned"  # as canary it did harm


@dataclass(frozen=True, slots=True)
class ReleaseReport:
    """A release from the candidate's directory to the fleet."""

    outcome: Outcome
    reason: str
    staging: SwapReport
    swap: SwapReport | None = None  # when activated


class ReleaseService:
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
        rollout: CanaryRollout | None = None,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        """``rollout``: what passed its gate is tried out as canary first."""
        self._control = control
        self._watch = FleetWatch(fleet, clock, sleep)
        self._store = store
        self._clock = clock
        self._actor = actor
        self._stage_timeout_s = stage_timeout_s
        self._rollout = rollout
        self._tracer = tracer

    def state(self) -> RegistryState:
        """The registry as the log has it now. Raises Unavailable."""
        latest = self._control.latest()
        return latest.state if latest else RegistryState()

    def publish(
        self,
        generation: str,
        directory: Path,
        reason: str,
        digest: str = "",
        epoch: int = 0,
        *,
        traceparent: str = "",
    ) -> ReleaseReport:
        """Release a candidate that passed its gate: the trainer's way.

        ``epoch``: of the registry when it was learned. In a newer one it is held: it has
        learned what is quarantined now. ``traceparent``: of the trace that its steps are told in.

        Raises:
            Unavailable: Kafka, Redis or the store is unavailable; nothing is activated, try again.
        """
        self._store.put(generation, directory)
        latest = self._control.latest()
        if latest and latest.state.champion == generation:  # we crashed after step 5
            return self._champion(generation, latest)
        told = partial(self._tracer.span, parent=traceparent, generation=generation)
        try:
            with told(Spans.STAGE):
                staging = self._staged(generation, reason, digest, epoch)
            if staging.nobody_can:
                why = staging.reasons
                self._insist(Action.REJECT, generation, why, digest, transitions.reject)
                return ReleaseReport(Outcome.REFUSED, why, staging)
            with told(Spans.CANARY) if self._rollout else NO_SPAN:
                tried = self._tried_out(generation, reason, digest)
            if tried.ending is Ending.ABANDON:
                return ReleaseReport(Outcome.ABANDONED, tried.reason, staging)
            if tried.ending is Ending.SUPERSEDED:
                return self._superseded(generation, digest)
            with told(Spans.ACTIVATE):
                record = self._insist(
                    Action.ACTIVATE, generation, tried.reason, digest, transitions.promote
                )
                swap = self._watch.active(generation, record)
        except UserError as error:
            return self._held(generation, str(error), digest)
        return ReleaseReport(Outcome.ACTIVATED, tried.reason, staging, swap)

    def recover(self, why: str) -> None:
        """Withdraw a canary that nobody watches any more. Raises Unavailable, RegistryConflict."""
        canary = self.state().canary
        if canary is None:
            return
        log.warning("canary %s is withdrawn: %s", canary.generation, why)
        with suppress(UserError):  # somebody else was first
            self._insist(Action.ABANDON, canary.generation, why, "", transitions.abandon)

    def reject(self, generation: str, reason: str, digest: str = "") -> None:
        """Note that a candidate did not pass. Raises UserError for the champion."""
        self._insist(Action.REJECT, generation, reason, digest, transitions.reject)

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
                Action.STAGE, generation, reason, "", lambda s: transitions.stage(s, generation)
            )
        staging = self._watch.staged(generation, self._stage_timeout_s)
        if staging.nobody_can:
            raise UserError(f"no serving worker can load {generation}: {staging.reasons}")
        record = self._append(
            Action.ACTIVATE, generation, reason, "", lambda s: transitions.activate(s, generation)
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
            Action.ROLLBACK,
            to,
            reason,
            "",
            lambda s: transitions.rollback(s, by, to),
            stands=partial(transitions.same_return, to=to),
        )
        return self._watch.active(record.state.champion or "", record)

    def relearn(self, reason: str, to: str, ranges: Sequence[Quarantine]) -> SwapReport:
        """Back to ``to``, and the learner too, which never learns ``ranges`` again.

        Returns when the fleet has flipped; the trainer follows in its next round.

        Raises:
            UserError: ``to`` never was champion, or there are no ranges.
            RegistryConflict: somebody acted first; nothing was changed.
        """
        record = self._append(
            Action.RELEARN,
            to,
            reason,
            "",
            lambda s: transitions.relearn(s, to, ranges),
            stands=partial(transitions.same_return, to=to),
        )
        return self._watch.active(to, record)

    def pin(self, reason: str) -> RegistryState:
        """Keep the champion. Raises UserError, RegistryConflict."""
        by = self._pin(reason)
        return self._append(Action.PIN, None, reason, "", lambda s: transitions.pin(s, by)).state

    def unpin(self, reason: str = "") -> RegistryState:
        """Let the trainer activate again. Raises UserError, RegistryConflict."""
        return self._append(Action.UNPIN, None, reason, "", transitions.unpin).state

    def note(self, said: str) -> RegistryState:
        """Write down what was done beside a release; nothing changes (docs/adr/0129).

        Raises Unavailable, RegistryConflict.
        """
        return self._append(Action.REPAIR, None, said, "", registry.repair).state

    def _staged(self, generation: str, reason: str, digest: str, epoch: int) -> SwapReport:
        """Steps 2 and 3; nothing to do for a canary whose watch was interrupted."""
        canary = self.state().canary
        if canary is not None and canary.generation == generation:
            return SwapReport(generation)
        self.recover(f"{generation} follows it")
        stage = partial(_stage_unless_pinned, epoch=epoch)
        self._insist(Action.STAGE, generation, reason, digest, stage)
        return self._watch.staged(generation, self._stage_timeout_s)

    def _tried_out(self, generation: str, reason: str, digest: str) -> Decision:
        """Step 4. Without canaries, or anything to compare with, it is over at once."""
        state, rollout = self.state(), self._rollout
        if rollout is None or state.champion is None:
            return Decision(Ending.PROMOTE, reason)
        canary = state.canary
        if canary is None or canary.generation != generation:
            canary = Canary(generation, rollout.rules.share, generation, self._clock.now_ms())
            begin = partial(_begin, canary=canary)
            self._insist(Action.CANARY, generation, reason, digest, begin)
        decision = rollout.watch(canary, state.champion, lambda: self.state().canary == canary)
        if decision.ending is Ending.ABANDON:
            log.warning("canary %s is abandoned: %s", generation, decision.reason)
            record = self._insist(
                Action.ABANDON,
                generation,
                decision.reason,
                digest,
                transitions.abandon,
                actor=CANARY_ACTOR,
            )
            self._watch.active(state.champion, record)
        return decision

    def _superseded(self, generation: str, digest: str) -> ReleaseReport:
        """Somebody else ended the canary: what they wanted stands."""
        latest = self._control.latest()
        assert latest is not None  # noqa: S101 - there was a canary in it
        if latest.state.champion == generation:
            return self._champion(generation, latest)
        why = f"{latest.actor} ended its canary ({latest.action}: {latest.reason})"
        return self._held(generation, why, digest)

    def _champion(self, generation: str, record: ControlRecord) -> ReleaseReport:
        swap = self._watch.active(generation, record)
        return ReleaseReport(Outcome.ACTIVATED, record.reason, SwapReport(generation), swap)

    def _held(self, generation: str, why: str, digest: str) -> ReleaseReport:
        log.warning("%s stays a candidate: %s", generation, why)
        try:
            self._insist(Action.HOLD, generation, why, digest, transitions.hold)
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
        *,
        actor: str = "",
    ) -> ControlRecord:
        """Append, deciding again from the new state after every lost race."""
        return self._append(
            action,
            generation,
            reason,
            digest,
            lambda s: transition(s, generation),
            actor=actor,
            stands=lambda *_: True,
        )

    def _append(
        self,
        action: Action,
        generation: str | None,
        reason: str,
        digest: str,
        transition: Transition,
        *,
        actor: str = "",
        stands: Callable[[RegistryState, RegistryState], bool] = transitions.same_decision,
    ) -> ControlRecord:
        """Decide and write; again after a lost race in which the decision ``stands``.

        Raises RegistryConflict when it does not, and after ``ATTEMPTS``.
        """
        self._control.prepare()
        for attempt in range(1, ATTEMPTS + 1):
            before = self.state()
            after = transition(before)
            record = ControlRecord(
                action=action,
                actor=actor or self._actor,
                reason=reason,
                at_ms=self._clock.now_ms(),
                state=after,
                generation=generation or after.champion,
                digest=digest,
            )
            try:
                self._control.append(record)
            except RegistryConflict as conflict:
                if attempt == ATTEMPTS or not stands(before, self.state()):
                    raise RegistryConflict(
                        conflict.expected, conflict.actual, self._since(before)
                    ) from conflict
                log.info("%s of %s: %s; deciding again", action, record.generation, conflict)
            else:
                return record
        raise AssertionError  # unreachable: the last attempt returns or raises

    def _since(self, before: RegistryState) -> str:
        """Who was first, and with what."""
        newer = [one for one in self._control.records() if one.state.revision > before.revision]
        return "; ".join(
            f"{one.action} of {one.generation} by {one.actor} ({one.reason or 'no reason given'})"
            for one in newer
            if one.action is not Action.REPAIR
        )

    def _pin(self, reason: str) -> Pin:
        return Pin(self._actor, reason, self._clock.now_ms())


def _begin(state: RegistryState, _: str, canary: Canary) -> RegistryState:
    return transitions.try_out(state, canary)


def _stage_unless_pinned(state: RegistryState, generation: str, epoch: int) -> RegistryState:
    if state.epoch > epoch:
        raise UserError(f"the learner has gone back meanwhile: what {generation} learned is void")
    if state.pin is not None:
        raise UserError(f"{state.champion} is pinned by {state.pin.actor}: {state.pin.reason}")
    return transitions.stage(state, generation)
