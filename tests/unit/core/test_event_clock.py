"""What time it is in a partition: few producers never drag its clock, and nights pass."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence

import pytest

from streamrec.core.events import Interaction, Kind
from streamrec.core.state.event_clock import DAY_MS, STEP_MS, EventClock
from streamrec.core.state.fold import Located

BEGIN_MS = 1_767_225_600_000
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
FAR_MS = 3_786_912_000_000  # 2090


class Log:
    """A partition's clock, fed event by event; who was seen when is kept here."""

    def __init__(self, clock: EventClock | None = None) -> None:
        self.clock = clock or EventClock()
        self.seen: dict[str, int] = {}
        self.offset = 0

    def say(
        self, user: str, at_ms: int, made_ms: int | None = None, *, by_broker: bool = False
    ) -> int:
        made_ms = at_ms if made_ms is None else made_ms
        event = Interaction(f"e{self.offset}", user, "i", Kind.VIEW, at_ms)
        at = Located(self.offset, made_ms, event, by_broker)
        counted_ms = self.clock.read(at, self.seen.get(user, 0))
        self.seen[user] = max(self.seen.get(user, 0), counted_ms)
        self.offset += 1
        return counted_ms

    @property
    def now_ms(self) -> int:
        return self.clock.now_ms


def traffic(
    begin_ms: int, users: Sequence[str], count: int, gap_ms: int = 2_000, seed: int = 0
) -> Iterator[tuple[str, int]]:
    """Users in turn, at random, each at the right time."""
    rng = random.Random(seed)
    for n in range(count):
        yield rng.choice(users), begin_ms + n * gap_ms


USERS = [f"u{n}" for n in range(40)]


def busy(log: Log, begin_ms: int = BEGIN_MS, count: int = 200) -> int:
    """Ordinary traffic; returns when it ended."""
    at_ms = begin_ms
    for user, at_ms in traffic(begin_ms, USERS, count):
        log.say(user, at_ms)
    assert log.now_ms == at_ms
    return at_ms


def test_a_sane_stream_is_followed_to_the_millisecond() -> None:
    busy(Log(), count=1_000)


@pytest.mark.parametrize("ahead_ms", [5 * MINUTE_MS, HOUR_MS, 23 * HOUR_MS, FAR_MS - BEGIN_MS])
def test_one_event_ahead_moves_nobody(ahead_ms: int) -> None:
    log = Log()
    end_ms = busy(log)
    counted_ms = log.say("odd", end_ms + ahead_ms)
    assert log.now_ms == end_ms
    assert counted_ms <= end_ms + 30 * DAY_MS
    busy(log, end_ms + 2_000)
    assert log.clock.ahead == 1


@pytest.mark.parametrize("ahead_ms", [2 * MINUTE_MS, 7 * MINUTE_MS, HOUR_MS, 5 * HOUR_MS])
@pytest.mark.parametrize(("share", "batch"), [(1 / 3, 1), (1 / 4, 12), (1 / 10, 1)])
def test_a_whole_producer_ahead_among_several_moves_nobody(
    ahead_ms: int, share: float, batch: int
) -> None:
    """``batch``: its client sends so many events at once, behind each other in the log."""
    rng, log, waiting, latest_ms = random.Random(1), Log(), [], 0
    for user, at_ms in traffic(BEGIN_MS, USERS, 20_000, gap_ms=500):
        if int(user[1:]) >= len(USERS) * share:
            latest_ms = at_ms
            log.say(user, at_ms - rng.randrange(2_000))
        else:
            waiting.append((user, at_ms + ahead_ms))
            if len(waiting) == batch:
                for who, when_ms in waiting:
                    log.say(who, when_ms)
                waiting = []
        assert log.now_ms <= at_ms + STEP_MS
    assert log.now_ms >= latest_ms - 5_000


def test_one_user_with_many_events_moves_nobody() -> None:
    log = Log()
    end_ms = busy(log)
    for n in range(2_000):
        log.say("bot", end_ms + 3 * HOUR_MS + n)
    assert log.now_ms == end_ms
    for n in range(500):  # a clock that runs fast, in steps small enough to be believed
        log.say("bot", end_ms + n * 30_000)
    assert log.now_ms <= end_ms + 6 * MINUTE_MS
    busy(log, end_ms + 6 * MINUTE_MS)


def test_a_producer_behind_is_late_and_moves_nobody() -> None:
    log = Log()
    for user, at_ms in traffic(BEGIN_MS, USERS, 5_000, gap_ms=500):
        late = int(user[1:]) < 12
        log.say(user, at_ms - 7 * HOUR_MS if late else at_ms)
        assert log.now_ms >= at_ms - 60_000
    assert log.clock.returns == 0


@pytest.mark.parametrize("night_ms", [10 * MINUTE_MS, 8 * HOUR_MS, 9 * DAY_MS])
def test_a_night_without_traffic_passes(night_ms: int) -> None:
    log = Log()
    end_ms = busy(log)
    morning_ms = end_ms + night_ms
    early = 0
    for user, at_ms in traffic(morning_ms, USERS, 100):
        log.say(user, at_ms)
        early += log.now_ms < morning_ms
    assert early < 40  # half of the users, and those who came twice
    busy(log, at_ms + 2_000)


@pytest.mark.parametrize("gap_ms", [10_000, 10 * MINUTE_MS, 5 * HOUR_MS])
def test_a_single_user_is_alone_and_believed(gap_ms: int) -> None:
    log = Log()
    for n in range(50):
        log.say("u", BEGIN_MS + n * gap_ms)
        assert log.now_ms == BEGIN_MS + n * gap_ms
    log.say("u", BEGIN_MS)  # one late event
    assert log.now_ms == BEGIN_MS + 49 * gap_ms


def test_a_partition_whose_only_producer_is_ahead_follows_it() -> None:
    log = Log()
    end_ms = busy(log, BEGIN_MS + 5 * HOUR_MS)
    assert log.now_ms == end_ms


def test_an_event_later_than_its_record_counts_at_its_record_s_time() -> None:
    """Local time without a zone: whole hours off, in records made at the right time."""
    log = Log()
    end_ms = busy(log)
    assert log.say("odd", end_ms + 2 * HOUR_MS, end_ms) == end_ms
    assert (log.clock.clipped, log.now_ms) == (1, end_ms)


def test_a_record_that_says_nothing_leaves_the_event_s_time() -> None:
    log = Log()
    end_ms = busy(log)
    assert log.say("odd", end_ms + 1_000, 0) == end_ms + 1_000


def test_a_backlog_and_a_mirror_s_records_are_read_by_the_events() -> None:
    log = Log()
    for user, at_ms in traffic(BEGIN_MS, USERS, 2_000, gap_ms=20_000):
        log.say(user, at_ms, BEGIN_MS + 400 * DAY_MS)
        assert log.now_ms == at_ms


def test_the_broker_s_clock_is_trusted() -> None:
    log = Log()
    log.say("u", BEGIN_MS, by_broker=True)
    log.say("v", BEGIN_MS + 5 * HOUR_MS, BEGIN_MS + 5 * HOUR_MS, by_broker=True)
    assert log.now_ms == BEGIN_MS + 5 * HOUR_MS
    log.say("odd", BEGIN_MS + 23 * HOUR_MS, BEGIN_MS + 5 * HOUR_MS, by_broker=True)
    assert log.now_ms == BEGIN_MS + 5 * HOUR_MS


@pytest.mark.parametrize("by_broker", [True, False])
@pytest.mark.parametrize("ahead_ms", [2 * HOUR_MS, 23 * HOUR_MS, FAR_MS - BEGIN_MS])
@pytest.mark.parametrize("users", [1, 2, 3, 40])
def test_a_clock_that_stands_in_the_future_comes_back(
    ahead_ms: int, users: int, by_broker: bool
) -> None:
    clock = EventClock()
    clock.load(BEGIN_MS + ahead_ms, None)  # as version 0.1 left it
    log = Log(clock)
    log.seen = dict.fromkeys(USERS, BEGIN_MS)
    for user, at_ms in traffic(BEGIN_MS, USERS[:users], 60, gap_ms=30_000):
        log.say(user, at_ms, by_broker=by_broker)
    alone_ms = 0 if by_broker or users > 2 else 20 * MINUTE_MS  # nobody else to agree
    assert at_ms - alone_ms <= log.now_ms <= at_ms
    assert clock.returns == 1


def test_the_first_event_of_all_may_be_the_odd_one() -> None:
    log = Log()
    log.say("odd", BEGIN_MS + DAY_MS)
    for user, at_ms in traffic(BEGIN_MS, USERS, 60):
        log.say(user, at_ms)
    assert log.now_ms == at_ms


def test_records_round_trip_and_change_nothing() -> None:
    whole, broken, rng = Log(), Log(), random.Random(3)
    for n, (user, at_ms) in enumerate(traffic(BEGIN_MS, USERS, 2_000)):
        off_ms = rng.choice([0, 0, 0, 0, 5 * HOUR_MS, -3 * HOUR_MS, 40_000])
        whole.say(user, at_ms + off_ms)
        broken.say(user, at_ms + off_ms)
        if n % 7 == 0:
            heir = EventClock()
            heir.load(broken.now_ms, json.loads(json.dumps(broken.clock.to_record())))
            broken.clock = heir
    assert whole.clock.to_record() == broken.clock.to_record()
    assert whole.now_ms == broken.now_ms
