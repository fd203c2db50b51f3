"""Progress where there is no terminal: a line every half minute."""

from __future__ import annotations

from streamrec.cli.console import LINE_EVERY_S, ProgressLines


def lines(*seen: tuple[float, float, float], unit: str = "events") -> list[str]:
    """Printed of (seconds, done, of)."""
    times, printed = [0.0, *(at for at, _, _ in seen)], []
    progress = ProgressLines(unit, lambda: times.pop(0), printed.append)
    for _, done, of in seen:
        progress(done, of, "NDCG@10 0.1")
    return printed


def test_events_rate_and_time_left_every_half_minute() -> None:
    printed = lines((0, 0, 1_000), (10, 100, 1_000), (30, 300, 1_000), (31, 310, 1_000))
    assert printed == ["300 of 1,000 events, 10/s, 70 s left: NDCG@10 0.1"]


def test_the_rate_is_of_the_last_half_minute_and_the_time_left_of_all() -> None:
    printed = lines((0, 0, 1_000), (LINE_EVERY_S, 60, 1_000), (2 * LINE_EVERY_S, 90, 1_000))
    assert printed[1] == "90 of 1,000 events, 1.0/s, 10 min left: NDCG@10 0.1"


def test_what_counts_anew_is_timed_anew() -> None:
    seen = (0, 0, 100), (60, 100, 100), (61, 0, 50), (80, 10, 50), (101, 20, 50)
    assert lines(*seen, unit="") == [
        "100 of 100, 1.7/s: NDCG@10 0.1",
        "20 of 50, 0.5/s, 60 s left: NDCG@10 0.1",
    ]


def test_nothing_done_says_nothing() -> None:
    assert lines((0, 0, 0), (90, 0, 0)) == []
