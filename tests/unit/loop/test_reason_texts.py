"""Reasons in words, for who asks for them."""

from __future__ import annotations

from streamrec.core.events import EXPLORED, Item, RecommendedItem
from streamrec.core.state.catalogue import Catalogue
from streamrec.loop.serving.serve import Server
from streamrec.tasks.ranking.lists.exploration import Exploration
from streamrec.tasks.ranking.lists.list_requests import ListRequest, list_requests_of
from streamrec.tasks.ranking.lists.lists import ListAnswerer
from streamrec.tasks.ranking.lists.reason_texts import with_reason_texts
from tests.unit.loop.serving import Counter, items, request

ITEMS = [Item("a", "Tin Roof", categories=("Drama",)), Item("b", "Brass", categories=("War",))]
LISTED = (
    RecommendedItem("a", 0.5, reason="because you chose Brass"),
    RecommendedItem("b", 0.4, reason="because you chose Nobody's Film"),
    RecommendedItem("gone", 0.3, reason="popular now"),
)


def asked(**fields: object) -> ListRequest:
    (found,), _ = list_requests_of([request("u1", **fields)], 3)
    return found


def texts(history: tuple[str, ...] = ("b", "unheard-of"), **fields: object) -> list[str | None]:
    catalogue = Catalogue()
    catalogue.put(ITEMS)
    found = with_reason_texts(LISTED, asked(**fields), history, catalogue)
    assert [one.reason for one in found] == [one.reason for one in LISTED]
    return [one.reason_text for one in found]


def test_a_reason_speaks_of_what_the_user_had_and_of_nothing_else() -> None:
    assert texts(reasons="text") == ["You chose Brass, which is like it.", None, None]
    assert texts((), reasons="text") == [None, None, None]


def test_it_speaks_the_language_of_the_query() -> None:
    said = texts(reasons="text", query="etwas für heute Abend, nicht zu lang")
    assert said[0] == "Du hast Brass gewählt, das ist ähnlich."


def test_who_does_not_ask_gets_none() -> None:
    assert texts() == [None, None, None]


def test_they_come_with_the_list() -> None:
    counter = Counter()
    counter.add_items(*items("a", "b", "c"))
    counter.answerer = ListAnswerer(
        counter.edges, counter.mirror, worker_id="s", k=1, exploration=Exploration(1.0)
    )
    counter.server = Server(counter.edges, counter.answerer)
    answers = [
        counter.serve(request("u1", f"r{n}", k=1, reasons="text" if n % 2 else ""))[0]
        for n in range(20)
    ]
    drawn = [one for answer in answers[1::2] for one in answer.items if one.reason == EXPLORED]
    assert drawn
    assert {one.reason_text for one in drawn} == {
        "It is something else, to see whether you like it."
    }
    assert all(one.reason_text is None for answer in answers[::2] for one in answer.items)
