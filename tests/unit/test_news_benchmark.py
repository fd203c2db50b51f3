"""The synthetic news of benchmarks/datasets.py: late clicks change times and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.datasets import main, news

Record = dict[str, Any]
SIZE = {"users": 40, "articles": 300, "impressions": 600}


def of_kind(events: list[Record], kind: str) -> list[Record]:
    return [event for event in events if event["kind"] == kind]


def delays_s(events: list[Record]) -> list[int]:
    shown_at = {e["impression_id"]: e["occurred_at"] for e in of_kind(events, "view")}
    return [e["occurred_at"] - shown_at[e["impression_id"]] for e in of_kind(events, "click")]


def test_a_click_comes_twenty_seconds_after_its_views() -> None:
    _, events = news(**SIZE)
    assert set(delays_s(events)) == {20}


def test_a_mean_delay_moves_the_clicks_and_nothing_else() -> None:
    items, at_once = news(**SIZE)
    same_items, late = news(**SIZE, mean_click_delay_s=3_600)
    assert same_items == items
    assert of_kind(late, "view") == of_kind(at_once, "view")
    clicked = {e["event_id"]: e["item_id"] for e in of_kind(late, "click")}
    assert clicked == {e["event_id"]: e["item_id"] for e in of_kind(at_once, "click")}


def test_late_clicks_are_in_time_order_and_behind_their_views() -> None:
    _, events = news(**SIZE, mean_click_delay_s=3_600)
    times = [event["occurred_at"] for event in events]
    assert times == sorted(times)
    assert min(delays_s(events)) >= 1
    assert float(np.mean(delays_s(events))) == pytest.approx(3_600, rel=0.2)


@pytest.mark.parametrize("delay", ["late", "-5", ""])
def test_a_delay_that_is_no_number_shows_the_usage(tmp_path: Path, delay: str) -> None:
    with pytest.raises(SystemExit, match="MEAN_CLICK_DELAY_S"):
        main(["news", str(tmp_path), delay])
