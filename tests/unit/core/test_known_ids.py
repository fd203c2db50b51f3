"""Nothing counts twice: ids of events, within the horizon and beyond it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from streamrec.core.events import Interaction, Kind
from streamrec.core.examples import ForgetMark
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.fold import Located
from streamrec.core.state.known_ids import AHEAD_MS, FRESH, WIDTH_MS, KnownIds, digest
from streamrec.core.state.statistics import Statistics
from streamrec.tasks.ranking.example_maker import RankingRules, ranking_fold
from tests.fakes.kept import Kept
from tests.fakes.streams import ITEMS

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NOW_MS = 1_800_000_000_000
SENT_MS = NOW_MS + 10_000 * DAY_MS  # by a broker that is to be believed
RULES = RankingRules(1, remember_ms=DAY_MS, sampled_negatives=4)


class Partition:
    """Fed in runs of ``size``, each by a fold that has just taken over."""

    def __init__(self, rules: RankingRules = RULES) -> None:
        self.kept, self.offset, self.rules = Kept(), 0, rules
        self.duplicates = self.expired_users = self.expired_items = 0
        self.refused: list[str] = []
        self.marks: list[ForgetMark] = []

    def feed(self, events: Sequence[Interaction], size: int = 7) -> Partition:
        for start in range(0, len(events), size):
            catalogue = Catalogue()
            fold = ranking_fold(0, self.rules, catalogue, Statistics(catalogue))
            self.kept.hand_to(fold)
            some = enumerate(events[start : start + size], self.offset + start)
            result = self.kept.feed(fold, [Located(n, SENT_MS, event, True) for n, event in some])
            self.duplicates += result.duplicates
            self.expired_users += result.expired_users
            self.expired_items += result.expired_items
            self.refused += result.refused.values()
            self.marks += result.forgotten
        self.offset += len(events)
        return self

    @property
    def counted(self) -> tuple[object, object]:
        """All that events could be counted twice in; not what the clock has heard."""
        times = {name: self.kept.rows["c"][name] for name in ("n", "t")}
        return self.kept.users.copy(), self.kept.rows | {"c": times}


def event(number: int, user: str, at_ms: int, kind: Kind = Kind.CLICK) -> Interaction:
    item = ITEMS[number % len(ITEMS)]
    return Interaction(f"e{number}", user, item, kind, at_ms)


def of_one_user(count: int, every_ms: int) -> list[Interaction]:
    return [event(n, "ann", NOW_MS + n * every_ms) for n in range(count)]


@pytest.mark.parametrize("events", [33, 60, 2_000])
@pytest.mark.parametrize("size", [1, 500])
def test_a_stream_sent_again_changes_nothing_whatever_the_number_of_events(
    events: int, size: int
) -> None:
    if events * (501 - size) > 600_000:
        events = 300
    log = of_one_user(events, 1_000)
    partition = Partition().feed(log, size)
    before = partition.counted
    partition.feed(log, size)
    assert partition.counted == before
    assert (partition.duplicates, partition.refused) == (events, [])


def test_batches_of_impressions_and_events_of_no_list_sent_again_change_nothing() -> None:
    kinds = list(Kind)[:6]
    log = [
        replace(
            event(n, f"u{n % 3}", NOW_MS + n // 10, kinds[n % 6]),
            impression_id=None if n % 4 == 0 else f"p{n // 12}",
        )
        for n in range(400)
    ]
    partition = Partition().feed(log, 50)
    before = partition.counted
    shuffled = random.Random(4).sample(log, len(log))
    assert partition.feed(shuffled, 13).counted == before
    assert partition.duplicates == len(log)


def test_one_id_of_two_users_is_two_events() -> None:
    partition = Partition().feed([event(1, "ann", NOW_MS), event(1, "bob", NOW_MS)])
    assert partition.duplicates == 0
    assert digest("ab", "c") != digest("a", "bc")


@pytest.mark.parametrize("days", [0.9, 1.5, 4, 30])
def test_a_stream_longer_than_the_horizon_sent_again_changes_nothing(days: float) -> None:
    log = of_one_user(120, int(days * DAY_MS / 120))
    partition = Partition().feed(log)
    assert partition.refused == []
    before = partition.counted
    partition.feed(log)
    assert partition.counted == before
    assert partition.duplicates + len(partition.refused) == len(log)
    assert bool(partition.refused) == (days > 1)
    if days > 2:
        assert "days before the partition's event time" in partition.refused[0]


def test_histories_user_after_user_are_all_counted_and_once() -> None:
    """Each user's begins long before the end of the one before: older than the horizon, and new."""
    log = [
        event(number, user, NOW_MS + number // 3 * 6 * HOUR_MS)
        for user in ("ann", "bob", "eve")
        for number in range(90)
    ]
    partition = Partition().feed(log)
    assert (partition.duplicates, partition.refused) == (0, [])
    before = partition.counted
    later = event(1_000, "zoe", NOW_MS + 60 * DAY_MS)
    assert partition.feed(log).counted == before
    partition.feed([later])
    before = partition.counted
    assert partition.feed(log).counted == before


def test_a_clock_that_was_ahead_does_not_make_its_event_count_twice() -> None:
    ahead = event(0, "ann", NOW_MS + 23 * HOUR_MS)
    partition = Partition().feed([event(1, "bob", NOW_MS), ahead])
    for hours in (24, 40, 47, 49, 60):
        partition.feed([event(hours, "bob", NOW_MS + hours * HOUR_MS)])
        before = partition.counted
        assert partition.feed([ahead]).counted == before


def test_ids_that_version_0_1_kept_with_a_user_are_still_known() -> None:
    partition = Partition()
    log = of_one_user(40, 1_000)
    partition.feed(log[:20])
    partition.kept.own = {}
    partition.kept.logs = {}
    record = partition.kept.users["ann"]
    record["e"] = [e.event_id for e in log[:20]]
    del record["m"]
    partition.feed(log[20:])
    before = partition.counted
    assert partition.feed(log).counted == before
    assert partition.kept.users["ann"]["e"] == []


def test_eight_bytes_of_an_event_are_stored_and_go_with_the_horizon() -> None:
    partition = Partition()
    partition.feed(of_one_user(700, 1_000), 50)
    assert sum(map(len, partition.kept.logs.values())) == 700 * 8
    later_ms = NOW_MS + DAY_MS + 2 * WIDTH_MS
    partition.feed([event(9_000, "bob", later_ms), event(9_001, "ann", later_ms)])
    assert sum(map(len, partition.kept.logs.values())) == 16
    assert set(partition.kept.logs) == {key for key in partition.kept.own if key[:2] == "e/"}


def test_many_ids_are_found_however_they_came() -> None:
    ids = KnownIds(DAY_MS)
    numbers = np.random.default_rng(3).integers(0, 2**64, 3 * FRESH, np.uint64).tolist()
    for start in range(0, len(numbers), 1_000):
        for one in numbers[start : start + 1_000]:
            ids.add(one, NOW_MS, NOW_MS)
        ids.take(NOW_MS)
    ids.look_up([*numbers, 7, 8])
    assert all(ids.known(one, NOW_MS) for one in numbers)
    assert not ids.known(7, NOW_MS)
    assert len(ids) == len(numbers)


def test_when_a_clock_far_ahead_is_overruled_its_ids_do_not_stay_for_years() -> None:
    ids = KnownIds(DAY_MS)
    for days in (10_000, 10_001):
        ids.add(5, NOW_MS, NOW_MS + days * DAY_MS)
        ids.take(NOW_MS + 10_000 * DAY_MS)
    own, logs = ids.take(NOW_MS)
    kept = {name: row for name, row in own.items() if row}
    KnownIds(DAY_MS).load(kept, {name: logs[name] or b"" for name in kept})
    assert [name for name, row in own.items() if row] == [f"e/{(NOW_MS + AHEAD_MS) // WIDTH_MS}"]
    ids.look_up([5])
    assert ids.known(5, NOW_MS)
    assert len(logs) == 3


def test_a_log_that_was_cut_is_noticed() -> None:
    ids = KnownIds(DAY_MS)
    ids.add(5, NOW_MS, NOW_MS)
    own, logs = ids.take(NOW_MS)
    with pytest.raises(ValueError, match="0 event ids, not 1"):
        KnownIds(DAY_MS).load(own, dict.fromkeys(logs, b""))
