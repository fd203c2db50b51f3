"""Lists that keep to what was understood of a query, where a reply is wanted."""

from __future__ import annotations

from typing import NoReturn

import pytest

from streamrec.core.events import Item, Recommendation
from streamrec.loop.serving.serve import Server
from streamrec.tasks.ranking.lists import asked
from streamrec.tasks.ranking.lists.lists import ListAnswerer
from streamrec.tasks.ranking.lists.shown_lists import ShownLists
from tests.unit.loop.serving import Counter, request, shown

FILMS = {"a": "Horror", "b": "Horror", "c": "Comedy", "d": "Drama"}


@pytest.fixture
def counter() -> Counter:
    counter = Counter()
    counter.add_items(
        *(Item(one, f"film {one}", categories=(kind,)) for one, kind in FILMS.items())
    )
    counter.model.scores = {"a": 5.0, "b": 4.0, "c": 3.0, "d": 2.0}
    return counter


def ask(counter: Counter, query: str, **fields: object) -> Recommendation:
    counter.answerer.refresh()
    (answer,) = counter.serve(request("u1", query=query, **fields))
    return answer


def learn_the_words(counter: Counter) -> Recommendation:
    return ask(counter, "not horror", reply=True)


def test_the_first_question_makes_the_words_and_is_answered_without_them(counter) -> None:
    first = learn_the_words(counter)
    assert shown(first) == ["a", "b", "c", "d"]
    assert first.understood == asked.Unread.EARLY.said
    assert counter.served.unread == {"early": 1}


def test_where_replies_are_expected_the_first_question_is_understood(counter) -> None:
    expected = iter([False, True])
    with_reader(counter, asked.QueryReader(expected=lambda: next(expected)))
    counter.answerer.refresh()
    counter.clock.pass_ms(asked.EXPECTED_EVERY_MS)
    assert learn_the_words(counter).understood == "not Horror"
    assert not counter.served.unread


def test_words_of_a_catalogue_that_has_doubled_are_made_at_once(counter) -> None:
    learn_the_words(counter)
    counter.answerer.refresh()
    more = [Item(f"w{n}", f"film {n}", categories=("Western",)) for n in range(4)]
    counter.add_items(*more)
    assert ask(counter, "a western", reply=True).understood == "Western"


def test_who_wants_no_horror_gets_none_and_is_told(counter) -> None:
    learn_the_words(counter)
    answer = ask(counter, "not horror", reply=True)
    assert shown(answer) == ["c", "d"]
    assert answer.understood == "not Horror"


def test_the_best_that_fit_are_shown(counter) -> None:
    learn_the_words(counter)
    assert shown(ask(counter, "horror", reply=True, k=1)) == ["a"]


def test_where_nothing_fits_the_list_is_whole_and_says_so(counter) -> None:
    learn_the_words(counter)
    answer = ask(counter, "horror", reply=True, candidates=("c", "d"))
    assert shown(answer) == ["c", "d"]
    assert answer.understood == f"Horror; {asked.NOTHING}"


def test_a_turn_goes_on_from_those_before(counter) -> None:
    learn_the_words(counter)
    answer = ask(counter, "and no drama", reply=True, context=("not horror",))
    assert shown(answer) == ["c"]


class Conversations:
    """As Redis keeps them: the first list of its id stands."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], list[dict[str, object]]] = {}

    def lists(self, user: str, conversation: str) -> list[dict[str, object]]:
        return self.kept.get((user, conversation), [])

    def add(self, user: str, conversation: str, one: dict[str, object]) -> None:
        known = self.kept.setdefault((user, conversation), [])
        if all(k["recommendation_id"] != one["recommendation_id"] for k in known):
            known.append(one)


def test_not_that_is_what_was_shown_before_it_and_again_the_same(counter) -> None:
    kept = Conversations()
    with_reader(counter, asked.QueryReader(), ShownLists(kept.lists, kept.add))
    learn_the_words(counter)
    turns: list[str] = []

    def say(query: str, number: int) -> list[str]:
        answer = ask(
            counter, query, request_id=f"q{number}", reply=True, k=1,
            conversation_id="c", context=tuple(turns),
        )  # fmt: skip
        return list(shown(answer))

    assert say("a film", 1) == ["a"]
    turns.append("a film")
    assert say("not that", 2) == ["b"]
    assert say("not that", 2) == ["b"], "answered again after a crash"
    turns.append("not that")
    assert say("not that either", 3) == ["c"]
    assert all("query" in one and "film" not in str(one["query"]) for one in kept.lists("u1", "c"))


def with_reader(
    counter: Counter, reader: asked.QueryReader, shown_lists: ShownLists | None = None
) -> None:
    counter.answerer = ListAnswerer(
        counter.edges, counter.mirror, worker_id="serving-1", k=3, reader=reader,
        shown=shown_lists,
    )  # fmt: skip
    counter.server = Server(counter.edges, counter.answerer)


def broken(*_: object) -> NoReturn:
    raise ValueError


def test_without_a_reply_nothing_is_read_and_no_words_are_made(counter, caplog) -> None:
    with_reader(counter, asked.QueryReader(broken, broken))
    for _ in range(2):
        answer = ask(counter, "not horror")
        assert (shown(answer), answer.understood) == (["a", "b", "c", "d"], None)
    assert not caplog.text


@pytest.mark.parametrize(
    ("reader", "told", "why"),
    [
        (asked.QueryReader(reads=broken), "could not be understood", asked.Unread.FAILED),
        (asked.QueryReader(broken), "could not be made", asked.Unread.NO_WORDS),
    ],
)
def test_what_cannot_be_read_costs_no_list_and_is_counted(
    counter, caplog, reader, told, why
) -> None:
    with_reader(counter, reader)
    learn_the_words(counter)
    answer = ask(counter, "not horror", reply=True)
    assert (shown(answer), answer.understood) == (["a", "b", "c", "d"], why.said)
    assert counter.served.unread == {why: 1}
    assert told in caplog.text


def test_new_words_are_learned_after_a_while(counter) -> None:
    learn_the_words(counter)
    counter.answerer.refresh()
    counter.add_items(Item("e", "film e", categories=("Western",)))
    assert ask(counter, "not western", reply=True).understood is None
    counter.clock.pass_ms(asked.MADE_EVERY_MS)
    assert ask(counter, "a western", reply=True).understood == "Western"
