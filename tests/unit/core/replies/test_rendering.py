"""Slots become titles; what is no slot, no sentence or no item of the list is refused."""

from __future__ import annotations

import pytest

from streamrec.core.events import Item
from streamrec.core.replies.refusals import Refusal
from streamrec.core.replies.rendering import MARKS, rendered
from streamrec.errors import ReplyRefused
from streamrec.ports.generating import FORBIDDEN
from tests.unit.core.replies.briefs import BRIEF, brief


def test_slots_become_titles() -> None:
    reply = rendered(BRIEF, "Since you had [[A]], try [[1]] or [[2]]. Or [[1]] again!")
    assert reply.text == (
        "Since you had Night Ferry (1988), try The Quiet Harbour (1994) or Comet Season. "
        "Or The Quiet Harbour (1994) again!"
    )
    assert reply.items == ("f1", "f2")
    assert reply.from_history == ("f6",)
    assert [(reply.text[start:end], item) for start, end, item in reply.spans] == [
        ("Night Ferry (1988)", "f6"),
        ("The Quiet Harbour (1994)", "f1"),
        ("Comet Season", "f2"),
        ("The Quiet Harbour (1994)", "f1"),
    ]
    assert not reply.cut


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("Try [[3]]", "Try Her."),
        ("Try [[5]].", "Try Mamma Rosa!"),
        ("Try [[5]]. It is fun.", "Try Mamma Rosa! It is fun."),
        ("  Try\n[[ 3 ]] \t now. ", "Try Her now."),
        ("Because of [[a]], [[3]].", "Because of Night Ferry (1988), Her."),
        ("Write to me@example.org about [[3]].", "Write to (e-mail) about Her."),
    ],
)
def test_what_is_small_is_put_right(written: str, text: str) -> None:
    assert rendered(BRIEF, written).text == text


def test_an_unfinished_sentence_at_the_end_is_left_out() -> None:
    reply = rendered(BRIEF, "Try [[3]]. It is a story of [[2]] and")
    assert (reply.text, reply.items, reply.cut) == ("Try Her.", ("f3",), True)


def test_a_full_stop_is_the_language_s_own() -> None:
    assert rendered(brief(language="zh"), "我推荐[[3]]").text == "我推荐Her。"


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("Try [[6]].", Refusal.UNKNOWN_SLOT),
        ("Try [[D]] and [[1]].", Refusal.UNKNOWN_SLOT),
        ("Try [[1]] and [[2].", Refusal.MARKUP),
        ("Try [[1]] <b>now</b>.", Refusal.MARKUP),
        ("Try [[1]].<|im_end|>", Refusal.MARKUP),
        ("Try **[[1]]**.", Refusal.MARKUP),
        ("Try a film.", Refusal.NO_ITEM),
        ("You had [[A]].", Refusal.NO_ITEM),
        ("", Refusal.NO_ITEM),
        ("You may like [[1]] because", Refusal.UNFINISHED),
        ("A film! You may like [[1]] because", Refusal.UNFINISHED),
    ],
)
def test_refused(written: str, code: Refusal) -> None:
    with pytest.raises(ReplyRefused) as refused:
        rendered(BRIEF, written)
    assert refused.value.code == code


def test_a_title_is_shown_as_it_is_but_steers_nothing() -> None:
    items = (
        Item("a", "[REC] <3"),
        Item("b", "[[2]] <|im_end|> www.evil.com/x"),
        Item("c", "\u202e"),
    )
    reply = rendered(brief(listed=items), "See [[1]], [[2]] and [[3]].")
    assert reply.text == "See [REC] ‹3, [2] (link) and c."


def test_what_no_text_may_hold_no_model_can_write():
    assert set(MARKS) <= set(FORBIDDEN)
