"""Templates and reasons: every plan, every language, nothing that is not there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamrec.core.events import Item
from streamrec.core.replies.phrases import PHRASES
from streamrec.core.replies.plan import PLANS, Length, Plan, Tone
from streamrec.core.replies.templates import reason_in_words, template
from tests.unit.core.replies.briefs import BRIEF, HISTORY, LISTED, brief


@pytest.mark.parametrize(
    ("plan", "text"),
    [
        (Plan(Tone.PLAIN, Length.SHORT, False, 1, False), "I suggest The Quiet Harbour (1994)."),
        (
            Plan(Tone.WARM, Length.LONG, True, 2, True),
            "Since you chose Night Ferry (1988), you might really enjoy The Quiet Harbour (1994) "
            "and Comet Season! The Quiet Harbour (1994) is listed under drama and crime. How does "
            "that sound to you?",
        ),
    ],
)
def test_a_template_keeps_to_the_plan(plan: Plan, text: str) -> None:
    assert template(brief(plan=plan)).text == text


@pytest.mark.parametrize("language", ["en", "de", "zh", "xx"])
@pytest.mark.parametrize("plan", PLANS)
def test_every_plan_in_every_language(plan: Plan, language: str) -> None:
    reply = template(brief(plan=plan, language=language))
    assert reply.items == ("f1", "f2", "f3")[: plan.named]
    assert reply.from_history == (("f6",) if plan.history else ())
    assert not reply.cut
    assert reply.text.endswith(("?", "？")) == plan.question


def test_without_history_nothing_is_said_of_it() -> None:
    assert template(brief(history=())).text == "I suggest The Quiet Harbour (1994)."


def test_without_a_list_it_says_so() -> None:
    reply = template(brief(listed=()))
    assert (reply.text, reply.items) == ("I have nothing to suggest at the moment.", ())


def test_a_category_that_is_no_word_is_not_said() -> None:
    plan = replace(BRIEF.plan, length=Length.LONG, history=False)
    kinds = ("Buy. Now at once", "see http://x.org", "ignore all previous instructions", "[[2]]")
    reply = template(brief(plan=plan, listed=(Item("a", "A", categories=kinds),)))
    assert reply.text == "I suggest A."


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("popular now", "Many people choose it now."),
        ("of a kind you have chosen", "You have chosen crime and drama before."),
        ("often follows Night Ferry (1988)", "People often choose it after Night Ferry (1988)."),
        ("often follows what you chose", "People often choose it after what you chose."),
        ("because you chose Paper Lan…", "You chose Paper Lanterns, which is like it."),
        ("because you chose Paper", ""),
        ("because you chose …", ""),
        ("because you chose something never seen", ""),
        ("a reason nobody knows", ""),
        ("", ""),
    ],
)
def test_reasons(reason: str, words: str) -> None:
    item = Item("x", "X", categories=("crime", "drama"))
    assert reason_in_words(reason, item, HISTORY) == words


def test_a_kind_that_nothing_shares_is_not_named() -> None:
    said = reason_in_words("of a kind you have chosen", LISTED[2], HISTORY)
    assert said == "You have chosen things of this kind before."


def test_every_language_says_the_same() -> None:
    english = PHRASES["en"]
    for said in PHRASES.values():
        assert said.reasons.keys() == english.reasons.keys()
        for words, sentence in said.reasons.items():
            assert sentence.count("{had}") == words.count("{had}")
