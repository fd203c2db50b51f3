"""The summary has every key of the contract, and says in words what was not measured."""

from __future__ import annotations

import json
from io import StringIO

from rich.console import Console

from streamrec.lab.demo.memory import PeakMemory
from streamrec.lab.demo.panel import Panels
from streamrec.lab.demo.summary import DemoFacts, in_words, summarize
from streamrec.lab.demo.swaps import SwapPauses
from streamrec.lab.demo.watcher import Watcher
from streamrec.lab.measures.loop_watch import LoopWatch
from streamrec.ports import WorkerStatus

PATHS = [
    "events.produced",
    "events.applied",
    "events.dead_letter",
    "events.per_second",
    "recommendations.published",
    "recommendations.mixed_generation",
    "latency_ms.event_to_recommendation.p50",
    "latency_ms.event_to_recommendation.p95",
    "latency_ms.event_to_recommendation.p99",
    "freshness_s.click_to_active_generation.p50",
    "freshness_s.click_to_active_generation.p95",
    "generations.candidates",
    "generations.activated",
    "generations.rejected",
    "swap_ms.pause_p99",
    "swap_ms.rollback_all_workers",
    "quality.served.hr@10",
    "quality.served.ndcg@10",
    "quality.served.n",
    "quality.popular.hr@10",
    "quality.popular.ndcg@10",
    "quality.popular.n",
    "peak_memory_mb.demo",
]


def drawn(renderable: object, width: int = 400) -> str:
    console = Console(file=StringIO(), width=width)
    console.print(renderable)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def memory() -> PeakMemory:
    found = PeakMemory()
    found.peak_mb = {"demo": 100.4, "trainer-1": 600.0}
    found.total_mb = 650.0
    return found


def test_every_promised_key_is_there_even_when_nothing_happened() -> None:
    summary = json.loads(json.dumps(summarize(LoopWatch(), memory(), DemoFacts("x", 150))))
    for path in PATHS:
        value = summary
        for key in path.split("."):
            assert key in value, path
            value = value[key]
    text = drawn(in_words(summary))
    assert "no click came after a list" in text
    assert "not shown" in text


def test_numbers_in_words() -> None:
    loop = LoopWatch()
    loop.quality.served_ranks = [0, None, None, 0]
    loop.quality.popular_ranks = [None, None, None, 0]
    loop.latency_ms = [40.0, 60.0]
    facts = DemoFacts(
        "films", 150, played_s=60, rollback_ms=31, forward_ms=420, rolled_back_from="g3"
    )
    facts.swap_pauses_ms = [0.4, 0.6]
    summary = summarize(loop, memory(), facts)
    assert summary["quality"]["served"] == {"hr@10": 0.5, "ndcg@10": 0.5, "n": 4}
    assert summary["quality"]["second_half"]["served"]["hr@10"] == 0.5
    assert summary["swap_ms"]["pause_p99"] == 0.598
    text = drawn(in_words(summary))
    assert "0.500 of the list on the topic before each click, against 0.250" in text
    assert "g3 undone on all serving workers in 31 ms" in text
    assert "650 MB at most at one time (demo 100, trainer-1 600)" in text


def test_the_panel_and_the_line_say_the_same() -> None:
    watcher = Watcher(None, lambda _generation: {})
    panels = Panels(watcher, "demo")
    panels.act = "playing"
    panels.tick(0.0)
    watcher.loop.applied, watcher.loop.produced, watcher.loop.published = 200, 203, 180
    panels.tick(2.0)
    for text in (panels.line(), drawn(panels.panel())):
        assert "100" in text, "events a second"
        assert "3 behind" in text
        assert "playing" in text
        assert "180" in text


def test_peak_memory_keeps_the_highest_sum_of_one_moment() -> None:
    import os

    found = PeakMemory()
    found.sample({"me": os.getpid(), "gone": 2**22 - 1})
    assert found.peak_mb["me"] > 10
    assert found.peak_mb["gone"] == 0
    assert found.total_mb >= found.peak_mb["me"]


def test_swap_pauses_are_taken_once_for_each_swap() -> None:
    def told(swaps: int, pause_ms: float) -> WorkerStatus:
        gauges = {"swaps": float(swaps), "swap_pause_ms": pause_ms}
        return WorkerStatus("s1", "serving", "h", 1, 0, 0, gauges=gauges)

    pauses = SwapPauses()
    for status in (told(1, 0.3), told(1, 0.3), told(2, 0.5), told(2, 0.5)):
        pauses.sample([status, WorkerStatus("f1", "features", "h", 2, 0, 0)])
    assert pauses.pauses_ms == [0.3, 0.5]
