"""Which times an event may say, and what of its record's timestamp is used."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrec.core.events import Interaction, Kind
from streamrec.errors import ImpossibleTime
from streamrec.loop.ingesting.admissible import RELEASED_MS, YEAR_MS, located
from streamrec.loop.ingesting.raw import RawRecord

NOW_MS = 1_795_000_000_000
DAY_MS, HOUR_MS = 86_400_000, 3_600_000
FAR_MS = 3_786_912_000_000  # 2090


def place(at_ms: int, stamp: int, now_ms: int = NOW_MS) -> int:
    """The record's time that is used."""
    event = Interaction("e", "u", "i", Kind.CLICK, at_ms)
    record = RawRecord(0, stamp, b"u", b"")
    found = located(record, event, now_ms, DAY_MS)
    assert found.event.occurred_at_ms == at_ms
    return found.produced_at_ms


@pytest.mark.parametrize(
    "stamp", [0, -1, 1, FAR_MS, 10**19, 7_000], ids=["0", "-1", "1", "2090", "absurd", "7 s"]
)
def test_a_record_s_timestamp_that_says_nothing_is_not_used(stamp: int) -> None:
    assert place(NOW_MS, stamp) == NOW_MS


@pytest.mark.parametrize("unit", [1_000_000, 1_000, 1, 1 / 1_000])
def test_a_record_s_timestamp_in_another_unit_is_understood(unit: float) -> None:
    stamp_ms = NOW_MS - 5_000
    assert place(NOW_MS, int(stamp_ms * unit)) == stamp_ms


@pytest.mark.parametrize("stamp", [NOW_MS, FAR_MS, 0])
def test_an_event_of_the_far_future_is_refused_in_words_about_it(stamp: int) -> None:
    with pytest.raises(ImpossibleTime, match=r"occurred_at says 2090-01-01.*its producer's clock"):
        place(FAR_MS, stamp)


@pytest.mark.parametrize(
    ("at_ms", "stamp", "whose"),
    [(NOW_MS + 2 * DAY_MS, NOW_MS, "event"), (NOW_MS, NOW_MS - 900 * DAY_MS, "record")],
)
def test_of_two_clocks_that_disagree_by_days_the_one_at_fault_is_named(
    at_ms: int, stamp: int, whose: str
) -> None:
    with pytest.raises(ImpossibleTime, match=f"most likely the {whose}'s") as refused:
        place(at_ms, stamp)
    assert refused.value.code == "impossible-time"


def test_a_worker_whose_own_clock_stands_at_1970_refuses_nothing_sane() -> None:
    assert place(RELEASED_MS + YEAR_MS - DAY_MS, 0, now_ms=0) > 0


@given(st.integers(-(2**63), 2**63 - 1), st.integers(631_152_000_000, 4_102_444_800_000))
def test_any_timestamp_is_used_or_refused_aloud(stamp: int, at_ms: int) -> None:
    try:
        made_ms = place(at_ms, stamp)
    except ImpossibleTime:
        return
    assert at_ms - made_ms <= DAY_MS
    assert made_ms <= NOW_MS + YEAR_MS
