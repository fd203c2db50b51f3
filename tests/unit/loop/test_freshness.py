"""How old an event is when a generation that has learned it answers, part by part."""

from __future__ import annotations

import pytest

from streamrec.core.measures.freshness import PARTS, parts_in_words
from streamrec.lab.demo.swaps import SwapPauses
from streamrec.loop.training.freshness import Freshness, ReleaseTimes
from streamrec.ports import FRESH, WorkerStatus
from tests.harness.training_worker import example

SENT = example(0, 1).produced_at_ms  # each offset a millisecond later
TIMES = ReleaseTimes(SENT + 4_000, SENT + 6_000, flip_ms=100, active_ms=SENT + 6_500)


def test_the_parts_of_the_way_are_told_and_add_up() -> None:
    fresh = Freshness()
    fresh.learned(0, [example(0, 1), example(0, 3)], SENT + 501, SENT + 801)
    ages_s = fresh.released(1, TIMES)
    assert ages_s == [6.5, 6.498]
    assert dict(fresh.parts_s) == pytest.approx(
        {"batch": 0.5, "learn": 0.3, "wait": 3.199, "judge": 2, "stage": 0.4, "activate": 0.1}
    )
    assert sum(fresh.parts_s.values()) == pytest.approx(sum(ages_s) / 2)


def test_only_what_a_generation_is_the_first_to_know_counts() -> None:
    fresh = Freshness()
    fresh.learned(0, [example(0, 1)], 0, SENT + 1)  # when it was sent is not told
    fresh.learned(1, [example(0, 2)], 0, SENT + 2)
    assert len(fresh.released(1, TIMES)) == 1
    assert fresh.parts_s["batch"] == 0
    before = fresh.parts_s
    assert fresh.released(1, TIMES) == []
    assert fresh.parts_s == before
    fresh.forget()
    assert fresh.released(9, TIMES) == []


def test_the_demo_says_the_mean_over_activations() -> None:
    pauses = SwapPauses()
    assert pauses.parts_s == {}
    for number in (1, 1, 3):  # heard twice, counted once
        gauges = {FRESH + part: float(number + at) for at, part in enumerate(PARTS)}
        pauses.sample([WorkerStatus("trainer-1", "trainer", "h", 1, 0, 0, gauges=gauges)])
    assert pauses.parts_s == {part: 2.0 + at for at, part in enumerate(PARTS)}
    assert parts_in_words(pauses.parts_s.items()).startswith("batch 2.0, learn 3.0, wait 4.0")
