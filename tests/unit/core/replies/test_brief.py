"""What a prompt says, and what is left out of it."""

from __future__ import annotations

from dataclasses import replace

from streamrec.core.events import Item
from streamrec.core.replies.brief import FIXED, prompt, slots
from streamrec.core.replies.plan import PLANS
from tests.unit.core.replies.briefs import BRIEF, LISTED, PLAN, brief


def test_a_prompt_says_what_is_asked_and_what_there_is() -> None:
    said = prompt(BRIEF)
    assert said.fixed == FIXED
    assert said.rest.splitlines() == [
        "Asked: a drama by the sea",
        "1: The Quiet Harbour (1994); drama, crime; Two brothers run a ferry.",
        "2: Comet Season; sci-fi; minutes: 118",
        "3: Her; romance",
        "4: Brass Monkeys 3 (2011); comedy",
        "5: Mamma Rosa!; comedy, music",
        "A: Night Ferry (1988); crime",
        "B: It; horror",
        "C: Paper Lanterns; drama",
        f"Language: English. {PLAN.phrase}",
    ]


def test_the_fixed_part_is_the_same_for_every_plan_and_query() -> None:
    told = {prompt(brief(plan=plan, query=query)).fixed for plan in PLANS for query in ("", "x")}
    assert told == {FIXED}


def test_the_history_is_there_where_the_plan_mentions_it() -> None:
    without = brief(plan=replace(PLAN, history=False))
    assert slots(BRIEF) == (*"12345", *"ABC")
    assert slots(without) == tuple("12345")
    assert "Night Ferry" not in prompt(without).rest


def test_more_than_the_slots_is_left_out() -> None:
    many = tuple(Item(f"i{n}", f"Title {n}") for n in range(9))
    assert slots(brief(listed=many, history=many)) == (*"12345", *"ABC")
    assert slots(brief(listed=many[:2], history=())) == ("1", "2")


def test_what_is_long_is_cut() -> None:
    longest = Item("i", "t" * 5_000, "x " * 5_000, ("c" * 500,))
    said = prompt(brief(query="why " * 5_000, listed=(longest,) * 5))
    assert len(said.rest) < 1_800


def test_personal_data_of_a_query_is_hidden() -> None:
    query = "mail ana.b@example.org or call +49 30 1234567, card 4111 1111 1111 1111"
    asked = prompt(brief(query=query)).rest.splitlines()[0]
    assert asked == "Asked: mail (e-mail) or call (phone), card (card)"


def test_a_query_of_nothing_is_told_as_such() -> None:
    assert prompt(brief(query=" \u200b\n")).rest.startswith("Asked: nothing in particular\n1: ")
    assert LISTED[0].title in prompt(BRIEF).rest
