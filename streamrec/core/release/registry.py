"""The adapter registry: which generation answers, as readers of one log agree on it.

Knows the states a release goes through (staged, canary, champion, pinned) and how they follow from
the control log. Does not know which steps are possible (``core.release.transitions``), where the
log is kept (``infra.stores.control_log``), what a generation holds, or how workers follow it.

Every record of the control log carries the whole state it leads to. A record is *accepted*
when its revision is above the current one, in log order; anything else is ignored. A writer
always writes the revision after the one it has read, so on a whole log this says "exactly
the next revision": of two writers that read the same state, the first in the log wins and
every reader sees it the same way. On a compacted log, where revisions are missing, the same
rule still leads to the newest accepted state, provided that the log does not end in an
ignored record: that is why a loser repairs (``repair``). docs/adr/0050 has the argument.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from streamrec.core.ledger.quarantine import Quarantine
from streamrec.core.release.canary import Canary


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
    REPAIR = "repair"  # the same state again: a writer lost a race, or noted what was done beside


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
    def tried_out(self) -> str | None:
        """The generation of the canary."""
        return self.canary.generation if self.canary else None

    @property
    def previous(self) -> str | None:
        """Where a rollback without a name goes."""
        return self.history[-1] if self.history else None

    def came_after(self, former: str | None) -> bool:
        """Whether the champion was activated since ``former`` was champion; a rollback was not.

        Others may have been champion for a moment in between.
        """
        return former in self.history

    def then(self, **changes: Any) -> RegistryState:
        """The next revision."""
        return replace(self, revision=self.revision + 1, **changes)


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


def repair(state: RegistryState) -> RegistryState:
    """The same state one revision on, so that the log ends in an accepted record again."""
    return state.then()


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
