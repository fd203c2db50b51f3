"""Latency, freshness and mix-ups, from messages alone."""

from __future__ import annotations

import pytest

from streamrec.core.events import (
    Interaction,
    Kind,
    Recommendation,
    RecommendedItem,
    Trigger,
    UserUpdate,
)
from streamrec.core.measures.percentiles import percentiles
from streamrec.core.release.generation_walk import GenerationWalk
from streamrec.core.release.registry import Action, ControlRecord, RegistryState
from streamrec.lab.measures.loop_watch import LoopWatch


def recommendation(
    generation: str, served_at_ms: int, worker: str = "s1", name: str | None = None
) -> Recommendation:
    return Recommendation(
        recommendation_id=name or f"{worker}-{served_at_ms}",
        user_id="ann",
        items=(RecommendedItem("a", 0.5),),
        generation=generation,
        trained_through={},
        trigger=Trigger.USER_UPDATE,
        trigger_id="0-0",
        triggered_at_ms=served_at_ms - 40,
        state_position=1,
        served_at_ms=served_at_ms,
        worker_id=worker,
    )


def walk(*champions: tuple[str, int]) -> GenerationWalk:
    found = GenerationWalk()
    for generation, at_ms in champions:
        found.follow(RegistryState(champion=generation), at_ms)
    return found


def control(action: Action, generation: str, champion: str | None) -> ControlRecord:
    return ControlRecord(action, "trainer", "", 0, RegistryState(1, champion), generation)


def test_a_worker_walks_through_the_champions_in_order_and_back_by_a_rollback() -> None:
    watched = walk(("g1", 0), ("g2", 100), ("g1", 200), ("g2", 300))
    for generation, at_ms in (("g1", 50), ("g2", 150), ("g1", 250), ("g2", 350), ("g2", 351)):
        assert watched.served(recommendation(generation, at_ms))
    assert watched.mixed == 0


@pytest.mark.parametrize(
    ("served", "why"),
    [
        ([("g9", 50)], "never champion"),
        ([("g2", 50)], "served before it was champion"),
        ([("g2", 150), ("g1", 160)], "left behind already"),
        ([("g1", 150), ("g2", 150)], "two generations in one micro-batch"),
    ],
)
def test_mixed(served: list[tuple[str, int]], why: str) -> None:
    watched = walk(("g1", 0), ("g2", 100))
    for generation, at_ms in served:
        watched.served(recommendation(generation, at_ms))
    assert watched.mixed == 1, why


def test_workers_swap_each_at_its_own_time() -> None:
    watched = walk(("g1", 0), ("g2", 100))
    assert watched.served(recommendation("g2", 110, worker="s1"))
    assert watched.served(recommendation("g1", 111, worker="s2"))
    assert watched.served(recommendation("g2", 120, worker="s2"))


def test_latency_is_from_the_events_timestamp_and_repeats_count_once() -> None:
    watch = LoopWatch()
    watch.controlled(control(Action.ACTIVATE, "g1", "g1"), 0, {})
    message = recommendation("g1", 1000)
    watch.recommended(message, 1010)
    watch.recommended(message, 1020)
    assert (watch.published, watch.latency_ms) == (1, [50])
    assert watch.first_recommendation_ms == 1010


def test_freshness_counts_each_click_once_when_a_champion_has_learned_it() -> None:
    watch = LoopWatch()
    for offset, kind in enumerate([Kind.CLICK, Kind.VIEW, Kind.CLICK, Kind.CLICK]):
        watch.produced_event(Interaction(str(offset), "ann", "a", kind, 0), 2, offset, 1000)
    watch.controlled(control(Action.STAGE, "g1", None), 2000, {"2": 4})
    assert watch.freshness_s == [], "staged is not active"
    watch.controlled(control(Action.ACTIVATE, "g1", "g1"), 3000, {"2": 3})
    assert watch.freshness_s == [2.0, 2.0], "two clicks before offset 3"
    watch.controlled(control(Action.ROLLBACK, "g0", "g0"), 4000, {"2": 1})
    watch.controlled(control(Action.ACTIVATE, "g1", "g1"), 5000, {"2": 3})
    assert watch.freshness_s == [2.0, 2.0]
    assert watch.clicks_not_yet_trained == 1


def test_applied_counts_each_event_once() -> None:
    watch = LoopWatch()
    for offset, at_ms in ((0, 1000), (1, 2000), (1, 2500), (2, 3000)):
        update = UserUpdate("ann", "a", Kind.CLICK, 0, offset, 0, 0, at_ms)
        watch.updated(update, at_ms)
    assert (watch.applied, watch.applied_per_second) == (3, 1.5)


def test_generations_by_what_became_of_them() -> None:
    watch = LoopWatch()
    for action, generation in (
        (Action.STAGE, "g1"),
        (Action.ACTIVATE, "g1"),
        (Action.REJECT, "g2"),
        (Action.STAGE, "g3"),
        (Action.PIN, "g1"),
    ):
        watch.controlled(control(action, generation, "g1"), 0, {})
    counts = watch.generations
    assert (counts.candidates, counts.activated, counts.rejected) == (
        {"g1", "g2", "g3"},
        {"g1"},
        {"g2"},
    )


def test_percentiles_of_nothing_are_none() -> None:
    assert percentiles([], 50) == {"p50": None}
    assert percentiles([1, 2, 3], 50, 95) == {"p50": 2.0, "p95": 2.9}
