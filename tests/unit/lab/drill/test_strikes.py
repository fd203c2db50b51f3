"""Whom a drill kills, and when it counts somebody as back."""

from __future__ import annotations

import random

from streamrec.lab.drill.strikes import Recoveries, Strike, choose, schedule
from streamrec.ports import WorkerStatus


def beat(name: str, started_ms: int, at_ms: int, work: float) -> WorkerStatus:
    role = name.split("-", maxsplit=1)[0]
    gauge = {"features": "events_applied", "serving": "published", "trainer": "examples"}[role]
    return WorkerStatus(name, role, "here", 1, started_ms, at_ms, gauges={gauge: work})


def test_the_same_seed_plans_the_same_and_every_server_is_hit() -> None:
    plan = schedule(3, 600.0, 200, ["kafka", "redis"])
    assert plan == schedule(3, 600.0, 200, ["kafka", "redis"])
    assert plan != schedule(4, 600.0, 200, ["kafka", "redis"])
    assert len(plan) == 200
    assert all(0 <= strike.at_s <= 600 for strike in plan)
    hit = [strike.server for strike in plan if strike.server]
    assert len(hit) == 10
    assert set(hit) == {"kafka", "redis"}
    assert {s.server for s in schedule(3, 60.0, 6, ["kafka", "redis"])} == {None, "kafka", "redis"}


def test_those_who_are_back_are_killed_and_nobody_while_there_is_none() -> None:
    rng = random.Random(0)
    usual, mean = Strike(0.0, None), Strike(0.0, None, while_down=True)
    assert {choose(usual, rng, ["a", "b", "c"], ["b"]) for _ in range(50)} == {"a", "c"}
    assert choose(usual, rng, ["b"], ["b"]) is None
    assert choose(mean, rng, ["a", "b"], ["b"]) == "b"
    assert choose(mean, rng, ["a"], ["b"]) == "a"
    assert 5 < sum(strike.while_down for strike in schedule(3, 600.0, 200, [])) < 40


def test_a_worker_is_back_when_a_younger_process_has_worked() -> None:
    recoveries = Recoveries()
    recoveries.worker_killed("features-1", 1_000)
    recoveries.observe([beat("features-1", 500, 1_200, 70)])  # the dead one's last words
    recoveries.observe([beat("features-1", 2_000, 2_100, 0)])  # there, but idle
    assert recoveries.down == {"features-1"}
    recoveries.observe([beat("features-1", 2_000, 4_500, 3)])
    assert recoveries.down == set()
    assert recoveries.kills[0].recovery_s == 3.5


def test_a_second_kill_takes_the_place_of_the_first() -> None:
    recoveries = Recoveries()
    recoveries.worker_killed("trainer-1", 1_000)
    recoveries.worker_killed("trainer-1", 5_000)
    recoveries.observe([beat("trainer-1", 3_000, 4_900, 9)])  # the process between the kills
    assert recoveries.down == {"trainer-1"}
    recoveries.observe([beat("trainer-1", 6_000, 8_000, 9)])
    first, second = recoveries.kills
    assert first.again
    assert first.recovery_s is None
    assert second.recovery_s == 3.0


def test_after_a_server_everybody_must_have_worked_since_it_was_back() -> None:
    recoveries = Recoveries()
    recoveries.server_killed("redis", 1_000, 2_000, ["features-1", "serving-1"])
    recoveries.observe([beat("features-1", 1, 1_900, 10), beat("serving-1", 1, 1_900, 5)])
    recoveries.observe([beat("features-1", 1, 2_500, 20), beat("serving-1", 1, 2_500, 5)])
    recoveries.observe([beat("features-1", 1, 3_500, 21), beat("serving-1", 1, 3_500, 5)])
    assert recoveries.down == {"serving-1"}
    recoveries.observe([beat("serving-1", 1, 4_500, 6)])
    assert recoveries.kills[0].recovery_s == 3.5
