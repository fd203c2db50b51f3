"""Users and items without an event for too long go, by event time, and what is due costs alone."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from streamrec.core.events import Interaction, Kind
from streamrec.core.state.deadlines import Deadlines
from streamrec.core.state.silence import REAPED
from streamrec.core.state.user_state import Pending, Shown
from tests.unit.core.test_known_ids import DAY_MS, HOUR_MS, NOW_MS, RULES, Partition, event

KEEP = replace(RULES, keep_ms=30 * DAY_MS)


def at_day(days: float, user: str, kind: Kind = Kind.CLICK) -> Interaction:
    return event(int(days * 1_000), user, NOW_MS + int(days * DAY_MS), kind)


@pytest.mark.parametrize("size", [1, 3, 500])
def test_a_user_goes_when_nothing_was_heard_of_him_for_so_long(size: int) -> None:
    log = [at_day(0, "ann"), at_day(0.5, "bob"), at_day(20, "bob"), at_day(30.2, "eve")]
    partition = Partition(KEEP).feed(log, size)
    assert set(partition.kept.users) == {"bob", "eve"}
    assert partition.kept.seen_ms.keys() == {"bob", "eve"}
    assert partition.expired_users == 1
    assert "ann" not in json.dumps([partition.kept.own, partition.kept.rows])
    partition.feed([at_day(49.9, "eve")])
    assert "bob" in partition.kept.users
    partition.feed([at_day(50.1, "eve")])
    assert "bob" not in partition.kept.users


def test_whoever_learns_is_told_to_forget_those_who_go() -> None:
    partition = Partition(KEEP)
    partition.feed([at_day(0, u) for u in ("ann", "bob", "eve")], 1)
    partition.feed([at_day(31, "zoe"), at_day(31.1, "zoe")], 2)
    assert [mark.user_id for mark in partition.marks] == ["ann", "bob", "eve"]
    places = [(mark.offset, mark.index) for mark in partition.marks]
    assert places == [(3, 1 << 20), (3, (1 << 20) + 1), (3, (1 << 20) + 2)]


def test_nobody_goes_where_nothing_says_so() -> None:
    partition = Partition().feed([at_day(0, "ann"), at_day(5_000, "bob")])
    assert set(partition.kept.users) == {"ann", "bob"}


def test_a_gap_in_the_stream_costs_an_event_little_and_everybody_goes_in_the_end() -> None:
    users = [f"u{n:03d}" for n in range(100)]
    partition = Partition(KEEP).feed([at_day(n / 1_000, u) for n, u in enumerate(users)], 50)
    partition.feed([at_day(90, "new")])
    assert len(partition.kept.users) == 100 - REAPED + 1
    assert "u003" not in partition.kept.users
    assert "u004" in partition.kept.users
    partition.feed([at_day(90 + n / 1_000, "new") for n in range(1, 30)])
    assert set(partition.kept.users) == {"new"}
    assert partition.expired_users == 100


def test_who_comes_back_before_the_record_went_is_new_all_the_same() -> None:
    users = [f"u{n}" for n in range(20)]
    partition = Partition(KEEP).feed([at_day(0, u) for u in users])
    partition.feed([at_day(40, "u19")])
    assert partition.kept.users["u19"]["n"] == [0, 1]


@pytest.mark.parametrize("seed", range(3))
def test_what_goes_is_a_function_of_the_log_however_it_is_cut(seed: int) -> None:
    log = [at_day((n * 7.3 + n % 5 * 11) / 4, f"u{n * n * (seed + 3) % 97}") for n in range(300)]
    whole = Partition(KEEP).feed(log, 300)
    assert min(whole.expired_users, whole.expired_items) > 20
    for size in (1, 7, 64):
        pieces = Partition(KEEP).feed(log, size)
        assert pieces.counted == whole.counted
        assert pieces.kept.own == whole.kept.own
        assert pieces.expired_users == whole.expired_users
        assert pieces.expired_items == whole.expired_items


def test_a_list_still_open_is_closed_before_its_user_goes() -> None:
    short = replace(RULES, keep_ms=DAY_MS, attribution_window_ms=2 * DAY_MS)
    view = replace(at_day(0, "ann", Kind.VIEW), impression_id="p")
    partition = Partition(short).feed([view, at_day(1.5, "bob")])
    assert len(partition.kept.users["ann"]["p"]) == 1
    partition.feed([at_day(2.1, "bob")])
    assert "ann" not in partition.kept.users


def test_events_older_than_what_is_kept_are_refused_so_that_nobody_counts_twice() -> None:
    log = [at_day(n, "ann") for n in range(3)]
    partition = Partition(KEEP).feed([*log, at_day(60, "bob")])
    before = partition.counted
    assert partition.feed(log).counted == before
    assert len(partition.refused) == 3
    assert "what is 30 days old has been forgotten" in partition.refused[0]


def test_statistics_of_items_nobody_touches_go_with_all_their_rows() -> None:
    old = [event(n, "ann", NOW_MS + n * HOUR_MS) for n in range(3)]
    partition = Partition(KEEP).feed(old)
    rows = set(partition.kept.rows)
    assert {row[:2] for row in rows} == {"c", "i/", "n/"}
    later = [event(3, "bob", NOW_MS + 20 * DAY_MS), event(4, "bob", NOW_MS + 31 * DAY_MS)]
    partition.feed(later)
    kept = {row.split("/")[-1] for row in partition.kept.rows} - {"c"}
    assert partition.expired_items == 3
    assert kept == {e.item_id for e in later}


def view(user: str, number: int, at_ms: int) -> Interaction:
    return Interaction(
        f"v{number}", user, f"i{number}", Kind.VIEW, at_ms, impression_id=f"p{number}"
    )


def test_what_a_run_writes_of_open_lists_does_not_grow_with_those_open() -> None:
    """Version 0.1 wrote 64 rows of all deadlines, 400 KB of them."""
    long = replace(RULES, attribution_window_ms=DAY_MS)
    partition = Partition(long)
    partition.feed([view(f"u{n:05d}", n, NOW_MS + n) for n in range(3_000)], 500)
    before = dict(partition.kept.own)
    partition.feed([view("zoe", 9_000, NOW_MS + 4_000), view("u00007", 9_001, NOW_MS + 4_001)])
    changed = {name: row for name, row in partition.kept.own.items() if before.get(name) != row}
    assert {name for name in changed if name[:2] == "w/"} == {"w/zoe"}
    assert len(json.dumps(changed)) < 200
    assert not [row for row in partition.kept.rows if row.startswith("w/")]


def pending(opened_at_ms: int) -> Pending:
    return Pending(None, opened_at_ms, (), (), (Shown("i"),))


def test_only_what_is_due_is_looked_at() -> None:
    deadlines = Deadlines(1_000)
    for n in range(5_000):
        deadlines.set(f"u{n}", [pending(n * 10)], NOW_MS)
    assert sorted(deadlines.users_due(1_025)) == ["u0", "u1", "u2"]
    assert deadlines.first_due(999) is None
    assert deadlines.first_due(1_025) == (1_000, "u0")
    deadlines.set("u0", [pending(3)], NOW_MS)
    assert deadlines.first_due(1_025) == (1_003, "u0")
    deadlines.set("u0", (), NOW_MS)
    assert deadlines.first_due(1_025) == (1_010, "u1")


def test_deadlines_of_version_0_1_are_taken_in_and_its_rows_removed() -> None:
    old = Partition(RULES).feed([replace(at_day(0, "ann", Kind.VIEW), impression_id="p")])
    ((name, row),) = [one for one in old.kept.own.items() if one[0][:2] == "w/"]
    key = f"i{old.kept.users['ann']['p'][0]['i']}"
    old.kept.own = {}
    old.kept.logs = {}
    old.kept.rows |= {"w/3": {"d": [[row["d"], "ann", key]]}, "w/4": {"d": []}}
    old.feed([at_day(0.001, "bob")])
    assert old.kept.own[name] == row
    assert not {"w/3", "w/4"} & old.kept.rows.keys()
    old.feed([at_day(2, "bob")])
    assert old.kept.users["ann"]["p"] == []
