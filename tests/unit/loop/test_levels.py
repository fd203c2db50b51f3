"""Service levels: measured by generation, and added up over a fleet."""

from __future__ import annotations

from streamrec.core.release.service_levels import (
    Level,
    LevelRules,
    breaches,
    new_breaches,
    together,
)
from streamrec.errors import Malformed
from streamrec.loop.releasing.levels import WINDOW_MS, LevelGauge, by_generation
from streamrec.loop.serving.serve import Served
from streamrec.ports import Answer, Asked, Delivered, WorkerStatus


def answer(generation: str, asked_ms: int, *, empty: bool = False, unmet: bool = False) -> Answer:
    asked = Asked(Delivered("requests", 0, 0, 0, None, b"", Malformed("not looked at")), "ann")
    return Answer(asked, "recommendations", None, generation, asked_ms, empty, unmet)


def test_each_generation_is_measured_by_itself() -> None:
    gauge = LevelGauge()
    answers = (answer("g1", 900), answer("g1", 950), answer("g2", 600, empty=True))
    gauge.served(Served(answers, empty={"g1": 1, "g2": 1}, faults={"g2": 3}), 1000)
    read = gauge.read(1000)
    assert read["g1"] == {"lists": 3, "empty": 1, "faults": 0, "latency_p95_ms": 97.5}
    assert read["g2"] == {"lists": 4, "empty": 1, "faults": 3, "latency_p95_ms": 400.0}


def test_what_nobody_could_answer_is_in_no_level_and_thins_out_no_fault() -> None:
    gauge = LevelGauge()
    unmet = tuple(answer("g1", 900, unmet=True) for _ in range(95))
    bad = tuple(answer("g1", 900, empty=True) for _ in range(5))
    gauge.served(Served((*unmet, *bad), empty={"g1": 5}, unmet={"filters": 95}), 1000)
    assert gauge.read(1000)["g1"] == {"lists": 5, "empty": 5, "faults": 0, "latency_p95_ms": 100.0}


def test_what_is_long_ago_is_forgotten() -> None:
    gauge = LevelGauge()
    gauge.served(Served((answer("g1", 0),)), 100)
    gauge.served(Served((answer("g2", 0),)), WINDOW_MS)
    assert gauge.read(WINDOW_MS + 101).keys() == {"g2"}


def test_a_fleet_is_as_slow_as_its_slowest_worker() -> None:
    def worker(name: str, **levels: dict) -> WorkerStatus:
        return WorkerStatus(name, "serving", "h", 1, 0, 0, levels=levels)

    fleet = [
        worker("s1", g1={"lists": 10, "empty": 1, "latency_p95_ms": 40.0}),
        worker("s2", g1={"lists": 5, "faults": 2, "latency_p95_ms": None}, g2={"lists": 1}),
        worker("features"),
    ]
    assert by_generation(fleet) == {"g1": Level(15, 1, 2, 40.0), "g2": Level(1)}
    assert together([]) == Level()


def test_breaches_are_named_with_their_numbers_and_zero_is_no_limit() -> None:
    rules = LevelRules(max_latency_ms=100, max_empty_ratio=0.5, max_fault_ratio=0.1)
    bad = Level(100, 60, 20, 250.0)
    assert breaches(bad, rules).keys() == {"latency", "empty lists", "faults"}
    assert new_breaches(bad, rules, {"latency", "faults"}) == "empty lists: 60 of 100 (at most 50%)"
    assert breaches(bad, LevelRules(0, 0, 0)) == {}
    assert breaches(Level(100, 50, 10, 100.0), rules) == {}
