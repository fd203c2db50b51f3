"""What the swap drill makes of what it saw."""

from __future__ import annotations

from rich.console import Console

from streamrec.core import topics
from streamrec.lab.drill.swap import SwapObservations, crowd_of, in_words
from streamrec.loop.releasing.fleet_watch import SwapReport
from tests.harness.codec import wire_codec


def test_a_swap_that_somebody_missed_has_no_time() -> None:
    seen = SwapObservations()
    seen.note(SwapReport("g1", confirmed_ms={"a": 20, "b": 31}), seen.back_ms)
    seen.note(SwapReport("g1", confirmed_ms={"a": 20}, silent=("b",)), seen.back_ms)
    assert seen.back_ms == [31]
    assert seen.unconfirmed == 1


def test_the_crowd_fills_the_catalogue_up() -> None:
    codec = wire_codec()
    crowd = list(crowd_of(codec, 200))
    assert len(crowd) == 80
    assert all(codec.decode(topics.ITEMS, message.value).title for message in crowd)


def test_the_words_are_the_numbers() -> None:
    times = {"p50": 40.0, "p99": 80.5, "p100": 90.25}
    console = Console(width=120)
    with console.capture() as shown:
        console.print(
            in_words(
                {
                    "swaps": 10,
                    "unconfirmed": 1,
                    "rolled_back": 4,
                    "brought_forward": 5,
                    "rollback_ms": times,
                    "forward_ms": times,
                    "pause_ms": {"p50": None, "p99": None, "p100": None},
                    "pauses": 0,
                    "lists": 1234,
                    "mixed": 0,
                    "items": 10_000,
                    "serving_workers": 2,
                }
            )
        )
    text = shown.get()
    assert "40.00" in text
    rows = {line.split("  ")[0].strip(): line.split() for line in text.splitlines()}
    assert "4" in rows["rolled back, all workers"]
    assert "5" in rows["brought forward, all workers"]
    assert "80.50" in text
    assert "10 swaps, 1 not confirmed by all; 1,234 lists, 0 mixed; 10,000 items" in text
