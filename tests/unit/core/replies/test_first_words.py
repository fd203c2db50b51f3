"""What replies say before anybody was asked."""

from __future__ import annotations

import random

import pytest

from streamrec.core.events import Item
from streamrec.core.replies.brief import Brief
from streamrec.core.replies.checks import checked
from streamrec.core.replies.distinct import distinct_2
from streamrec.core.replies.first_words import first_words
from streamrec.core.replies.names import Names
from streamrec.core.replies.plan import PLANS, Length
from streamrec.core.replies.rendering import rendered
from streamrec.core.replies.rules import ReplyRules

LISTED = (
    Item("a", "Alpenglow", categories=("Drama",)),
    Item("b", "Brimstone", categories=("Comedy", "War")),
    Item("c", "Cinderpath"),
)
HISTORY = (Item("h", "Hollowmere", categories=("Drama",)),)


@pytest.mark.parametrize("place", range(len(PLANS)))
def test_every_way_to_do_what_a_plan_asks_may_be_said_and_does_it(place: int) -> None:
    plan, titles = PLANS[place], Names((*LISTED, *HISTORY))
    for seed in range(40):
        brief = Brief("a drama?", LISTED, HISTORY, plan)
        reply = rendered(brief, first_words(brief, random.Random(seed)))
        checked(brief, reply, titles, ReplyRules())
        assert len(reply.items) == plan.named
        assert bool(reply.from_history) == plan.history
        assert reply.text.endswith("?") == plan.question
        assert (len(reply.items) > 1) == (plan.length is Length.LONG)


def test_there_are_several_ways_to_say_it() -> None:
    brief = Brief("", LISTED, (), PLANS[-1])
    said = {first_words(brief, random.Random(seed)) for seed in range(40)}
    assert len(said) > 20
    assert not any("[[A]]" in words for words in said)


def test_distinct_pairs() -> None:
    assert distinct_2(["a b c", "A b d"]) == 3 / 4
    assert distinct_2(["one", ""]) == 0.0
