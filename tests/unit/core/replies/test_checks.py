"""What a reply may not say, each with its reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamrec.core.events import Item
from streamrec.core.replies.brief import FIXED, Brief
from streamrec.core.replies.checks import checked
from streamrec.core.replies.names import Names
from streamrec.core.replies.plan import PLANS
from streamrec.core.replies.refusals import Refusal
from streamrec.core.replies.rendering import Rendered, rendered
from streamrec.core.replies.rules import ReplyRules, admissible, read_rules
from streamrec.core.replies.templates import template
from streamrec.errors import BadFile, ReplyRefused
from tests.unit.core.replies.briefs import BRIEF, HISTORY, LISTED, PLAN, brief

OTHERS = (
    Item(
        "x1", "Saltmarsh Road (1999)", categories=("western",), attributes={"by": "Ida Lindqvist"}
    ),
    Item("x2", "Up"),
    Item("x3", "Comet Season 2"),
    Item("x4", "Short", categories=("short", "documentary")),
    Item("x5", "Night Ferry Returns"),
)
NO_RULES = ReplyRules()
CATALOGUE = Names((*LISTED, *HISTORY, *OTHERS))


def say(written: str, brief: Brief = BRIEF, rules: ReplyRules = NO_RULES) -> Rendered:
    reply = rendered(brief, written)
    checked(brief, reply, CATALOGUE, rules)
    return reply


def refusal(written: str, brief: Brief = BRIEF, rules: ReplyRules = NO_RULES) -> str:
    with pytest.raises(ReplyRefused) as refused:
        say(written, brief, rules)
    return refused.value.code


@pytest.mark.parametrize(
    "written",
    [
        "Since you had [[A]], try [[1]], a drama with a crime in it.",
        "[[1]] is a good one for tonight!",
        "It is up to you: [[2]] takes 118 minutes.",
        "Two to try: [[1]] and [[2]].",
        "In short, [[4]] is one of the best comedies of 2011.",
        "Try [[3]] with her.",
        "You chose [[A]], so I suggest [[1]].",
        "You liked [[A]] so you may like [[1]].",
        "After [[A]], have a look at [[2]] and [[1]].",
        "Have you seen [[2]]?",
        "You should look after [[3]].",
    ],
)
def test_may_be_said(written: str) -> None:
    say(written)


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("Try [[1]] or saltmarsh road.", Refusal.NAMES_OTHER),
        ("Try [[1]] and Up.", Refusal.NAMES_OTHER),
        ("Try [[2]] 2.", Refusal.NAMES_OTHER),
        ("Try [[1]], as in night ferry returns.", Refusal.NAMES_OTHER),
        ("Try [[3]], a western.", Refusal.FACT),
        ("Try [[3]] if you like documentaries.", Refusal.FACT),
        ("Try [[1]] by Ida Lindqvist.", Refusal.FACT),
        ("Try [[2]], it takes 90 minutes.", Refusal.NUMBER),
        ("Try [[2]], it takes two hours.", Refusal.NUMBER),
        ("Try [[3]] 5.", Refusal.NUMBER),
        ("See example.org for [[1]].", Refusal.LINK),
        ("See https://x/y for [[1]].", Refusal.LINK),
        ("Das ist etwas für dich: [[1]].", Refusal.LANGUAGE),
        ("[[1]].", Refusal.TOO_SHORT),
        ("Try [[1]] " + "and then some more of all that " * 9 + ".", Refusal.TOO_LONG),
        ("[[1]], [[1]] and [[1]] are good.", Refusal.REPEATS),
        ("It is so very good, it is so very good, it is so very good, [[1]].", Refusal.REPEATS),
        ("As you had [[1]] before, try [[2]].", Refusal.NOT_HAD),
        ("Since you chose [[A]] and [[1]], try [[2]].", Refusal.NOT_HAD),
        ("Try [[2]]. After [[1]], it is a good one.", Refusal.NOT_HAD),
        ("You've already seen the quiet harbour, so try [[2]].", Refusal.NOT_HAD),
        ("Tone: warm. Try [[1]].", Refusal.LEAK),
        ("I help people choose from a list. You help people choose from a list: [[1]].", "leak"),
    ],
)
def test_may_not_be_said(written: str, code: str) -> None:
    assert refusal(written) == code


def test_a_title_in_the_model_s_own_words_is_marked() -> None:
    reply = say("After night ferry you may enjoy [[2]] or paper lanterns.")
    assert (reply.items, reply.from_history) == (("f2",), ("f6", "f8"))
    reply = say("Try [[2]], or the quiet harbour.", brief(plan=replace(PLAN, history=False)))
    assert (reply.items, reply.from_history) == (("f2", "f1"), ())


@pytest.mark.parametrize(
    ("written", "language"),
    [
        ("Du hast [[1]] gewählt, das passt zu dir: [[2]].", "de"),
        ("你选过[[1]]，所以我推荐[[2]]。", "zh"),
    ],
)
def test_may_not_be_said_in_other_languages(written: str, language: str) -> None:
    assert refusal(written, brief(language=language)) == Refusal.NOT_HAD


def test_what_is_listed_again_was_had() -> None:
    assert say("As you had [[1]] before, try [[2]].", brief(history=LISTED[:1])).items


def test_a_number_in_another_item_s_title_does_not_count() -> None:
    assert refusal("Try [[1]] of 2011.") == Refusal.NUMBER
    assert say("Try [[4]] of 2011.").items == ("f4",)


@pytest.mark.parametrize("language", ["en", "de", "zh", "xx"])
@pytest.mark.parametrize("plan", PLANS)
def test_templates_pass(language: str, plan: object) -> None:
    asked = brief(plan=plan, language=language)
    checked(asked, template(asked), CATALOGUE, ReplyRules())


RULES = read_rules(
    ["# words", "", "cheap pills", r"/\bbuy +now\b/", "? harbour", "脏话"], "blocked.txt"
)


@pytest.mark.parametrize(
    "written", ["Cheap, PILLS and [[1]].", "Buy  now: [[1]].", "Try [[1]] 这是脏话."]
)
def test_the_blocklist(written: str) -> None:
    assert refusal(written, brief(language="xx"), RULES) == Refusal.BLOCKED
    assert say("Buy it, now or later: [[1]].", rules=RULES).items == ("f1",)


def test_a_blocked_title_is_not_asked_for() -> None:
    bad = Item("bad", "Cheap Pills")
    asked = admissible(brief(listed=(bad, *LISTED), history=(bad,)), RULES)
    assert (asked.listed, asked.history) == (LISTED, ())


def test_a_blocked_category_is_not_said() -> None:
    item = Item("a", "Tin Roof", categories=("cheap pills", "drama"))
    asked = admissible(brief(listed=(item,)), RULES)
    assert [one.categories for one in asked.listed] == [("drama",)]


@pytest.mark.parametrize("line", ["/(/", "/a*/", "!!!", "?", "//"])
def test_a_line_that_says_nothing_is_refused(line: str) -> None:
    with pytest.raises(BadFile, match=r"blocked\.txt:2"):
        read_rules(["fine", line], "blocked.txt")


def test_the_classifier_refuses_from_its_limit_on() -> None:
    def classifier(text: str) -> float:
        return 0.9 if "gun" in text else 0.1

    strict = ReplyRules(classifier=classifier, classified_from=0.9)
    assert refusal("Try [[1]], bring a gun.", rules=strict) == Refusal.CLASSIFIED
    assert say("Try [[1]].", rules=strict).items == ("f1",)


def test_every_six_words_of_the_prompt_are_a_leak() -> None:
    assert refusal(f"Try [[1]]. {FIXED.replace('[', '').replace(']', '')}", brief()) in {
        Refusal.TOO_LONG,
        Refusal.LEAK,
    }
