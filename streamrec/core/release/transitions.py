"""The steps of a release and back: what each makes of the registry, and when it is possible.

Each is pure and gives the next revision, or raises a UserError that says what to do instead. Does
not know how readers agree on a state (``core.release.registry``) or who takes which step
(``loop.releasing.release``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from streamrec.core.ledger import quarantine as ranges
from streamrec.core.ledger.quarantine import Quarantine
from streamrec.core.release.canary import Canary
from streamrec.core.release.registry import Pin, RegistryState, Relearn
from streamrec.errors import UserError

HISTORY = 32
"""Former champions remembered, so that a record stays small however long we run."""


def stage(state: RegistryState, generation: str) -> RegistryState:
    """Ask the workers to load ``generation``; it takes the place of one staged before.

    Raises UserError when it is the champion already.
    """
    if generation == state.champion:
        raise UserError(f"{generation} is the champion already; there is nothing to stage")
    return state.then(staged=generation)


def promote(state: RegistryState, generation: str) -> RegistryState:
    """Make the staged generation champion, the way the trainer does: never over a pin.

    Raises UserError when the registry is pinned, or it is neither staged nor the canary.
    """
    _refuse_pinned(state, generation)
    if generation not in (state.tried_out, state.staged):
        raise UserError(f"{generation} is not staged ({state.staged or 'nothing'} is); stage it")
    return _promote(state, generation)


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
    return state.then(staged=None, canary=canary)


def abandon(state: RegistryState, generation: str) -> RegistryState:
    """Withdraw the canary: the champion answers everybody.

    Raises UserError when ``generation`` is not being tried out.
    """
    if state.tried_out != generation:
        raise UserError(f"{generation} is not being tried out; `streamrec adapters list`")
    return state.then(canary=None)


def activate(state: RegistryState, generation: str) -> RegistryState:
    """Make ``generation`` champion, the way an operator does: whatever is staged or pinned.

    Raises UserError when it is the champion already.
    """
    if generation == state.champion:
        raise UserError(f"{generation} is the champion already; `streamrec adapters list`")
    return replace(_promote(state, generation), pin=None)


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
        return state.then(canary=None, pin=by)
    if not state.history:
        raise UserError("there is no former champion to roll back to; `streamrec adapters list`")
    if to is not None and to == state.champion:
        raise UserError(f"{to} is the champion already; `streamrec adapters list`")
    return _restore(state, to or state.history[-1], pin=by)


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
        return state.then(**changes)
    return _restore(state, to, **changes)


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
    return state.then(pin=by, canary=None)


def unpin(state: RegistryState) -> RegistryState:
    """Let the trainer activate again. Raises UserError when nothing is pinned."""
    if state.pin is None:
        raise UserError("nothing is pinned")
    return state.then(pin=None)


def same_decision(before: RegistryState, now: RegistryState) -> bool:
    """Whether what was decided at ``before`` is as good ``now``: candidates that were staged,
    tried out or filed in between contradict nobody."""
    return (before.champion, before.pin, before.relearn) == (now.champion, now.pin, now.relearn)


def same_return(before: RegistryState, now: RegistryState, to: str | None) -> bool:
    """The same of a ``rollback`` or ``relearn``, which may be to a generation that was named.

    Without a name it is the newest change that was to be undone; with one, a champion that was
    activated in between goes too.
    """
    if to is None:
        return same_decision(before, now) and before.canary == now.canary
    follows = now.champion == before.champion or now.came_after(before.champion)
    return follows and (before.pin, before.relearn) == (now.pin, now.relearn)


def _restore(state: RegistryState, to: str, **changes: Any) -> RegistryState:
    """The former champion ``to`` answers again; what came after it leaves the history."""
    if to not in state.history:
        raise UserError(
            f"{to} was never champion; `streamrec adapters activate {to}` if that is meant. "
            f"Former champions, newest first: {', '.join(reversed(state.history)) or 'none'}"
        )
    place = len(state.history) - 1 - state.history[::-1].index(to)
    staged = None if state.staged == to else state.staged
    kept: dict[str, Any] = {"history": state.history[:place], "staged": staged, "canary": None}
    return state.then(champion=to, **kept | changes)


def _promote(state: RegistryState, generation: str) -> RegistryState:
    former = (*state.history, state.champion) if state.champion else state.history
    staged = None if state.staged == generation else state.staged
    return state.then(champion=generation, history=former[-HISTORY:], staged=staged, canary=None)


def _withdraw(state: RegistryState, generation: str) -> RegistryState:
    return state.then(
        staged=None if state.staged == generation else state.staged,
        canary=None if state.tried_out == generation else state.canary,
    )


def _refuse_pinned(state: RegistryState, generation: str) -> None:
    if state.pin is not None:
        raise UserError(
            f"{state.champion} is pinned by {state.pin.actor} ({state.pin.reason}); "
            f"`streamrec adapters unpin`, or `streamrec adapters activate {generation}`"
        )
