"""What the fold asks of a task: examples, made from what it is told of a partition's events.

Knows what is told and when. What an example says is the task's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamrec.core.examples import Example
from streamrec.core.state.replies import ReplyClosed
from streamrec.core.state.user_state import Pending, Shown, UserState

if TYPE_CHECKING:
    from streamrec.core.state.fold import Located


@dataclass(frozen=True, slots=True, eq=False)
class Closed:
    """A view or an impression whose outcome is known, closed by the event at ``offset``.

    ``consumed``: it is an accepted item that nobody is known to have been shown, and these are
    the items its user had consumed before. None: what was shown is all there is.
    """

    offset: int
    produced_at_ms: int
    user_id: str
    pending: Pending
    consumed: tuple[str, ...] | None = None


class ExampleMaker:
    """One task's view of one partition; a task overrides what it needs.

    During a run, in the order of events: what an event's time closes, then ``event``, then what
    the event itself shows and closes, then ``counted``. ``finish`` is asked once, at the end of the
    run. Examples must be a function of what was told: no clock, no randomness, so that a run folded
    again makes the same ones.

    ``unusable``: outcomes of the run so far that no example can be made of.
    """

    unusable: int = 0

    def logged(self, before: UserState, at_ms: int) -> tuple[float, ...]:  # noqa: ARG002
        """What of a user is kept with a view until it closes. Asked of the first maker only."""
        return ()

    def fits(self, pending: Pending) -> bool:  # noqa: ARG002
        """Whether what was logged can still be used: a version before may have logged it."""
        return True

    def event(self, at: Located, before: UserState) -> None:
        """An event that counts, and its user's state before it."""

    def counted(self, at: Located) -> None:
        """Declared counters of items have counted an event: all but a user's insistence."""

    def shown(self, pending: Pending, shown: Shown) -> None:
        """An item was shown. ``shown.stats_F``, set by ``finish``, stays with it."""

    def closed(self, closed: Closed) -> None:
        """The outcome of something shown is known."""

    def replied(self, at: Located, user_id: str, closed: ReplyClosed) -> None:
        """What became of a reply is known, by the event ``at``."""

    def finish(self) -> list[Example]:
        """The examples of what was told since the last call, by place; ``unusable`` is 0 again."""
        return []
