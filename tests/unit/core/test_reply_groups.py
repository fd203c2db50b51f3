"""Counts by group, in whatever order the topics are read."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from streamrec.core.events import (
    Interaction,
    Kind,
    Recommendation,
    RecommendedItem,
    ReplyMessage,
    Trigger,
)
from streamrec.core.measures.fairness import GroupCounts, exposure_at
from streamrec.core.measures.reply_groups import ReplyGroups

GROUPS = {"ann": "young", "ben": "old", "cem": "old"}
KINDS = {"a": ("Drama", "War"), "b": ("Drama",), "c": ("Comedy",)}


def listed(user: str, *items: str) -> Recommendation:
    named = tuple(RecommendedItem(item, 0.5) for item in items)
    return Recommendation(
        f"request:{user}", user, named, "g", {}, Trigger.REQUEST, user, 1, 0, 2, "s",
        wants_reply=True,
    )  # fmt: skip


def said(user: str, *items: str) -> ReplyMessage:
    return ReplyMessage(
        f"rp-{user}",
        user,
        f"request:{user}",
        user,
        None,
        1_000,
        True,
        "words",
        items,
        (),
        1,
        2,
        "r",
    )


def thumb(user: str, kind: Kind) -> Interaction:
    return Interaction(f"{kind}-{user}", user, "", kind, 3, reply_id=f"rp-{user}")


LOG = [
    listed("ann", "a", "c"), listed("ben", "b", "a"), listed("cem", "c"),
    said("ann", "a"), said("ben", "b", "a"), said("cem", "c"),
    thumb("ann", Kind.ACCEPT), thumb("ben", Kind.REJECT),
]  # fmt: skip


def counted(log: list[object]) -> ReplyGroups:
    groups = ReplyGroups(lambda user: GROUPS[user], lambda item: KINDS.get(item, ()))
    for found in log:
        groups.take(found)
    return groups


@pytest.mark.parametrize("seed", range(4))
def test_groups_are_counted_once_in_whatever_order(seed: int) -> None:
    log = [*LOG, *LOG[:3], *LOG[3:6]]
    random.Random(seed).shuffle(log)
    groups = counted(log)
    assert (groups.lists, groups.judged) == (3, 2)
    users = {row.group: row for row in groups.users()}
    first, second = exposure_at(0), exposure_at(1)
    assert users["young"].counts == GroupCounts(1, 1, 2, first + second)
    assert users["old"].counts.judged == 1
    assert users["old"].counts.accepted == 0
    assert users["old"].counts.listed == 3
    items = {row.group: row for row in groups.items(KINDS)}
    assert items["Drama"].counts.judged == 2, "once for a reply, however many it names"
    assert items["Drama"].counts.accepted == 1
    assert items["Drama"].counts.listed == 3
    assert items["Comedy"].counts.judged == 0
    assert items["Comedy"].acceptance is None


def test_the_first_word_on_a_reply_counts_and_parts_are_no_replies() -> None:
    groups = counted([*LOG, thumb("ann", Kind.REJECT)])
    assert {row.group: row.counts.accepted for row in groups.users()} == {"young": 1, "old": 0}
    part = replace(said("ann", "b"), sequence=0, final=False)
    assert counted([part, thumb("ann", Kind.ACCEPT)]).judged == 0


def test_expected_is_the_share_of_the_catalogue_and_of_those_who_asked() -> None:
    items = {row.group: row for row in counted(LOG).items([*KINDS, "unknown"])}
    assert items["Comedy"].exposure_ratio == pytest.approx(items["Comedy"].exposure_share * 4)
    users = {row.group: row for row in counted(LOG).users()}
    assert users["young"].exposure_ratio == pytest.approx(users["young"].exposure_share * 3)
