"""Whatever an item or a query says, a prompt and a reply keep their form."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace

import pytest

from streamrec.core.events import Item
from streamrec.core.replies.brief import FIXED, Brief, prompt, slots
from streamrec.core.replies.checks import checked
from streamrec.core.replies.foreign import as_data, has_link, shown
from streamrec.core.replies.language import language_of
from streamrec.core.replies.names import Names
from streamrec.core.replies.plan import Length, Plan, Tone
from streamrec.core.replies.rendering import Rendered, rendered, title_of
from streamrec.core.replies.rules import ReplyRules
from streamrec.core.replies.templates import reason_in_words, template
from tests.unit.core.replies.briefs import HISTORY, LISTED
from tests.unit.core.replies.hostile import HOSTILE, LINKS, ORDERS, PERSONAL

PLAN = Plan(Tone.WARM, Length.LONG, history=True, named=2, question=True)
PLACES = ("query", "title", "text", "category", "attribute", "name", "id", "history")
IDS = [f"{at}-{text[:12]!a}" for at, text in enumerate(HOSTILE)]
WRITTEN = "Since you had [[A]], you may enjoy [[1]] or [[2]]. How about that?"


def hostile(place: str, text: str) -> Brief:
    """A brief that has the text there."""
    first, had = LISTED[0], HISTORY[0]
    changed = {
        "title": replace(first, title=text),
        "text": replace(first, text=text),
        "category": replace(first, categories=(text, "drama")),
        "attribute": replace(first, attributes={"by": text}),
        "name": replace(first, attributes={text: "x"}),
        "id": replace(first, item_id=text, title=""),
    }.get(place, first)
    had = replace(had, title=text) if place == "history" else had
    query = text if place == "query" else "a drama by the sea"
    return Brief(query, (changed, *LISTED[1:]), (had, *HISTORY[1:]), PLAN)


@pytest.mark.parametrize("text", HOSTILE, ids=IDS)
def test_a_prompt_and_a_reply_keep_their_form(text: str) -> None:
    for place in PLACES:
        asked = hostile(place, text)
        the_prompt_keeps_its_form(asked)
        the_reply_keeps_its_form(asked)


def the_prompt_keeps_its_form(asked: Brief) -> None:
    said = prompt(asked)
    assert said.fixed == FIXED
    assert slots(asked) == (*"12345", *"ABC")
    lines = said.rest.split("\n")
    starts = [re.match(r"[A-Za-z0-9]+: ", line) for line in lines]
    assert [start and start[0] for start in starts] == [
        *("Asked: ", "1: ", "2: ", "3: ", "4: ", "5: ", "A: ", "B: ", "C: ", "Language: ")
    ]
    assert lines[-1] == f"Language: English. {PLAN.phrase}"
    assert max(map(len, lines)) <= 210
    assert not set(said.rest) & set('[]{}<>|`#"\\*=~')
    assert steers(said.rest.replace("\n", "")) == []


def the_reply_keeps_its_form(asked: Brief) -> None:
    names = Names((*asked.listed, *asked.history))
    for reply in (rendered(asked, WRITTEN), template(asked)):
        checked(asked, reply, names, ReplyRules())
        assert reply.items[:2] == (asked.listed[0].item_id, "f2")
        assert reply.from_history[0] == "f6"
        assert form(reply, asked)
    assert form(rendered(asked, WRITTEN), asked) == (
        "Since you had A, you may enjoy 1 or 2. How about that?"
    )


def form(reply: Rendered, asked: Brief) -> str:
    """The reply with each title replaced by its slot; every title is what it should be."""
    by_id = {item.item_id: slot for slot, item in asked.by_slot.items()}
    text, at = "", 0
    for start, end, item_id in reply.spans:
        title = reply.text[start:end]
        item = asked.by_slot[by_id[item_id]]
        assert title == title_of(item)
        assert 0 < len(title) <= 120
        assert steers(title) == []
        assert not has_link(title)
        assert "[[" not in title
        assert "<" not in title
        text, at = text + reply.text[at:start] + by_id[item_id], end
    return text + reply.text[at:]


def steers(text: str) -> list[str]:
    """Controls, marks of direction, characters of no width, private ones."""
    return [letter for letter in text if unicodedata.category(letter)[0] == "C"]


@pytest.mark.parametrize("text", [*LINKS, *PERSONAL])
def test_links_and_personal_data_are_in_neither(text: str) -> None:
    for said in (shown(text), as_data(text, 200)):
        assert "(link)" in said or "(e-mail)" in said or "(phone)" in said or "(card)" in said
        assert not re.search(r"evil\.|@|1234567|123-4567|1111", said, re.I)


@pytest.mark.parametrize("text", HOSTILE, ids=IDS)
def test_every_way_of_reading_takes_them(text: str) -> None:
    assert as_data(as_data(text, 100), 100) == as_data(text, 100)
    assert shown(shown(text)) == shown(text)
    language_of(text)
    names = Names([Item("x", text)])
    assert all(match.items == {"x"} for match in names.named(text[:300]))
    for reason in (text, f"because you chose {text}", f"often follows {text}"):
        said = reason_in_words(reason, LISTED[0], (Item("x", text),))
        assert not has_link(said)
        assert steers(said) == []


def test_an_order_in_a_title_is_a_title() -> None:
    for order in ORDERS:
        assert title_of(Item("x", order)) == order
