from __future__ import annotations

import logging

import numpy as np
import pytest

from streamrec.core.state.user_state import UserState
from streamrec.loop.serving.serve import Server
from streamrec.tasks.ranking.lists.explainer import Explainer
from streamrec.tasks.ranking.lists.lists import ListAnswerer
from tests.fakes.explanations import FakeExplanations
from tests.unit.loop.serving import Counter, items, request, update


class Explaining(Counter):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.kept = FakeExplanations()
        self.explain(per_s=1000)
        self.add_items(*items("a", "b", "c", "d"))
        self.model.scores = {"a": 3.0, "b": 2.0, "c": 1.0}
        liked = UserState(history=("unknown", "c", "d"), history_ms=(0, 1, 2), last_seen_ms=77)
        self.set_user("ann", liked)

    def explain(self, per_s: float) -> None:
        explainer = Explainer(self.kept, per_s)
        self.server = Server(
            self.edges,
            ListAnswerer(self.edges, self.mirror, worker_id="serving-1", k=3, explainer=explainer),
        )


@pytest.fixture
def counter() -> Explaining:
    return Explaining()


def test_every_item_says_why_and_the_list_can_be_explained(counter):
    counter.model.parts = {"text": 2.0, "popularity": 1.0}
    [answer] = counter.serve(request("ann", query="a film"))
    # the fake's closest item is the oldest one known
    assert {item.reason for item in answer.items} == {"because you chose title of c"}
    kept = counter.kept.of(answer.recommendation_id)
    assert kept.items == tuple(item.item_id for item in answer.items)
    assert kept.history == ("d", "c")
    assert kept.closeness_KH.shape == (4, 2)
    assert kept.generation == answer.generation
    assert kept.state_position == answer.state_position
    assert kept.query == "a film"
    assert kept.user_seen_ms == 77
    np.testing.assert_allclose(kept.probabilities_K, [i.probability for i in answer.items])
    np.testing.assert_allclose(kept.scores_K, [counter.model.scores.get(i, 0) for i in kept.items])
    assert kept.statistics == {"items-0": 0, "items-1": 4, "events-0": 0, "events-1": 1}


def test_the_last_item_is_named_when_co_occurrences_decide(counter):
    counter.model.parts = {"co-occurrences": 1.0}
    [answer] = counter.serve(update("ann"))
    assert answer.items[0].reason == "often follows title of d"


def test_a_user_without_history_is_told_nothing_of_one(counter):
    counter.model.parts = {"text": 1.0}
    [answer] = counter.serve(request("bob"))
    assert {item.reason for item in answer.items} == {""}
    assert counter.kept.of(answer.recommendation_id).history == ()


def test_lists_go_out_when_explanations_cannot_be_kept(counter, caplog):
    counter.kept.down = True
    with caplog.at_level(logging.WARNING):
        assert counter.serve(request("ann"))
        assert counter.serve(request("ann", "r2", 1))
    assert caplog.text.count("without being explained") == 1
    counter.kept.down = False
    [answer] = counter.serve(request("ann", "r3", 2))
    assert counter.kept.of(answer.recommendation_id)


def test_no_more_are_kept_than_the_rate_allows(counter):
    counter.explain(per_s=2)
    for turn in range(3):
        batch = [request(f"u{n}", f"{turn}-{n}", n) for n in range(5)]
        assert len(counter.serve(*batch)) == 5
    assert len(counter.kept.kept) == 2
    counter.clock.pass_ms(60_000)
    counter.serve(*[request(f"u{n}", f"later-{n}", n) for n in range(5)])
    assert len(counter.kept.kept) == 4
