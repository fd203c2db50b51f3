"""Candidates, then exact scores: what is found, what never is, and what is said of it."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from streamrec.core.events import Filters, Item
from streamrec.core.state.user_state import NEW_USER
from streamrec.settings import Scored
from streamrec.tasks.ranking.candidates.generators import FEW
from streamrec.tasks.ranking.candidates.recall import REMEMBERED, RecallMeter, recall
from streamrec.tasks.ranking.candidates.switch import EXACT_ITEMS, candidates_from
from streamrec.tasks.ranking.lists.eligibility import eligible
from streamrec.tasks.ranking.lists.model_ports import PoolRequest
from tests.unit.tasks.ranking.candidate_world import ITEMS, USERS, CandidateWorld

EVERYBODY = [f"u{n}" for n in range(USERS)]


@pytest.fixture(scope="module")
def read_only(tmp_path_factory: pytest.TempPathFactory) -> CandidateWorld:
    return CandidateWorld(tmp_path_factory.mktemp("candidates"))


@pytest.fixture
def world(tmp_path) -> CandidateWorld:
    return CandidateWorld(tmp_path)


def test_lists_are_those_of_the_exact_ranking_but_for_a_few(read_only: CandidateWorld) -> None:
    same = [
        len({*read_only.listed(user)} & {*read_only.listed(user, read_only.exact)}) / 10
        for user in [*EVERYBODY, "somebody new"]
    ]
    assert np.mean(same) >= 0.95


def test_a_candidate_scores_what_it_scores_among_all(read_only: CandidateWorld) -> None:
    users = [read_only.state(user) for user in (*EVERYBODY[:5], "somebody new")]
    with read_only.mirror.view() as view:
        asked = [PoolRequest(user, view.watermark_ms, 10, "name7 of3") for user in users]
        found = read_only.model.candidates(asked, view.features)
        now_ms = [view.watermark_ms] * len(users)
        ranking = read_only.exact.ranking(users, now_ms, view.features)
        added = read_only.exact.asked_for(ranking, range(len(users)), ["name7 of3"] * len(users))
        chosen = np.repeat(np.arange(len(users), dtype=np.int32), 3)
        rows = np.concatenate([some[:3] for some in found.rows])
        ours, theirs = found.account(chosen, rows), ranking.account(chosen, rows)
        alone = read_only.model.exact(users[0], view.watermark_ms, view.features)
    for b, rows_R in enumerate(found.rows):
        np.testing.assert_allclose(found.scores[b], ranking.scores_BN[b, rows_R], atol=1e-4)
        np.testing.assert_allclose(found.asked[b], added[b, rows_R], atol=1e-4)
    np.testing.assert_allclose(alone, ranking.scores_BN[0], atol=1e-4)
    np.testing.assert_allclose(ours.raw_TD, theirs.raw_TD, atol=1e-3)
    np.testing.assert_allclose(ours.parts_TG, theirs.parts_TG, atol=1e-3)
    np.testing.assert_allclose(ours.closeness_TH, theirs.closeness_TH, atol=1e-5)


def test_not_every_item_is_a_candidate(read_only: CandidateWorld) -> None:
    with read_only.mirror.view() as view:
        asked = [PoolRequest(read_only.state("u1"), view.watermark_ms, 10)]
        (rows,) = read_only.model.candidates(asked, view.features).rows
    assert 300 <= len(rows) < ITEMS / 2
    assert (np.diff(rows) > 0).all()


def test_a_filter_that_leaves_three_finds_the_three(world: CandidateWorld) -> None:
    for n in (17, 1_234, 2_987):
        world.put(Item(f"i{n}", "", attributes={"kept": "yes"}))
    found = world.listed("u1", filters=Filters(attributes={"kept": "yes"}))
    consumed = world.state("u1").consumed
    assert {*found} == {"i17", "i1234", "i2987"} - {*consumed}


def test_a_filter_that_leaves_many_keeps_to_them(read_only: CandidateWorld) -> None:
    left = [f"i{n}" for n in range(ITEMS) if n % 5]
    assert len(left) > FEW
    asked = {"filters": Filters(exclude_items=tuple(f"i{n}" for n in range(0, ITEMS, 5)))}
    found = read_only.listed("u2", **asked)
    assert len(found) == 10
    assert {*found} <= {*left}
    exact = read_only.listed("u2", read_only.exact, **asked)
    assert len({*found} & {*exact}) >= 8


def test_named_candidates_are_the_list(read_only: CandidateWorld) -> None:
    consumed = {*read_only.state("u3").consumed}
    asked = [f"i{n}" for n in range(2_500, 2_600, 7)]
    found = read_only.listed("u3", k=50, candidates=(*asked, "nobody knows it"))
    assert {*found} == {*asked} - consumed
    assert found == read_only.listed("u3", read_only.exact, k=50, candidates=(*asked, "x"))


def test_more_are_asked_for_than_there_are_candidates(read_only: CandidateWorld) -> None:
    consumed = {*read_only.state("u4").consumed}
    assert len(read_only.listed("u4", k=ITEMS)) == ITEMS - len(consumed)


def test_a_removed_item_never_comes_back(world: CandidateWorld) -> None:
    first = world.listed("u5")
    for item_id in first:
        world.put(None, item_id)
    again = world.listed("u5")
    assert len(again) == 10
    assert not {*first} & {*again}
    assert not {*first} & {*world.listed("u5", query=first[0], k=500)}


def test_a_new_item_is_found_at_once(world: CandidateWorld) -> None:
    world.put(Item("new", "a quiet film about lighthouses", categories=("c1",)))
    with world.mirror.view() as view:
        asked = [PoolRequest(NEW_USER, view.watermark_ms, 10, "a quiet film about lighthouses")]
        (rows,) = world.model.candidates(asked, view.features).rows
        assert "new" in view.catalogue.ids(rows)


def test_a_named_item_is_a_candidate(read_only: CandidateWorld) -> None:
    title = read_only.mirror.catalogue.item(2_345).title
    with read_only.mirror.view() as view:
        asked = [PoolRequest(read_only.state("u6"), view.watermark_ms, 10, f"like {title}")]
        (rows,) = read_only.model.candidates(asked, view.features).rows
    assert 2_345 in rows


def test_why_nothing_fits_is_said(read_only: CandidateWorld) -> None:
    (answer,) = read_only.answers("u1", filters=Filters(categories=("none has it",)))
    assert answer.unmet
    assert "filters leave no item" in answer.value.reply


def test_generations_swapped_meanwhile_never_share_a_list(world: CandidateWorld) -> None:
    """Each list is, from its first to its last item, that of the generation it names."""
    other = world.generation("other", 1)
    wanted = {id(model): world.listed("u7", model) for model in (world.model, other)}
    stop, wrong = threading.Event(), []

    def refresh() -> None:
        while not stop.is_set():
            world.answerer.refresh()

    thread = threading.Thread(target=refresh)
    thread.start()
    try:
        for turn in range(20):
            model = (world.model, other)[turn % 2]
            (answer,) = world.answers("u7", model)
            found = [one.item_id for one in answer.value.items]
            if found != wanted[id(model)] or answer.generation != model.generation:
                wrong.append(turn)
    finally:
        stop.set()
        thread.join()
    assert wrong == []


def test_recall_is_measured_of_a_sample(world: CandidateWorld) -> None:
    assert world.answerer.gauges == {}
    world.listed("u8")
    world.answerer.refresh()
    gauges = world.answerer.gauges
    assert gauges["recall_lists"] == 1
    with world.mirror.view() as view:
        asked = PoolRequest(world.state("u8"), view.watermark_ms, 10)
        allowed_N = eligible(view.catalogue, len(view.catalogue), asked.user.consumed)
        found = recall(asked, world.model, view.features, lambda _: allowed_N)
    assert gauges["recall_at_10"] == pytest.approx(found)


def test_measuring_takes_a_small_part_of_the_time(world: CandidateWorld) -> None:
    now_s = [0.0]

    def timer() -> float:
        now_s[0] += 1.0  # a look at the clock a second: a measurement takes one
        return now_s[0]

    meter = RecallMeter(timer)
    allowed_N = np.ones(len(world.mirror.catalogue), np.bool_)
    with world.mirror.view() as view:
        for _ in range(200 * REMEMBERED):
            meter.offer(PoolRequest(NEW_USER, view.watermark_ms, 10), world.model)
        for _ in range(15):
            meter.measure(view.features, lambda _: allowed_N)
            meter.offer(PoolRequest(NEW_USER, view.watermark_ms, 10), world.model)
    assert meter.gauges["recall_lists"] == 1


def test_the_switch() -> None:
    assert candidates_from(Scored.AUTO) == EXACT_ITEMS + 1
    assert candidates_from(Scored.EXACT) is None
    assert candidates_from(Scored.CANDIDATES) == 1
