"""An event that says ``forget``: nothing of the user stays, everything of others does."""

from __future__ import annotations

import json

from streamrec.core.events import Interaction, Kind
from streamrec.core.examples import ForgetMark, forgetting
from tests.unit.core.test_fold import WINDOW_MS, Partition, click, view


def forget(user: str, at_ms: int = 500) -> Interaction:
    return Interaction(f"forget-{user}-{at_ms}", user, "", Kind.FORGET, at_ms)


def test_the_record_is_removed_and_the_place_marked() -> None:
    partition = Partition()
    partition.feed(click("ann", "i1", 100), click("bob", "i2", 110))
    result = partition.feed(forget("ann"))
    assert result.users == {"ann": None}
    assert result.updates == []
    assert result.examples == []
    (mark,) = result.forgotten
    assert (mark.user_id, mark.offset, mark.index) == ("ann", 2, 0)
    assert partition.fold.user("ann").history == ()
    assert partition.fold.user("bob").history == ("i2",)


def test_what_was_shown_to_the_user_never_becomes_an_example() -> None:
    partition = Partition()
    partition.feed(view("ann", "i1", 100, "p"), view("bob", "i2", 100, "q"), forget("ann"))
    closed = partition.feed(click("eve", "i9", 100 + WINDOW_MS)).examples
    assert {example.user_id for example in closed} == {"bob", "eve"}


def test_no_row_names_the_user_any_more() -> None:
    partition = Partition()
    before = partition.feed(view("ann", "i1", 100, "p"), click("ann", "i2", 120))
    after = partition.feed(forget("ann"))
    rows = before.rows | after.rows
    assert before.own.keys() == {"w/ann", "e/0"}
    assert after.own["w/ann"] is None
    assert "ann" not in json.dumps(rows)


def test_time_and_the_counts_of_many_stay_as_they_are() -> None:
    partition = Partition()
    before = partition.feed(click("ann", "i1", 100)).rows
    after = partition.feed(forget("ann", at_ms=10_000_000)).rows
    assert after["c"] == before["c"]
    assert not {row for row in after if row.startswith(("i/", "n/"))}


def test_who_comes_back_is_new() -> None:
    partition = Partition()
    partition.feed(click("ann", "i1", 100))
    result = partition.feed(forget("ann"), click("ann", "i2", 600))
    record = result.users["ann"]
    assert record is not None
    assert record["h"] == ["i2"]
    assert [example.history for example in result.examples] == [()]


def test_forgetting_a_stranger_or_twice_does_no_harm() -> None:
    partition = Partition()
    for at_ms in (500, 501):
        assert partition.feed(forget("nobody", at_ms)).users == {"nobody": None}
    again = partition.feed(forget("nobody"))
    assert (again.users, again.forgotten, again.duplicates) == ({}, [], 1)


def test_what_is_sent_again_does_not_bring_a_forgotten_user_back() -> None:
    partition = Partition()
    sent = [
        click("ann", "i1", 100),
        view("ann", "i2", 110, "p"),
        forget("ann"),
        click("ann", "i3", 600),
    ]
    partition.feed(*sent)
    again = partition.feed(*sent)
    assert (again.users, again.examples, again.duplicates) == ({}, [], 4)
    assert partition.fold.user("ann").history == ("i3",)


def mark(user: str, offset: int) -> ForgetMark:
    return ForgetMark(0, offset, 0, user, 1, asked_at_ms=1)


def test_examples_before_the_mark_are_not_learned_those_after_it_are() -> None:
    partition = Partition()
    examples = partition.feed(
        click("ann", "i1", 100), click("bob", "i2", 110), click("ann", "i3", 120)
    ).examples
    first, bobs, last = examples
    kept, users = forgetting([first, bobs, mark("ann", 1), last])
    assert kept == [bobs, last]
    assert users == ["ann"]
    assert forgetting([first, bobs]) == ([first, bobs], [])
