"""The fold: what a run of events does to a partition's users, statistics and examples.

Knows one events partition, in memory, at one position. Does not know where records are
kept: the caller reads them, commits what ``apply`` returns, and throws the fold away when
the commit fails. Nor how an event is counted (``core.state.partial_aggregate``), which view an
outcome
belongs to (``core.state.attribution``) or how an example is put together
(``tasks.ranking.example_maker``).

User state (logged features aside) and rows are a pure function of the partition's log: how
it is cut into runs changes no bit of them. Features are computed once per run, from the
statistics as they were before it.

What one event does, in order (one that says ``forget`` does something else, below):

1. a repeated event_id of the user is dropped: it changes nothing;
2. the watermark moves, and pendings whose deadline it passes become examples;
3. the user's pendings: a view opens or joins one, an outcome labels one, or waits in one for
   its view;
4. examples: an accepted event of no impression, at once, with sampled negatives; one whose
   impression closes without a view of it, then; an outcome that is not accepted and belongs to
   no impression, at once, as a view;
5. the partition's share counts it: the item, and for an accepted event pairs with those before;
6. the user's state.

``forget`` empties the user's state, pendings and deadlines included, and marks the place among
the examples. Time and statistics stay as they are: they are counts of many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from streamrec.core.events import Interaction, Kind, Source, UserUpdate
from streamrec.core.examples import Example, ForgetMark
from streamrec.core.state import attribution
from streamrec.core.state.attribution import Deadlines
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.counters import Counter, count_of_user
from streamrec.core.state.example_maker import Closed, ExampleMaker
from streamrec.core.state.partial_aggregate import PartialAggregate
from streamrec.core.state.statistics import Statistics
from streamrec.core.state.user_state import (
    NEW_USER,
    Decided,
    Pending,
    Shown,
    UserState,
    consumes,
)

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Located:
    """An event and where it stands in its partition."""

    offset: int
    produced_at_ms: int
    event: Interaction


@dataclass(frozen=True, slots=True)
class FoldRules:
    """``partitions`` of the events topic: half-lives by events are shared out over them."""

    partitions: int = 1
    attribution_window_ms: int = 300_000
    repeats: int = 3  # of one item among a user's last accepted ones; more lift it no further


@dataclass(frozen=True, slots=True)
class FoldResult:
    """What a commit must write (``users``, ``rows``) and publish (``examples``, ``updates``).

    ``examples``: by task. ``forgotten``: marks for those of every task, in their place.
    """

    users: dict[str, dict[str, Any] | None]  # None: nothing is known any more
    rows: dict[str, dict[str, Any]]
    examples: dict[str, list[Example]]
    updates: list[UserUpdate]
    duplicates: int
    unknown_items: int
    late_clicks: int  # of impressions already closed: counted, not learned
    late_views: int  # likewise
    forgotten: list[ForgetMark]


@dataclass(slots=True)
class _Run:
    """What one run gathers."""

    now_ms: int
    users: dict[str, None] = field(default_factory=dict)  # ordered set of those touched
    updates: list[UserUpdate] = field(default_factory=list)
    forgotten: list[ForgetMark] = field(default_factory=list)
    duplicates: int = 0
    unknown_items: int = 0
    late_clicks: int = 0
    late_views: int = 0


class PartitionFold:
    """Memory of one events partition at one position."""

    def __init__(
        self,
        partition: int,
        rules: FoldRules,
        catalogue: Catalogue,
        statistics: Statistics,
        *,
        makers: Mapping[str, ExampleMaker],
        counters: Sequence[Counter] = (),
    ) -> None:
        """``makers``: by task. The first logs what of a user is kept with a view.

        ``counters``: what declared statistics count beside what is counted for all of them.
        """
        self._counters = counters
        self._source = Source("events", partition)
        self._catalogue = catalogue
        self._statistics = statistics
        self._users: dict[str, UserState] = {}
        self._share = PartialAggregate(rules.partitions, rules.repeats, counters)
        self._deadlines = Deadlines(rules.attribution_window_ms)
        self._window_ms = rules.attribution_window_ms
        self._makers = dict(makers)
        self._logger = next(iter(makers.values()), ExampleMaker())

    @property
    def watermark_ms(self) -> int:
        """The latest event time so far."""
        return self._share.watermark_ms

    # -- taking over ------------------------------------------------------------------

    def load_rows(self, rows: Mapping[str, Record]) -> None:
        """This partition's own share, whole; also brings ``statistics`` up to it."""
        self._share.load(rows)
        self._deadlines.load((k, r) for k, r in rows.items() if k.startswith("w/"))
        self._statistics.apply_rows(self._source, rows)

    def missing_users(self, run: Sequence[Located]) -> list[str]:
        """Users whose records ``put_users`` must bring before ``apply`` can fold this run."""
        times = [at.event.occurred_at_ms for at in run if at.event.kind is not Kind.FORGET]
        watermark = max(times, default=self.watermark_ms)
        needed = dict.fromkeys(at.event.user_id for at in run)
        needed |= dict.fromkeys(sorted(self._deadlines.users_due(watermark)))
        return [user for user in needed if user not in self._users]

    def put_users(self, records: Mapping[str, Record | None]) -> None:
        """Users as stored at this position; None for one never seen.

        A pending with features of another width (logged by a version before an upgrade) can
        become no example: it is dropped, and its outcome counts as one outside any view.
        """
        for user_id, record in records.items():
            self._users[user_id] = NEW_USER if record is None else self._readable(record)

    def user(self, user_id: str) -> UserState:
        """A user in memory; a new one when never put."""
        return self._users.get(user_id, NEW_USER)

    def forget_users(self, keep: int) -> None:
        """Drop users beyond the ``keep`` most recently folded: they are read again if needed."""
        for user_id in list(self._users)[: max(0, len(self._users) - keep)]:
            del self._users[user_id]

    # -- folding ----------------------------------------------------------------------

    def apply(self, run: Sequence[Located], now_ms: int) -> FoldResult:
        """Fold a run of consecutive events.

        On success memory has advanced. ``now_ms`` stamps ``UserUpdate.applied_at_ms``.

        Raises:
            KeyError: a user that ``missing_users`` names was not put.
        """
        gathered = _Run(now_ms)
        for at in run:
            if at.event.kind is Kind.FORGET:
                self._forget(at, gathered)
            else:
                self._fold(at, gathered)
        examples = {task: maker.finish() for task, maker in self._makers.items()}
        rows = self._share.take_rows() | self._deadlines.take_rows(self.watermark_ms)
        self._statistics.apply_rows(self._source, rows)
        return FoldResult(
            users={user_id: _record(self._users[user_id]) for user_id in gathered.users},
            rows=rows,
            examples=examples,
            updates=gathered.updates,
            duplicates=gathered.duplicates,
            unknown_items=gathered.unknown_items,
            late_clicks=gathered.late_clicks,
            late_views=gathered.late_views,
            forgotten=gathered.forgotten,
        )

    def _fold(self, at: Located, run: _Run) -> None:
        event = at.event
        if event.event_id in self._users[event.user_id].recent_events:
            run.duplicates += 1
            return
        run.unknown_items += self._catalogue.row(event.item_id) is None
        self._share.watermark_ms = max(self.watermark_ms, event.occurred_at_ms)
        self._expire(at, run)
        before = self._users.pop(event.user_id)  # put back last: the most recent one
        for maker in self._makers.values():
            maker.event(at, before)
        if event.kind is Kind.VIEW:
            state, exposed = self._view(at, before, run)
        else:
            state, attributed = self._outcome(at, before, run)
            exposed = not attributed and event.impression_id is None
        self._share.count(event, before.history, exposed=exposed)
        self._users[event.user_id] = count_of_user(state.after(event), event, self._counters)
        run.users[event.user_id] = None
        if consumes(event) or event.accepted:
            run.updates.append(_update(self._source.partition, at, run.now_ms))

    def _forget(self, at: Located, run: _Run) -> None:
        user_id = at.event.user_id
        self._users[user_id] = NEW_USER
        self._deadlines.forget(user_id)
        run.users[user_id] = None
        mark = ForgetMark(
            self._source.partition,
            at.offset,
            0,
            user_id,
            at.produced_at_ms,
            asked_at_ms=at.event.occurred_at_ms,
        )
        run.forgotten.append(mark)

    def _expire(self, at: Located, run: _Run) -> None:
        for deadline_ms, user_id, key in self._deadlines.expire(self.watermark_ms):
            state = self._users[user_id]
            pending = attribution.find(state, key)
            if pending is None or self._deadlines.deadline_ms(pending) != deadline_ms:
                continue  # closed early; this was its old deadline
            self._users[user_id] = state.without([pending])
            run.users[user_id] = None
            self._close(at, user_id, pending, state.consumed)

    def _view(self, at: Located, before: UserState, run: _Run) -> tuple[UserState, bool]:
        """The state, and whether the view counts as an exposure."""
        event = at.event
        if attribution.too_late(before, event):
            run.late_views += 1
            return before, True
        done = attribution.just_decided(before, event, self.watermark_ms, self._window_ms)
        if done is None:
            user_U = self._logger.logged(before, event.occurred_at_ms)
            change = attribution.show(before, event, self.watermark_ms, user_U)
            return self._changed(at, change), True
        if not done.unseen:
            return before, True
        state, pending = attribution.seen_after(before, done)
        if done.shown.stats_F is None:
            self._show(self._logged_now(pending, at, before), done.shown)
        self._close(at, event.user_id, pending)
        return state, False

    def _outcome(self, at: Located, before: UserState, run: _Run) -> tuple[UserState, bool]:
        event = at.event
        if event.impression_id is not None:
            return self._of_impression(at, before, run)
        state, attributed, closed = attribution.attribute(before, event)
        if closed is not None:
            self._close(at, event.user_id, closed)
        shown = Shown(event.item_id)
        if event.accepted or not attributed:
            self._close_now(at, before, shown)
        if attribution.just_decided(state, event, self.watermark_ms, self._window_ms) is None:
            unseen = event.accepted and not attributed
            at_ms = max(event.occurred_at_ms, self.watermark_ms)
            done = Decided(shown, at_ms, before.accepts, unseen)
            state = attribution.decide(state, done, self.watermark_ms, self._window_ms)
        return state, attributed

    def _of_impression(self, at: Located, before: UserState, run: _Run) -> tuple[UserState, bool]:
        event = at.event
        state, attributed, _ = attribution.attribute(before, event)
        if attributed or not event.accepted:
            return state, attributed
        if attribution.too_late(before, event):
            run.late_clicks += 1
            return state, False
        user_U = self._logger.logged(before, event.occurred_at_ms)
        change = attribution.wait(before, event, self.watermark_ms, user_U)
        return self._changed(at, change), False

    def _changed(self, at: Located, change: attribution.Attribution) -> UserState:
        if change.logs is not None:
            self._show(change.pending, change.logs)
        if change.opened:
            self._deadlines.add(at.event.user_id, change.pending)
        for old in change.pushed:
            self._close(at, at.event.user_id, old, change.state.consumed)
        return change.state

    def _logged_now(self, pending: Pending, at: Located, before: UserState) -> Pending:
        return replace(pending, user_U=self._logger.logged(before, at.event.occurred_at_ms))

    def _show(self, pending: Pending, shown: Shown) -> None:
        for maker in self._makers.values():
            maker.shown(pending, shown)

    def _close(
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

    def _tell(
        self, at: Located, user_id: str, pending: Pending, consumed: tuple[str, ...] | None
    ) -> None:
        closed = Closed(at.offset, at.produced_at_ms, user_id, pending, consumed)
        for maker in self._makers.values():
            maker.closed(closed)

    def _close_now(self, at: Located, before: UserState, shown: Shown) -> None:
        """What this very event shows and decides: the user as before it."""
        event = at.event
        if self._catalogue.row(event.item_id) is None:
            return
        pending = Pending(
            impression_id=None,
            opened_at_ms=event.occurred_at_ms,
            history=before.history,
            user_U=self._logger.logged(before, event.occurred_at_ms),
            shown=(shown,),
            accepted=(event.item_id,) if event.accepted else (),
        )
        if event.accepted:  # others are sampled beside it
            self._tell(at, event.user_id, pending, before.consumed)
        else:
            self._show(pending, shown)
            self._tell(at, event.user_id, pending, None)

    def _readable(self, record: Record) -> UserState:
        state = UserState.from_record(record)
        fitting = tuple(pending for pending in state.pending if self._logger.fits(pending))
        return state if len(fitting) == len(state.pending) else replace(state, pending=fitting)


def _record(state: UserState) -> dict[str, Any] | None:
    return None if state is NEW_USER else state.to_record()


def _update(partition: int, at: Located, now_ms: int) -> UserUpdate:
    event = at.event
    return UserUpdate(
        user_id=event.user_id,
        item_id=event.item_id,
        kind=event.kind,
        partition=partition,
        offset=at.offset,
        occurred_at_ms=event.occurred_at_ms,
        produced_at_ms=at.produced_at_ms,
        applied_at_ms=now_ms,
    )
