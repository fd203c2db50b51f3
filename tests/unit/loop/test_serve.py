from __future__ import annotations

import math
from dataclasses import replace

import pytest

from streamrec.core.events import Filters, Item, Source, Trigger
from streamrec.core.release.canary import Canary
from streamrec.core.state.user_state import LEADS_MS, Search, UserState
from streamrec.errors import Malformed, Unavailable
from streamrec.loop.serving.serve import Server
from streamrec.loop.serving.traffic_split import OnTrial
from streamrec.ports import Writes
from streamrec.tasks.ranking.lists.exploration import Exploration
from streamrec.tasks.ranking.lists.list_requests import MAX_QUERY_CHARS
from streamrec.tasks.ranking.lists.lists import ListAnswerer
from tests.fakes.serving import FakeModel
from tests.unit.loop.serving import Counter, items, lists, refused, request, shown, update


@pytest.fixture
def counter() -> Counter:
    counter = Counter()
    counter.add_items(*items("a", "b", "c", "d", "e"))
    counter.model.scores = {"a": 5.0, "b": 4.0, "c": 3.0, "d": 2.0, "e": 1.0}
    return counter


def test_the_best_items_come_first_without_what_the_user_consumed(counter) -> None:
    counter.set_user("u1", UserState(history=("b",), consumed=("b",)))
    (answer,) = counter.serve(update("u1"))
    assert shown(answer) == ["a", "c", "d"]
    assert [item.probability for item in answer.items] == pytest.approx(
        [1 / (1 + math.exp(-s)) for s in (5.0, 3.0, 2.0)]
    )


def test_a_list_says_where_it_came_from(counter) -> None:
    counter.set_user("u1", UserState(last_seen_ms=9))
    counter.set_user("u1", UserState(last_seen_ms=10))
    first, second = counter.serve(update("u1", offset=41, at_ms=777), request("u1", "r7"))
    assert (first.trigger, first.trigger_id) == (Trigger.REQUEST, "r7")
    assert (second.trigger, second.trigger_id) == (Trigger.USER_UPDATE, "0-41")
    assert second.triggered_at_ms == 777
    assert first.triggered_at_ms == 1_767_323_044_100
    assert {a.generation for a in (first, second)} == {"g1"}
    assert second.trained_through == {"0": 7}
    assert second.state_position == 2
    assert second.worker_id == "serving-1"
    assert first.served_at_ms == second.served_at_ms == counter.clock.at_ms


def test_answering_again_carries_the_same_id(counter) -> None:
    once = counter.serve(update("u1"), request("u1"))
    again = counter.serve(update("u1"), request("u1"))
    assert [a.recommendation_id for a in once] == [a.recommendation_id for a in again]
    assert len({a.recommendation_id for a in once}) == 2


def test_updates_of_one_user_are_answered_once_for_the_latest(counter) -> None:
    counter.mirror.refresh()
    batch = [update("u1", offset=n) for n in (1, 2, 3)] + [update("u22", offset=9)]
    served = counter.server.serve(batch, counter.model)
    assert sorted(r.trigger_id for r in lists(served)) == ["0-3", "1-9"]
    assert served.coalesced == 2


def test_every_request_is_answered(counter) -> None:
    answers = counter.serve(*(request("u1", f"r{n}", n) for n in range(5)))
    assert sorted(a.trigger_id for a in answers) == [f"r{n}" for n in range(5)]
    assert len(counter.model.asked) == 1  # and its user is ranked once


def test_users_are_read_from_their_own_partition(counter) -> None:
    counter.set_user("u1", UserState(consumed=("a",), history=("a",)))
    counter.set_user("u22", UserState(consumed=("c",), history=("c",)))
    one, two = counter.serve(update("u1"), update("u22"))
    assert shown(one) == ["b", "c", "d"]
    assert shown(two) == ["a", "b", "d"]


def test_someone_never_seen_is_answered_too(counter) -> None:
    (answer,) = counter.serve(request("stranger"))
    assert shown(answer) == ["a", "b", "c", "d", "e"]
    assert counter.model.asked == [((), 0)]


def test_now_is_the_event_time_of_statistics_or_the_user_if_later(counter) -> None:
    counter.store.commit(Source("events", 0), 0, 1, Writes(rows={"c": {"n": 1, "t": 5_000}}))
    counter.set_user("u1", UserState(last_seen_ms=4_000))
    counter.set_user("u3", UserState(last_seen_ms=6_000))
    counter.serve(update("u1"), update("u3"))
    assert [at for _, at in counter.model.asked] == [5_000, 6_000]


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({"k": 2}, ["a", "b"]),
        ({"candidates": ("e", "c", "nowhere")}, ["c", "e"]),
        ({"filters": Filters(exclude_items=("a", "b", "zzz"))}, ["c", "d", "e", "f", "g"]),
        ({"filters": Filters(categories=("film", "book"))}, ["f", "g"]),
        ({"filters": Filters(categories=("book",))}, ["g"]),
        ({"filters": Filters(attributes={"lang": "fr"})}, ["f"]),
        ({"filters": Filters(attributes={"lang": "fr", "year": "2013"})}, []),
        ({"filters": Filters(categories=("book",)), "candidates": ("a",)}, []),
    ],
)
def test_a_request_gets_what_passes_its_filters(counter, wish, expected) -> None:
    counter.add_items(
        Item("f", "f", categories=("film",), attributes={"lang": "fr"}),
        Item("g", "g", categories=("book", "poem")),
        Item("gone", "gone", categories=("book",), available=False),
    )
    counter.model.scores["gone"] = 9.0
    (answer,) = counter.serve(request("u1", **wish))
    assert shown(answer) == expected


def test_an_unavailable_item_is_not_shown_from_the_next_refresh_on(counter) -> None:
    assert shown(counter.serve(update("u1"))[0])[0] == "a"
    counter.add_items(Item("a", "title of a", available=False))
    assert shown(counter.serve(update("u1"))[0])[0] == "b"


def test_a_new_item_is_recommended_without_a_restart(counter) -> None:
    counter.serve(update("u1"))
    counter.add_items(*items("new"))
    counter.model.scores["new"] = 99.0
    assert shown(counter.serve(update("u1"))[0])[0] == "new"


def test_a_query_text_moves_what_it_speaks_of_to_the_front(counter) -> None:
    counter.model.similar = {"about e": {"e": 9.0}}
    answers = counter.serve(request("u1", "r1", query="about e"), request("u1", "r2"))
    by_id = {a.trigger_id: shown(a) for a in answers}
    assert by_id["r1"][0] == "e"
    assert by_id["r2"][0] == "a"


def test_the_turns_before_are_read_with_what_is_asked_now(counter) -> None:
    counter.serve(
        request("u1", "r1", query="no, older", context=("a quiet film?", "Amélie, maybe"))
    )
    assert counter.model.queries == ["a quiet film? Amélie, maybe no, older"]


def test_who_searched_a_moment_ago_is_answered_with_it(counter) -> None:
    counter.model.similar = {"about e": {"e": 9.0}}
    searched = UserState(searches=(Search(1_000, "about e"),), last_seen_ms=2_000)
    counter.set_user("u1", searched)
    assert shown(counter.serve(update("u1"))[0])[0] == "e"
    counter.set_user("u1", replace(searched, last_seen_ms=1_001 + LEADS_MS))
    assert shown(counter.serve(update("u1"))[0])[0] == "a"


def test_a_score_that_is_not_a_number_is_never_shown(counter) -> None:
    counter.model.scores |= {"a": math.nan, "c": math.inf}
    assert shown(counter.serve(request("u1"))[0]) == ["b", "d", "e"]


def test_of_equals_the_first_in_the_catalogue_is_shown_first(counter) -> None:
    counter.model.scores = {}
    (answer,) = counter.serve(request("u1", k=3))
    assert shown(answer) == [counter.mirror.catalogue.item(row).item_id for row in range(3)]


def test_with_an_empty_catalogue_requests_get_an_empty_list_and_updates_none() -> None:
    counter = Counter()
    counter.mirror.refresh()
    served = counter.server.serve([update("u1"), request("u1")], counter.model)
    assert [(r.trigger, r.items) for r in lists(served)] == [(Trigger.REQUEST, ())]
    assert served.skipped == 1


def test_a_refused_message_goes_to_the_dead_letters_and_its_neighbours_are_answered(
    counter,
) -> None:
    answers = counter.serve(update("u1"), refused(Malformed("not Avro, not JSON")), request("u1"))
    assert len(answers) == 2
    (letter,) = (
        counter.codec.decode("dead-letter", value)
        for value in counter.publisher.values("dead-letter")
    )
    assert (letter.topic, letter.partition, letter.offset) == ("requests", 1, 3)
    assert (letter.value, letter.code) == (b"not a request", "malformed")
    assert "not Avro" in letter.reason


def test_a_list_too_large_for_a_message_is_refused_and_its_neighbours_are_answered(counter) -> None:
    counter.publisher.max_bytes = 300
    counter.add_items(*items(*(f"item with a long name {n}" for n in range(20))))
    answers = counter.serve(request("u1", "huge", k=20), request("u1", "small", 1, k=1))
    assert [a.trigger_id for a in answers] == ["small"]
    (value,) = counter.publisher.values("dead-letter")
    assert counter.codec.decode("dead-letter", value).code == "too-large"


def test_nothing_is_published_when_the_store_is_away(counter) -> None:
    def away(*_: object) -> None:
        raise Unavailable("Redis is away")

    counter.store.read_users = away
    with pytest.raises(Unavailable):
        counter.serve(update("u1"))
    assert counter.published == []


def test_a_canary_answers_its_share_and_the_champion_the_others(counter) -> None:
    counter.mirror.refresh()
    canary = on_trial(counter, FakeModel("g2", counter.mirror.catalogue, {"e": 9.0}))
    batch = [request(f"user{n}", f"r{n}", n) for n in range(40)]
    served = counter.server.serve(batch, counter.model, canary)
    assert len(served.answers) == 40
    for answer in lists(served):
        chosen = canary.rule.gets(answer.user_id)
        assert answer.generation == ("g2" if chosen else "g1")
        assert shown(answer)[0] == ("e" if chosen else "a")
    assert {answer.generation for answer in lists(served)} == {"g1", "g2"}


def test_a_canary_that_fails_costs_nobody_a_list(counter) -> None:
    class Broken(FakeModel):
        def rank(self, *_: object) -> None:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    counter.mirror.refresh()
    canary = on_trial(counter, Broken("g2", counter.mirror.catalogue))
    batch = [request(f"user{n}", f"r{n}", n) for n in range(40)]
    served = counter.server.serve(batch, counter.model, canary)
    assert {answer.generation for answer in lists(served)} == {"g1"}
    assert len(served.answers) == 40
    assert served.faults == {"g2": sum(canary.rule.gets(f"user{n}") for n in range(40))}


def test_empty_lists_are_counted_by_generation(counter) -> None:
    counter.model.scores = dict.fromkeys("abcde", math.nan)
    counter.mirror.refresh()
    served = counter.server.serve([update("u1"), request("u22")], counter.model)
    assert (served.empty, served.skipped) == ({"g1": 2}, 1)


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ({"filters": Filters(categories=("nowhere",))}, "filters"),
        ({"filters": Filters(attributes={"colour": "red"})}, "filters"),
        ({"filters": Filters(exclude_items=tuple("abcde"))}, "filters"),
        ({"candidates": ("unknown", "gone")}, "candidates"),
        ({"candidates": ("a",), "filters": Filters(exclude_items=("a",))}, "filters"),
    ],
)
def test_what_nobody_could_answer_is_told_and_nobody_s_fault(counter, wish, why) -> None:
    counter.mirror.refresh()
    served = counter.server.serve([request("u1", **wish), request("u1", "r2", 1)], counter.model)
    empty, full = lists(served)
    assert (empty.items, len(full.items), full.reply) == ((), 5, None)
    assert why in empty.reply
    assert (+served.empty, served.unmet) == ({}, {why: 1})
    assert [(one.empty, one.unmet) for one in served.answers] == [(False, True), (False, False)]


@pytest.mark.parametrize("length", [MAX_QUERY_CHARS, MAX_QUERY_CHARS + 1, 720_000])
def test_of_a_long_query_the_end_is_read_and_the_answer_says_so(counter, length) -> None:
    (answer,) = counter.serve(request("u1", query="b" + "q" * (length - 1)))
    assert len(answer.items) == 5
    [read] = counter.model.queries
    assert len(read) == MAX_QUERY_CHARS
    assert read.startswith("b") == (length == MAX_QUERY_CHARS)
    told = f"only the last 1,000 of the query's {length:,} characters were read"
    assert answer.reply == (told if length > MAX_QUERY_CHARS else None)


def test_who_has_had_everything_is_told_so_and_no_list_is_missed(counter) -> None:
    counter.set_user("u1", UserState(consumed=tuple("abcde")))
    (answer,) = counter.serve(request("u1"))
    assert (answer.items, "had every item" in answer.reply) == ((), True)
    served = counter.server.serve([update("u1")], counter.model)
    assert (+served.empty, served.unmet, served.skipped) == ({}, {"consumed": 1}, 1)


def test_an_exploring_list_says_how_likely_each_item_was(counter) -> None:
    counter.mirror.refresh()
    rule = Exploration(0.5, 2)
    server = Server(
        counter.edges,
        ListAnswerer(counter.edges, counter.mirror, worker_id="s", k=3, exploration=rule),
    )
    batch = [update("u1", offset=n) for n in range(40)]
    lists = [server.serve([one], counter.model).answers[0].value for one in batch]
    for answer in lists:
        assert shown(answer)[:2] == ["a", "b"]
        assert [item.propensity for item in answer.items[:2]] == [1.0, 1.0]
        last = answer.items[2]
        expected = {"c": (0.75, ""), "d": (0.25, "explore")}[last.item_id]
        assert (last.propensity, last.reason) == expected
    assert {answer.items[2].item_id for answer in lists} == {"c", "d"}
    again = server.serve([batch[7]], counter.model).answers[0].value
    assert again.items == lists[7].items


def on_trial(counter: Counter, model: FakeModel) -> OnTrial:
    return OnTrial(model, Canary(model.generation, 0.4, "salt", 0))
