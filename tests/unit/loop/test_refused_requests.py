"""A request that is refused is answered with its id and the reason; what is not known is told."""

from __future__ import annotations

import json

import pytest

from streamrec.errors import Refused
from streamrec.ports import Delivered
from tests.harness.codec import wire_codec
from tests.unit.loop.serving import Counter, items, request, shown

CODEC = wire_codec()
WISH = {"request_id": "r1", "user_id": "ann", "requested_at": 1_767_323_044_000}


@pytest.fixture
def counter() -> Counter:
    counter = Counter()
    counter.add_items(*items("a", "b"))
    return counter


def delivered(fields: dict) -> Delivered:
    """As the feed hands it over."""
    data = json.dumps(fields).encode()
    try:
        value = CODEC.decode("requests", data)
    except Refused as refused:
        value = refused
    return Delivered("requests", 0, 7, 1_767_323_044_100, b"ann", data, value)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"k": 0}, "refused: k is 0; expected a whole number from 1"),
        ({"requested_at": "yesterday"}, "refused: requested_at is 'yesterday'"),
        ({"filters": "drama"}, "refused: filters is 'drama'; expected an object"),
        ({"filters": {"attributes": {"a": {}}}}, "refused: filters.attributes.a is {}"),
        ({"candidates": ["x"] * 10_001}, "refused: candidates has 10,001 entries"),
        ({"request_id": 7, "k": -1}, "refused: k is -1"),
    ],
)
def test_a_refused_request_is_answered_with_its_id_and_the_reason(counter, wrong, reason):
    good, (answer,) = request("bob", "r2"), counter.serve(delivered({**WISH, **wrong}))
    assert answer.trigger_id == str(wrong.get("request_id", "r1"))
    assert answer.recommendation_id == f"request:{answer.trigger_id}"
    assert (answer.user_id, answer.items) == ("ann", ())
    assert answer.reply.startswith(reason)
    [letter] = counter.publisher.values("dead-letter")
    assert reason.removeprefix("refused: ") in CODEC.decode("dead-letter", letter).reason
    assert shown(counter.serve(good)[0]) == ["a", "b"]


def test_a_refused_request_counts_neither_for_nor_against_a_generation(counter):
    counter.mirror.refresh()
    served = counter.server.serve([delivered({**WISH, "k": 0})], counter.model)
    assert dict(served.unmet) == {"refused": 1}
    assert not sum(served.empty.values())
    assert [answer.unmet for answer in served.answers] == [True]


def test_a_request_without_a_user_is_answered_too(counter):
    (answer,) = counter.serve(delivered({**WISH, "user_id": None}))
    assert (answer.trigger_id, answer.user_id) == ("r1", "")
    assert answer.reply.startswith("refused: user_id is missing")


@pytest.mark.parametrize("bad", [{**WISH, "request_id": None}, {"request_id": ""}, {}])
def test_who_does_not_say_who_they_are_gets_a_dead_letter_alone(counter, bad):
    assert counter.serve(delivered(bad)) == []
    assert len(counter.publisher.values("dead-letter")) == 1


def test_unknown_fields_are_told_and_the_list_is_made(counter):
    wish = {**WISH, "user": "x", "K": 3, "filters": {"category": "drama"}}
    (answer,) = counter.serve(delivered(wish))
    assert shown(answer) == ["a", "b"]
    assert answer.reply == "unknown fields were not looked at: user, K, filters.category"


def test_a_thousand_unknown_fields_are_told_shortly(counter):
    many = {f"{n}" * 100: n for n in range(1_000)}
    (answer,) = counter.serve(delivered({**WISH, **many, "query": "x" * 2_000}))
    assert len(answer.reply) < 1_000
    assert "only the last 1,000" in answer.reply


def test_what_is_known_is_not_told(counter):
    filters = {"categories": [], "exclude_items": [], "attributes": {}}
    rest = {"k": 1, "query": None, "filters": filters, "candidates": [], "reply": False}
    (answer,) = counter.serve(delivered({**WISH, **rest}))
    assert answer.reply is None
