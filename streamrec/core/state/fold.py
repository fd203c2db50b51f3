"""The fold: what a run of events does to a partition's users, statistics and examples.

Knows one events partition, in memory, at one position. Does not know where records are
kept: the caller reads them, commits what ``apply`` returns, and throws the fold away when
the commit fails. Nor how an event is counted (``core.state.partial_aggregate``), which view an
outcome
belongs to (``core.state.attribution``; of a reply ``core.state.replies``) or how an example is put
together (``tasks.ranking.example_maker``).

User state (logged features aside) and rows are a pure function of the partition's log: how
it is cut into runs changes no bit of them. Features are computed once per run, from the
statistics as they were before it.

What one event does, in order (one that says ``forget`` does something else, below):

1. a repeated event_id of the user is dropped: it changes nothing (``core.state.known_ids``); one so
   old that nobody can tell is refused;
2. the partition's clock (``core.state.event_clock``) hears of it, and pendings whose deadline it
   passes become examples; a time that it does not believe goes no further; a user it finds silent
   for too long is new again;
3. the user's pendings: a view opens or joins one, an outcome labels one, or waits in one for
   its view;
4. examples: an accepted event of no impression, at once, with sampled negatives; one whose
   impression closes without a view of it, then; an outcome that is not accepted and belongs to
   no impression, at once, as a view;
5. the partition's share counts it: the item, and for an accepted event pairs with those before;
6. the user's state;
7. a few users and items of whom nothing has been heard for too long are let go.

An event without an item (a search, a reply and what is thought of it) passes 1, 2, 6 and 7; the
user's replies and makers of examples hear of it.

``forget`` empties the user's state, pendings and deadlines included, and marks the place among
the examples. Time and statistics stay as they are: they are counts of many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from streamrec.core.events import Interaction, Kind, Source
from streamrec.core.examples import ForgetMark
from streamrec.core.state import attribution, replies
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.counters import Counter, count_of_user
from streamrec.core.state.deadlines import Deadlines
from streamrec.core.state.event_clock import DAY_MS, EventClock
from streamrec.core.state.example_maker import ExampleMaker
from streamrec.core.state.example_makers import ExampleMakers
from streamrec.core.state.known_ids import KnownIds, digest
from streamrec.core.state.partial_aggregate import PartialAggregate
from streamrec.core.state.run import FoldResult, FoldRules, Gathered, Located, Record, update
from streamrec.core.state.silence import REAPED, Silence
from streamrec.core.state.statistics import Statistics
from streamrec.core.state.user_state import (
    NEW_USER,
    Decided,
    Shown,
    UserState,
    consumes,
)

NEVER_MS = 2**63
AFTER_EXAMPLES = 1 << 20
"""Among the marks and examples of an event, the index of the first user let go of."""

__all__ = ["FoldResult", "FoldRules", "Located", "PartitionFold"]


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
        self.clock = EventClock()
        self._deadlines = Deadlines(rules.attribution_window_ms)
        self._window_ms = rules.attribution_window_ms
        self._ids = KnownIds(rules.remember_ms)
        keep_ms = max(rules.keep_ms, rules.attribution_window_ms) if rules.keep_ms else 0
        self._silence = Silence(keep_ms)
        self._outdated: list[str] = []  # rows of an earlier version, to be removed
        self._makers = ExampleMakers(makers, catalogue)

    @property
    def watermark_ms(self) -> int:
        """What time it is, by the events so far."""
        return self.clock.now_ms

    # -- taking over ------------------------------------------------------------------

    def load_rows(
        self,
        rows: Mapping[str, Record],
        own: Mapping[str, Record] = MappingProxyType({}),
        logs: Mapping[str, bytes] = MappingProxyType({}),
    ) -> None:
        """This partition's share, own rows and their logs; brings ``statistics`` up to it.

        ``logs``: those that ``core.state.known_ids.stored`` names.

        Raises:
            ValueError: a log does not hold what its row says.
        """
        self._share.load(rows)
        self.clock.load(self._share.watermark_ms, rows.get("c", {}).get("k"))
        self._ids.load(own, logs)
        self._deadlines.load(own)
        self._outdated = self._deadlines.take_in(rows)
        self._statistics.apply_rows(self._source, rows, whole=True)

    def missing_users(self, run: Sequence[Located]) -> list[str]:
        """Users whose records ``put_users`` must bring before ``apply`` can fold this run."""
        watermark = NEVER_MS if self.clock.may_go_back(run) else self._latest(run)
        needed = dict.fromkeys(at.event.user_id for at in run)
        needed |= dict.fromkeys(sorted(set(self._deadlines.users_due(watermark))))
        return [user for user in needed if user not in self._users]

    def silent_until(self, run: Sequence[Located]) -> tuple[int, int] | None:
        """``apply`` wants users not seen after this time, the first so many; None: nobody."""
        return self._silence.wanted(self._latest(run), len(run))

    def _latest(self, run: Sequence[Located]) -> int:
        times = [at.event.occurred_at_ms for at in run if at.event.kind is not Kind.FORGET]
        return max([self.watermark_ms, self.clock.farthest_ms, *times])

    def put_users(self, records: Mapping[str, Record | None]) -> None:
        """Users as stored at this position; None for one never seen.

        A pending with features of another width (logged by a version before an upgrade) can
        become no example: it is dropped, and its outcome counts as one outside any view.
        """
        for user_id, record in records.items():
            self._users[user_id] = NEW_USER if record is None else self._makers.readable(record)

    def user(self, user_id: str) -> UserState:
        """A user in memory; a new one when never put."""
        return self._users.get(user_id, NEW_USER)

    def forget_users(self, keep: int) -> None:
        """Drop users beyond the ``keep`` most recently folded: they are read again if needed."""
        for user_id in list(self._users)[: max(0, len(self._users) - keep)]:
            del self._users[user_id]

    # -- folding ----------------------------------------------------------------------

    def apply(
        self, run: Sequence[Located], now_ms: int, silent: Sequence[tuple[int, str]] = ()
    ) -> FoldResult:
        """Fold a run of consecutive events.

        On success memory has advanced. ``now_ms`` stamps ``UserUpdate.applied_at_ms``. ``silent``:
        the users that ``silent_until`` asks for, and when they were last seen.

        Raises:
            KeyError: a user that ``missing_users`` names was not put.
        """
        gathered = Gathered(now_ms)
        self._silence.begin(silent)
        names = [digest(at.event.user_id, at.event.event_id) for at in run]
        self._ids.look_up(names)
        for found, name in zip(run, names, strict=True):
            if (at := self._counts(found, name, gathered)) is not None:
                fold = self._forget if at.event.kind is Kind.FORGET else self._fold
                fold(at, gathered)
                self._ids.add(name, at.event.occurred_at_ms, self.watermark_ms)
                self._reap(at, gathered)
        examples, gathered.unusable_replies = self._makers.finish()
        rows = self._share.take_rows(self.clock.to_record())
        self._statistics.apply_rows(self._source, rows)
        rows |= dict.fromkeys(self._outdated)
        self._outdated = []
        own, logs = self._ids.take(self.watermark_ms)
        touched = {user_id: self._users[user_id] for user_id in gathered.users}
        return gathered.result(
            users={user_id: _record(state) for user_id, state in touched.items()},
            rows=rows,
            own=self._deadlines.take_rows() | own,
            logs=logs,
            seen_ms={u: s.last_active_ms for u, s in touched.items() if s is not NEW_USER},
            examples=examples,
        )

    def _counts(self, at: Located, name: int, run: Gathered) -> Located | None:
        """An event that has not been counted, at the time that it counts at; else None."""
        event, state = at.event, self._users[at.event.user_id]
        if self._ids.known(name, self.watermark_ms) or event.event_id in state.recent_events:
            run.duplicates += 1
            return None
        if event.kind is Kind.FORGET:
            return at
        at = self._timed(at, state)
        if why := self._too_late(at.event, state):
            run.refused[at.offset] = why
            return None
        return at

    def _timed(self, at: Located, state: UserState) -> Located:
        """The clock hears of an event."""
        returns = self.clock.returns
        at_ms = self.clock.read(at, state.last_seen_ms)
        self._share.watermark_ms = self.clock.now_ms
        if self.clock.returns != returns:
            self._deadlines.bring_back(self.clock.now_ms)
        if at_ms == at.event.occurred_at_ms:
            return at
        return replace(at, event=replace(at.event, occurred_at_ms=at_ms))

    def _too_late(self, event: Interaction, state: UserState) -> str | None:
        """Why nobody can tell whether an event has been counted."""
        keep_ms = self._silence.keep_ms
        if self._over(event.occurred_at_ms):
            known = f"what is {keep_ms / DAY_MS:g} days old has been forgotten"
        elif self._ids.forgotten(event.occurred_at_ms, state, self.watermark_ms):
            known = f"event ids are known for {self._ids.horizon_ms / DAY_MS:g}: counted, maybe"
        else:
            return None
        behind = (self.watermark_ms - event.occurred_at_ms) / DAY_MS
        return f"it occurred {behind:.1f} days before the partition's event time, and {known}"

    def _fold(self, at: Located, run: Gathered) -> None:
        event = at.event
        run.unknown_items += event.with_item and self._catalogue.row(event.item_id) is None
        self._expire(at, run)
        before = self._current(self._users.pop(event.user_id), at, run)
        self._makers.event(at, before)
        state = self._with_item(at, before, run) if event.with_item else before.heard(event)
        state = self._replies(at, state, before)
        if state.last_seen_ms > self.watermark_ms + DAY_MS:  # stored before such times were refused
            state = state.but(last_seen_ms=event.occurred_at_ms)
        self._users[event.user_id] = state  # put back last: the most recent one
        self._touched(event.user_id, run)
        if event.with_item and (consumes(event) or event.accepted):
            run.updates.append(update(self._source.partition, at, run.now_ms))

    def _with_item(self, at: Located, before: UserState, run: Gathered) -> UserState:
        event = at.event
        if event.kind is Kind.VIEW:
            state, exposed = self._view(at, before, run)
        else:
            state, attributed = self._outcome(at, before, run)
            exposed = not attributed and event.impression_id is None
        if self._share.count(event, before.history, exposed=exposed):
            self._makers.counted(at)
        return count_of_user(state.after(event), event, self._counters)

    def _replies(self, at: Located, state: UserState, before: UserState) -> UserState:
        """The state once its replies have heard of an event."""
        if at.event.with_item and not state.replies.open:
            return state
        now_ms = self.watermark_ms
        found = replies.heard(state.replies, at.event, now_ms, before.accepted_at_ms)
        self._makers.replied(at, at.event.user_id, found.closed)
        return state.but(replies=found.replies)

    def _current(self, stored: UserState, at: Located, run: Gathered) -> UserState:
        """A user as of the watermark: new again after a long silence."""
        if self._over(stored.last_active_ms) and stored is not NEW_USER:
            run.expired_users += 1
            stored = NEW_USER
        return self._ids.brought_up(at.event.user_id, stored, self.watermark_ms)

    def _over(self, at_ms: int) -> bool:
        """Whether it is long ago; nothing is while the clock may stand in the future."""
        return not self.clock.in_doubt and self._silence.over(at_ms, self.watermark_ms)

    def _touched(self, user_id: str, run: Gathered) -> None:
        """A user's state is another one: it is to be written, and what is due of it to be noted."""
        state = self._users[user_id]
        run.users[user_id] = None
        self._deadlines.set(user_id, state.waiting, self.watermark_ms)
        self._silence.heard_of(user_id, state)

    def _forget(self, at: Located, run: Gathered) -> None:
        self._users[at.event.user_id] = NEW_USER
        self._touched(at.event.user_id, run)
        run.forgotten.append(self._mark(at, 0, at.event.user_id, at.event.occurred_at_ms))

    def _mark(self, at: Located, index: int, user_id: str, asked_at_ms: int) -> ForgetMark:
        partition = self._source.partition
        return ForgetMark(
            partition, at.offset, index, user_id, at.produced_at_ms, asked_at_ms=asked_at_ms
        )

    def _reap(self, at: Located, run: Gathered) -> None:
        """Let go of the few who have been silent for longest, if that is long enough."""
        if self.clock.in_doubt:
            return
        due = self._silence.reap(self.watermark_ms, self._users, run.users)
        for number, user_id in enumerate(due):
            self._users[user_id] = NEW_USER
            self._touched(user_id, run)
            mark = self._mark(at, AFTER_EXAMPLES + number, user_id, self.watermark_ms)
            run.forgotten.append(mark)
            run.expired_users += 1
        if keep_ms := self._silence.keep_ms:
            run.expired_items += self._share.reap(self.watermark_ms - keep_ms, REAPED)

    def _expire(self, at: Located, run: Gathered) -> None:
        """Close what the watermark has passed, by deadline, user and key."""
        while due := self._deadlines.first_due(self.watermark_ms):
            (due_ms, user_id), now_ms = due, self.watermark_ms
            state = self._users[user_id]
            by_time = sorted((self._deadlines.deadline_ms(p, now_ms), p.key) for p in state.pending)
            keys = [key for deadline_ms, key in by_time if deadline_ms <= due_ms]
            closing = [p for key in keys for p in state.pending if p.key == key]
            told = state.replies.open
            silent = [r for r in told if self._deadlines.deadline_ms(r, now_ms) <= due_ms]
            self._deadlines.set(user_id, state.waiting, now_ms)
            if closing or silent:
                heard = replies.ignored(state.replies, silent)
                self._users[user_id] = state.without(closing).but(replies=heard.replies)
                self._touched(user_id, run)
                self._makers.replied(at, user_id, heard.closed)
            for pending in closing:
                self._makers.close(at, user_id, pending, state.consumed)

    def _view(self, at: Located, before: UserState, run: Gathered) -> tuple[UserState, bool]:
        """The state, and whether the view counts as an exposure."""
        event = at.event
        if attribution.too_late(before, event):
            run.late_views += 1
            return before, True
        done = attribution.just_decided(before, event, self.watermark_ms, self._window_ms)
        if done is None:
            user_U = self._makers.logged(before, event.occurred_at_ms)
            change = attribution.show(before, event, self.watermark_ms, user_U)
            return self._changed(at, change), True
        if not done.unseen:
            return before, True
        state, pending = attribution.seen_after(before, done)
        if done.shown.stats_F is None:
            user_U = self._makers.logged(before, event.occurred_at_ms)
            self._makers.shown(replace(pending, user_U=user_U), done.shown)
        self._makers.close(at, event.user_id, pending)
        return state, False

    def _outcome(self, at: Located, before: UserState, run: Gathered) -> tuple[UserState, bool]:
        event = at.event
        if event.impression_id is not None:
            return self._of_impression(at, before, run)
        state, attributed, closed = attribution.attribute(before, event)
        if closed is not None:
            self._makers.close(at, event.user_id, closed)
        shown = Shown(event.item_id)
        if event.accepted or not attributed:
            self._makers.close_now(at, before, shown)
        if attribution.just_decided(state, event, self.watermark_ms, self._window_ms) is None:
            unseen = event.accepted and not attributed
            at_ms = max(event.occurred_at_ms, self.watermark_ms)
            done = Decided(shown, at_ms, before.accepts, unseen)
            state = attribution.decide(state, done, self.watermark_ms, self._window_ms)
        return state, attributed

    def _of_impression(
        self, at: Located, before: UserState, run: Gathered
    ) -> tuple[UserState, bool]:
        event = at.event
        state, attributed, _ = attribution.attribute(before, event)
        if attributed or not event.accepted:
            return state, attributed
        if attribution.too_late(before, event):
            run.late_clicks += 1
            return state, False
        user_U = self._makers.logged(before, event.occurred_at_ms)
        change = attribution.wait(before, event, self.watermark_ms, user_U)
        return self._changed(at, change), False

    def _changed(self, at: Located, change: attribution.Attribution) -> UserState:
        if change.logs is not None:
            self._makers.shown(change.pending, change.logs)
        for old in change.pushed:
            self._makers.close(at, at.event.user_id, old, change.state.consumed)
        return change.state


def _record(state: UserState) -> dict[str, Any] | None:
    return None if state is NEW_USER else state.to_record()
