"""Which outcome belongs to which reply."""

import json
from dataclasses import replace
from itertools import permutations

import pytest

from streamrec.core.events import Interaction, Kind
from streamrec.core.state.replies import (
    EARLY,
    NO_REPLIES,
    OPEN,
    Replies,
    ReplyOutcome,
    heard,
    ignored,
)

NOW = 1_772_000_000_000


def event(kind: Kind, at_ms: int = NOW, **more) -> Interaction:
    return Interaction(f"{kind}-{at_ms}", "ann", more.pop("item_id", ""), kind, at_ms, **more)


def said(reply_id: str, *items: str, at_ms: int = NOW, query: str = "a quiet film", **more):
    log = json.dumps({"items": list(items)})
    return event(
        Kind.REPLY,
        at_ms,
        reply_id=reply_id,
        reply_log=log,
        query=query,
        conversation_id="c",
        **more,
    )


def folded(*events: Interaction) -> tuple[Replies, list[tuple[str, ReplyOutcome]]]:
    """As the fold does it: what was accepted before is remembered."""
    replies, closed, accepted = NO_REPLIES, [], {}
    for one in events:
        found = heard(replies, one, NOW, lambda item: accepted.get(item, 0))
        replies = found.replies
        closed += [(done.reply.reply_id, done.outcome) for done in found.closed]
        if one.accepted:
            accepted[one.item_id] = one.occurred_at_ms
    return replies, closed


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (event(Kind.ACCEPT, NOW + 1, reply_id="r"), ReplyOutcome.ACCEPTED),
        (event(Kind.REJECT, NOW + 1, reply_id="r"), ReplyOutcome.REJECTED),
        (event(Kind.CLICK, NOW + 1, item_id="i1"), ReplyOutcome.CLICKED),
    ],
)
def test_an_outcome_closes_its_reply_once_in_either_order(outcome, expected):
    for order in permutations([said("r", "i1", "i2"), outcome]):
        replies, closed = folded(*order, outcome, said("r", "i1", at_ms=NOW + 5))
        assert closed == [("r", expected)]
        assert not replies.open
        assert not replies.early


def test_a_click_before_the_reply_was_said_is_no_answer_to_it():
    early = event(Kind.CLICK, NOW - 1, item_id="i1")
    for order in permutations([said("r", "i1"), early]):
        assert folded(*order)[1] == []


def test_a_click_on_what_the_reply_does_not_name_says_nothing():
    assert folded(said("r", "i1"), event(Kind.CLICK, NOW + 1, item_id="i9"))[1] == []


def test_asking_the_same_in_other_words_is_a_no():
    again = event(Kind.SEARCH, NOW + 9, query="quiet films please, a few", conversation_id="c")
    assert folded(said("r", "i1"), again)[1] == [("r", ReplyOutcome.REPHRASED)]
    other = replace(again, conversation_id="other")
    assert folded(said("r", "i1"), other)[1] == []
    assert folded(said("r", "i1"), replace(again, query="something with cars"))[1] == []


def test_its_own_search_does_not_reject_it_when_it_comes_late():
    own = event(Kind.SEARCH, NOW - 500, query="a quiet film", conversation_id="c")
    assert folded(said("r", "i1"), own)[1] == []


def test_the_next_reply_of_the_conversation_says_what_was_asked_again():
    _, closed = folded(said("r", "i1"), said("s", "i2", at_ms=NOW + 9, query="quiet film"))
    assert closed == [("r", ReplyOutcome.REPHRASED)]


def test_too_many_open_ones_push_the_oldest_out():
    events = [said(f"r{n}", at_ms=NOW + n, query=f"word{n}") for n in range(OPEN + 2)]
    replies, closed = folded(*events)
    assert closed == [("r0", ReplyOutcome.IGNORED), ("r1", ReplyOutcome.IGNORED)]
    assert [one.reply_id for one in replies.open] == [f"r{n}" for n in range(2, OPEN + 2)]
    late = heard(replies, event(Kind.ACCEPT, reply_id="r0"), NOW, lambda _: 0)
    assert not late.closed
    assert late.replies == replies


def test_what_waits_for_a_reply_is_bounded():
    replies, _ = folded(*(event(Kind.ACCEPT, NOW + n, reply_id=f"r{n}") for n in range(40)))
    assert len(replies.early) == EARLY


def test_silence_closes_what_is_due():
    replies, _ = folded(said("r", "i1"), said("s", "i2", query="cars"))
    found = ignored(replies, replies.open[:1])
    assert [(done.reply.reply_id, done.outcome) for done in found.closed] == [
        ("r", ReplyOutcome.IGNORED)
    ]
    assert [one.reply_id for one in found.replies.open] == ["s"]


def test_it_comes_back_from_its_record():
    replies, _ = folded(
        said("r", "i1"), said("s", query="cars"), event(Kind.ACCEPT, reply_id="r"),
        event(Kind.REJECT, reply_id="never"),
    )  # fmt: skip
    assert Replies.from_record(json.loads(json.dumps(replies.to_record()))) == replies
    assert NO_REPLIES.to_record() == {}
    assert Replies.from_record({}) is NO_REPLIES


def test_a_log_that_cannot_be_read_names_nothing():
    for log in ("", "[", "[1]", '{"items": 3}', '{"items": [1, null]}'):
        (one,) = folded(replace(said("r"), reply_log=log))[0].open
        assert one.items == ()
