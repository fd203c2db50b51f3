"""The adapter registry: which generation answers, as pure transitions over a log.

Knows the states a release goes through (staged, canary, champion, pinned), which steps are
possible, and how readers of the control log agree on one state. Does not know where the
log is kept (``infra.stores.control_log``), what a generation holds, or how workers obey.

Every record of the control log carries the whole state it leads to. A record is *accepted*
when its revision is above the current one, in log order; anything else is ignored. A writer
always writes the revision after the one it has read, so on a whole log this says "exactly
the next revision": of two writers that read the same state, the first in the log wins and
every reader sees it the same way. On a compacted log, where revisions are missing, the same
rule still leads to the newest accepted state, provided that the log does not end in an
ignored record: that is why a loser repairs (``repair``). docs/adr/0050 has the argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from streamrec.core.release.canary import Canary
from streamrec.core.training import quarantine as ranges
from streamrec.core.training.quarantine import Quarantine
from streamrec.errors import UserError

HISTORY = 32
"""Former champions remembered, so that a record stays small however long we run."""


class Action(StrEnum):
    """What a control record did."""

    STAGE = "stage"  # workers load it and say so; nobody is served by it yet
    CANARY = "canary"  # a share of the users is served by the staged generation
    ABANDON = "abandon"  # the canary is withdrawn; the champion answers everybody again
    ACTIVATE = "activate"
    REJECT = "reject"
    HOLD = "hold"  # a good candidate waits: somebody pinned the champion
    ROLLBACK = "rollback"
    RELEARN = "relearn"  # a rollback of the learner too, with a range it must never learn again
    PIN = "pin"
    UNPIN = "unpin"
    REPAIR = "repair"  # the same state again, after a writer lost a race


@dataclass(frozen=True, slots=True)
class Pin:
    """Somebody wants the champion to stay: the trainer learns and gates but does not activate."""

    actor: str
    reason: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Relearn:
    """The trainer goes back to what it was at ``generation``: once for every new ``epoch``."""

    epoch: int
    generation: str


@dataclass(frozen=True, slots=True)
class RegistryState:
    """What the fleet should be serving. ``history`` holds former champions, newest last."""

    revision: int = 0
    champion: str | None = None
    history: tuple[str, ...] = ()
    staged: str | None = None
    pin: Pin | None = None
    canary: Canary | None = None  # never while pinned; a new champion ends it
    quarantine: tuple[Quarantine, ...] = ()  # never learned since the newest ``relearn``
    relearn: Relearn | None = None  # the newest one

    @property
    def epoch(self) -> int:
        """How often the learner was taken back: what was learned in an older epoch is void."""
        return self.relearn.epoch if self.relearn else 0

    @property
    def previous(self) -> str | None:
        """Where a rollback without a name goes."""
        return self.history[-1] if self.history else None


@dataclass(frozen=True, slots=True)
class ControlRecord:
    """One step, who took it and why, and the whole state after it. Topic ``adapters``."""

    action: Action
    actor: str
    reason: str
    at_ms: int
    state: RegistryState
    generation: str | None = None  # the one acted on
    digest: str = ""  # of its manifest, when the writer knows it


def stage(state: RegistryState, generation: str) -> RegistryState:
    """Ask the workers to load ``generation``; it takes the place of one staged before.

    Raises UserError when it is the champion already.
    """
    if generation == state.champion:
        raise UserError(f"{generation} is the champion already; there is nothing to stage")
    return _next(state, staged=generation)


def promote(state: RegistryState, generation: str) -> RegistryState:
    """Make the staged generation champion, the way the trainer does: never over a pin.

    Raises UserError when the registry is pinned, or it is neither staged nor the canary.
    """
    _refuse_pinned(state, generation)
    if _canary_of(state) != generation and state.staged != generation:
        raise UserError(f"{generation} is not staged ({state.staged or 'nothing'} is); stage it")
    return _enthrone(state, generation)


def try_out(state: RegistryState, canary: Canary) -> RegistryState:
    """Let the staged generation answer a share of the users.

    Raises UserError when the registry is pinned, something else is staged, another canary
    is out, or there is no champion to compare it with.
    """
    _refuse_pinned(state, canary.generation)
    if state.champion is None:
        raise UserError(f"there is no champion beside {canary.generation}: activate it instead")
    if state.canary is not None:
        raise UserError(f"{state.canary.generation} is being tried out; one at a time")
    if state.staged != canary.generation:
        staged = state.staged or "nothing"
        raise UserError(f"{canary.generation} is not staged ({staged} is); stage it")
    if not 0 < canary.share < 1:
        raise UserError(f"a canary's share is between 0 and 1, not {canary.share:g}")
    return _next(state, staged=None, canary=canary)


def abandon(state: RegistryState, generation: str) -> RegistryState:
    """Withdraw the canary: the champion answers everybody.

    Raises UserError when ``generation`` is not being tried out.
    """
    if _canary_of(state) != generation:
        raise UserError(f"{generation} is not being tried out; `streamrec adapters list`")
    return _next(state, canary=None)


def activate(state: RegistryState, generation: str) -> RegistryState:
    """Make ``generation`` champion, the way an operator does: whatever is staged or pinned.

    Raises UserError when it is the champion already.
    """
    if generation == state.champion:
        raise UserError(f"{generation} is the champion already; `streamrec adapters list`")
    return replace(_enthrone(state, generation), pin=None)


def reject(state: RegistryState, generation: str) -> RegistryState:
    """Withdraw a candidate, whether staged, being tried out, or neither.

    Raises UserError for the champion, which has to be rolled back instead.
    """
    if generation == state.champion:
        raise UserError(f"{generation} is the champion; `streamrec adapters rollback` first")
    return _withdraw(state, generation)


def hold(state: RegistryState, generation: str) -> RegistryState:
    """Note that a candidate passed its gate and was not activated, because of a pin.

    Raises UserError when nothing is pinned.
    """
    if state.pin is None:
        raise UserError(f"nothing is pinned; {generation} need not wait")
    return _withdraw(state, generation)


def rollback(state: RegistryState, by: Pin, to: str | None = None) -> RegistryState:
    """Undo the newest change, or go back to the former champion ``to``, and pin it there.

    The newest change is the canary while there is one: the champion then stays. Otherwise it
    is the champion, and the one before it comes back. What served after the one that answers
    then leaves the history, so that another rollback goes further back; ``activate`` brings
    it forward again.

    Raises UserError when there is no such former champion.
    """
    if state.canary is not None and to is None:
        return _next(state, canary=None, pin=by)
    if not state.history:
        raise UserError("there is no former champion to roll back to; `streamrec adapters list`")
    if to is not None and to == state.champion:
        raise UserError(f"{to} is the champion already; `streamrec adapters list`")
    return _dethrone(state, to or state.history[-1], pin=by)


def relearn(state: RegistryState, to: str, new: Sequence[Quarantine]) -> RegistryState:
    """Back to ``to``, champion or former champion, for the fleet and for the learner.

    Whatever is under way (staged, canary) comes from what is now void and is withdrawn. A pin
    is lifted: what was wrong is never learned again, so the next good candidate may answer.

    Raises UserError when ``to`` never was champion, or nothing is quarantined.
    """
    if not new:
        raise UserError(
            "nothing to quarantine: the trainer would learn the same again. Name what it must "
            "not learn with --quarantine PARTITION:FROM-TO, --since TIME or --user USER"
        )
    changes: dict[str, Any] = {
        "staged": None,
        "pin": None,
        "canary": None,
        "quarantine": ranges.joined(state.quarantine, new),
        "relearn": Relearn(state.epoch + 1, to),
    }
    if to == state.champion:
        return _next(state, **changes)
    return _dethrone(state, to, **changes)


def pin(state: RegistryState, by: Pin) -> RegistryState:
    """Keep the champion, for everybody, until somebody unpins or activates.

    Raises UserError when there is no champion, or it is pinned already.
    """
    if state.champion is None:
        raise UserError("there is no champion to pin yet; wait for the first generation")
    if state.pin is not None:
        raise UserError(
            f"{state.champion} is pinned already by {state.pin.actor} ({state.pin.reason}); "
            "`streamrec adapters unpin` first"
        )
    return _next(state, pin=by, canary=None)


def unpin(state: RegistryState) -> RegistryState:
    """Let the trainer activate again. Raises UserError when nothing is pinned."""
    if state.pin is None:
        raise UserError("nothing is pinned")
    return _next(state, pin=None)


def repair(state: RegistryState) -> RegistryState:
    """The same state one revision on, so that the log ends in an accepted record again."""
    return _next(state)


def accepts(state: RegistryState, record: ControlRecord) -> bool:
    """Whether a reader standing at ``state`` takes this record, the next one in the log."""
    return record.state.revision > state.revision


def advance(state: RegistryState, record: ControlRecord) -> RegistryState:
    """The state after reading one more record."""
    return record.state if accepts(state, record) else state


def replay(records: Iterable[ControlRecord]) -> RegistryState:
    """The state that these records, in log order, lead to."""
    state = RegistryState()
    for record in records:
        state = advance(state, record)
    return state


def _dethrone(state: RegistryState, to: str, **changes: Any) -> RegistryState:
    """The former champion ``to`` answers again; what came after it leaves the history."""
    if to not in state.history:
        raise UserError(
            f"{to} was never champion; `streamrec adapters activate {to}` if that is meant. "
            f"Former champions, newest first: {', '.join(reversed(state.history)) or 'none'}"
        )
    place = len(state.history) - 1 - state.history[::-1].index(to)
    staged = None if state.staged == to else state.staged
    kept: dict[str, Any] = {"history": state.history[:place], "staged": staged, "canary": None}
    return _next(state, champion=to, **kept | changes)


def _enthrone(state: RegistryState, generation: str) -> RegistryState:
    former = (*state.history, state.champion) if state.champion else state.history
    staged = None if state.staged == generation else state.staged
    return _next(state, champion=generation, history=former[-HISTORY:], staged=staged, canary=None)


def _withdraw(state: RegistryState, generation: str) -> RegistryState:
    return _next(
        state,
        staged=None if state.staged == generation else state.staged,
        canary=None if _canary_of(state) == generation else state.canary,
    )


def _canary_of(state: RegistryState) -> str | None:
    return state.canary.generation if state.canary else None


def _refuse_pinned(state: RegistryState, generation: str) -> None:
    if state.pin is not None:
        raise UserError(
            f"{state.champion} is pinned by {state.pin.actor} ({state.pin.reason}); "
            f"`streamrec adapters unpin`, or `streamrec adapters activate {generation}`"
        )


def _next(state: RegistryState, **changes: Any) -> RegistryState:
    return replace(state, revision=state.revision + 1, **changes)
