"""Every task's example maker of one partition, told together.

Knows what of a user is told to them when something closes. Does not know when it does
(``core.state.fold``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from streamrec.core.examples import Example
from streamrec.core.state import attribution
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.example_maker import Closed, ExampleMaker
from streamrec.core.state.replies import ReplyClosed
from streamrec.core.state.run import Located
from streamrec.core.state.user_state import Pending, Shown, UserState


class ExampleMakers:
    """By task; ``ExampleMaker`` says what each is told. The first logs what is kept with a view."""

    def __init__(self, makers: Mapping[str, ExampleMaker], catalogue: Catalogue) -> None:
        self._makers = dict(makers)
        self._catalogue = catalogue
        first = next(iter(makers.values()), ExampleMaker())
        self.logged, self.fits = first.logged, first.fits

    def event(self, at: Located, before: UserState) -> None:
        for maker in self._makers.values():
            maker.event(at, before)

    def counted(self, at: Located) -> None:
        for maker in self._makers.values():
            maker.counted(at)

    def shown(self, pending: Pending, shown: Shown) -> None:
        for maker in self._makers.values():
            maker.shown(pending, shown)

    def readable(self, record: Mapping[str, Any]) -> UserState:
        """A stored user, without pendings that a version before logged otherwise."""
        state = UserState.from_record(record)
        fitting = tuple(pending for pending in state.pending if self.fits(pending))
        return state if len(fitting) == len(state.pending) else replace(state, pending=fitting)

    def replied(self, at: Located, user_id: str, closed: Sequence[ReplyClosed]) -> None:
        for maker in self._makers.values():
            for one in closed:
                maker.replied(at, user_id, one)

    def close(
        self, at: Located, user_id: str, pending: Pending, consumed: tuple[str, ...] = ()
    ) -> None:
        """``consumed`` by the user: matters to what was accepted and never shown."""
        if pending.shown:
            self._tell(at, user_id, pending, None)
        for clicked in pending.early:
            if self._catalogue.row(clicked.item_id) is not None:
                alone = replace(pending, shown=(clicked,), accepted=(clicked.item_id,), early=())
                others = tuple(item for item in consumed if item != clicked.item_id)
                self._tell(at, user_id, alone, others)

    def close_now(self, at: Located, before: UserState, shown: Shown) -> None:
        """What this very event shows and decides: the user as before it."""
        event = at.event
        if self._catalogue.row(event.item_id) is None:
            return
        user_U = self.logged(before, event.occurred_at_ms)
        pending = attribution.unasked(before, event, user_U, shown)
        if event.accepted:  # others are sampled beside it
            self._tell(at, event.user_id, pending, before.consumed)
        else:
            self.shown(pending, shown)
            self._tell(at, event.user_id, pending, None)

    def finish(self) -> tuple[dict[str, list[Example]], int]:
        """By task; and how many outcomes no example could be made of."""
        unusable = sum(maker.unusable for maker in self._makers.values())
        return {task: maker.finish() for task, maker in self._makers.items()}, unusable

    def _tell(
        self, at: Located, user_id: str, pending: Pending, consumed: tuple[str, ...] | None
    ) -> None:
        closed = Closed(at.offset, at.produced_at_ms, user_id, pending, consumed)
        for maker in self._makers.values():
            maker.closed(closed)
