"""What time it is in a partition, by its events alone: a clock that no few producers can move.

Knows the times that events say and the timestamps of their records; with Kafka's default both are
the producer's. Does not know the wall clock, so that the same log always gives the same time.

The clock follows the events as long as they step ahead by little. An event further ahead is
counted, but its time is only a vote: the clock leaps when enough different users have voted, and
every event that agrees with the clock takes two votes back. A night without traffic is passed after
a few users; one producer among several that is hours ahead never has its way (docs/adr/0098).
Likewise it goes back, when what follows says that it stands in the future.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from streamrec.core.examples import user_hash

if TYPE_CHECKING:
    from streamrec.core.state.run import Located

STEP_MS = 60_000
"""An event this far ahead of the clock, or of its own record, is believed at once."""
ALONE_MS = 300_000
"""What one user alone, among several, moves the clock by small steps."""
BACK_MS = 600_000
"""An event this far behind the clock, record and all, is a vote to go back."""
FUTURE_MS = 3_600_000
"""What lies this far ahead of a clock that has gone back will not be waited for."""
MONTH_MS = 30 * 86_400_000
DAY_MS = 86_400_000
YEAR_MS = 366 * DAY_MS
AGAIN_MS, AGAIN_BUSY_MS = 300_000, 1_800_000
"""A user has another vote when this much later by its own time; later where others are many."""
LATELY_MS = 900_000
FEW, MOST = 8, 200
"""Votes that move the clock: half the users seen lately, within these bounds. A partition that has
had fewer users needs no more than those."""
BEFORE = 3
"""Users taken to have been there where a version before did not count them."""

Vote = tuple[int, int]  # a user's hash, a time


class EventClock:
    """One partition's. Mutable: the fold owns it. ``now_ms`` is 0 until the first event."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.ahead = 0  # events whose time was not believed
        self.clipped = 0  # events later than their own record: they count at its time
        self.leaps = 0
        self.returns = 0
        self._votes_ahead: list[Vote] = []
        self._votes_back: list[Vote] = []
        self._mover = 0  # who moved the clock last
        self._shared_ms = 0  # how far others than the mover agree
        self._users = 0  # at most FEW are counted
        self._lately = (0, 0, 0)  # interval, different users in it, in the one before

    @property
    def in_doubt(self) -> bool:
        """Whether somebody lately said that it stands in the future."""
        return bool(self._votes_back)

    @property
    def farthest_ms(self) -> int:
        """The latest time the votes so far might make it."""
        return max((at_ms for _, at_ms in self._votes_ahead), default=self.now_ms)

    def may_go_back(self, run: Sequence[Located]) -> bool:
        """Whether this run could bring it back."""
        early_ms = self.now_ms - BACK_MS
        return any(
            at.produced_at_ms < early_ms
            and (at.stamped_by_broker or at.event.occurred_at_ms < early_ms)
            for at in run
        )

    def read(self, at: Located, seen_ms: int) -> int:
        """Take in an event; returns the time it is to count at, and may have moved.

        ``seen_ms``: when its user was last seen before, 0 for a new one.
        """
        at_ms = self._bounded(at.event.occurred_at_ms, at.produced_at_ms)
        self._users = min(FEW, self._users + (seen_ms == 0))
        if self.now_ms == 0:
            self.now_ms = self._shared_ms = at_ms
        if at.stamped_by_broker and at.produced_at_ms > 0:
            self._trust(at_ms, at.produced_at_ms)
            return at_ms
        user = user_hash(at.event.user_id) & 0xFFFF_FFFF
        back_ms = self.now_ms - BACK_MS
        if at_ms > self._limit_ms(user):
            self._meet(seen_ms)
            return self._vote_ahead(user, at_ms)
        if at_ms >= self.now_ms - STEP_MS:
            self._meet(seen_ms)
            self._agree(user, at_ms)
        elif at_ms < back_ms and at.produced_at_ms < back_ms and self._is_news(at_ms, seen_ms):
            self._vote_back(user, at_ms)
        return at_ms

    def _bounded(self, at_ms: int, made_ms: int) -> int:
        """An event cannot have happened after its record was made; 0: nobody knows when."""
        if made_ms <= 0 or at_ms <= max(self.now_ms, made_ms) + STEP_MS:
            return at_ms
        self.clipped += 1
        return max(self.now_ms, made_ms)

    def _trust(self, at_ms: int, broker_ms: int) -> None:
        self._votes_ahead, self._votes_back = [], []
        if self.now_ms > broker_ms + BACK_MS:
            self.now_ms = at_ms
            self.returns += 1
        self.now_ms = self._shared_ms = max(self.now_ms, at_ms)

    def _limit_ms(self, user: int) -> int:
        limit_ms = self.now_ms + STEP_MS
        if user == self._mover and self._users > 1:
            return min(limit_ms, max(self.now_ms, self._shared_ms + ALONE_MS))
        return limit_ms

    def _agree(self, user: int, at_ms: int) -> None:
        self._votes_ahead = [v for v in self._votes_ahead if v[0] != user][2:]
        self._votes_back = [v for v in self._votes_back if v[0] != user][2:]
        if user != self._mover:
            self._shared_ms = max(self._shared_ms, min(self.now_ms, at_ms))
        if at_ms > self.now_ms:
            self.now_ms, self._mover = at_ms, user

    def _vote_ahead(self, user: int, at_ms: int) -> int:
        """The time the event counts at: its own, and at most a month ahead of the clock."""
        votes, quorum = self._votes_ahead, self._quorum()
        later_ms = AGAIN_MS if quorum <= FEW else AGAIN_BUSY_MS
        if all(at_ms >= before_ms + later_ms for voter, before_ms in votes if voter == user):
            votes.append((user, at_ms))
        if len(votes) >= quorum:
            self._move(votes)
            self.leaps += 1
            self._votes_ahead = [v for v in votes if v[1] > self.now_ms + STEP_MS]
        if at_ms > self.now_ms + STEP_MS:
            self.ahead += 1
        return min(at_ms, self.now_ms + MONTH_MS)

    def _is_news(self, at_ms: int, seen_ms: int) -> bool:
        """Not an old event, sent again: later than the last of its user, or absurdly early."""
        return at_ms > seen_ms or at_ms < self.now_ms - YEAR_MS

    def _vote_back(self, user: int, at_ms: int) -> None:
        votes = self._votes_back
        again = self._users <= 1 or at_ms < self.now_ms - DAY_MS
        if again or all(abs(at_ms - ms) >= AGAIN_MS for voter, ms in votes if voter == user):
            votes.append((user, at_ms))
        if len(votes) >= (self._quorum() if self._users > 1 else BEFORE):
            self._move(votes)
            self.returns += 1
            self._votes_ahead = []

    def _move(self, votes: list[Vote]) -> None:
        """To the middle of the votes, and those about it."""
        times = sorted(at_ms for _, at_ms in votes)
        limit_ms = times[(len(times) - 1) // 2] + STEP_MS
        self.now_ms = self._shared_ms = max(at_ms for at_ms in times if at_ms <= limit_ms)
        self._mover, self._votes_back = 0, []

    def _meet(self, seen_ms: int) -> None:
        interval, here, before = self._lately
        now = self.now_ms // LATELY_MS
        if now != interval:
            interval, here, before = now, 0, here
        self._lately = interval, here + (seen_ms < interval * LATELY_MS), before

    def _quorum(self) -> int:
        half = max(self._lately[1:]) // 2 + 1
        return max(1, self._users, min(half, MOST))

    def to_record(self) -> dict[str, Any]:
        """All but ``now_ms``."""
        return {
            "n": [self.ahead, self.clipped, self.leaps, self.returns],
            "a": [list(v) for v in self._votes_ahead],
            "r": [list(v) for v in self._votes_back],
            "m": [self._mover, self._shared_ms],
            "u": [self._users, *self._lately],
        }

    def load(self, now_ms: int, record: Mapping[str, Any] | None) -> None:
        """``record`` as ``to_record`` gave it; None: written by a version without it."""
        self.now_ms = self._shared_ms = now_ms
        if record is None:
            self._users = BEFORE if now_ms else 0
            return
        self.ahead, self.clipped, self.leaps, self.returns = record["n"]
        self._votes_ahead = [(user, at_ms) for user, at_ms in record["a"]]
        self._votes_back = [(user, at_ms) for user, at_ms in record["r"]]
        self._mover, self._shared_ms = record["m"]
        users, interval, here, before = record["u"]
        self._users, self._lately = users, (interval, here, before)
