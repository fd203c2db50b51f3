"""Briefs for tests: five films on a list, three in a history."""

from __future__ import annotations

from dataclasses import replace

from streamrec.core.events import Item
from streamrec.core.replies.brief import Brief
from streamrec.core.replies.plan import Length, Plan, Tone


def film(number: int, title: str, *kinds: str, text: str = "", **attributes: str) -> Item:
    return Item(f"f{number}", title, text, kinds, attributes)


LISTED = (
    film(1, "The Quiet Harbour (1994)", "drama", "crime", text="Two brothers run a ferry."),
    film(2, "Comet Season", "sci-fi", minutes="118"),
    film(3, "Her", "romance"),
    film(4, "Brass Monkeys 3 (2011)", "comedy"),
    film(5, "Mamma Rosa!", "comedy", "music"),
)
HISTORY = (
    film(6, "Night Ferry (1988)", "crime"),
    film(7, "It", "horror"),
    film(8, "Paper Lanterns", "drama"),
)
PLAN = Plan(Tone.PLAIN, Length.SHORT, history=True, named=1, question=False)
BRIEF = Brief("a drama by the sea", LISTED, HISTORY, PLAN)


def brief(**changed: object) -> Brief:
    return replace(BRIEF, **changed)
