"""When something grew, and when it is noise."""

from __future__ import annotations

import numpy as np
import pytest

from streamrec.lab.measures.soak_check import GrowthBound, SoakSample, growth

HOUR_S = 3600
BOUND = GrowthBound(0.05, 8.0, "MB")


def samples(values: np.ndarray, name: str = "memory") -> list[SoakSample]:
    """Spread over an hour."""
    times = np.linspace(0, HOUR_S, len(values))
    return [SoakSample(float(t), {name: float(v)}) for t, v in zip(times, values, strict=True)]


def noise(count: int = 240) -> np.ndarray:
    return np.random.default_rng(3).normal(0, 2, count)


def test_what_stands_still_with_noise_does_not_grow() -> None:
    found = growth(samples(300 + noise()), "memory", BOUND)
    assert not found.grew
    assert not found.unknown
    assert found.start == pytest.approx(300, abs=1)
    assert found.allowed == pytest.approx(300 * 1.05 + 8, abs=1)
    assert abs(found.per_hour) < 2


def test_a_leak_is_found_and_its_slope_told() -> None:
    found = growth(samples(300 + 60 * np.linspace(0, 1, 240) + noise()), "memory", BOUND)
    assert found.grew
    assert found.per_hour == pytest.approx(60, rel=0.1)


def test_a_warm_up_is_no_leak() -> None:
    rising = np.minimum(np.linspace(0, 4, 240), 1.0)  # settles after a quarter
    assert not growth(samples(100 + 400 * rising), "memory", BOUND).grew


def test_a_few_wild_samples_decide_nothing() -> None:
    values = 300 + noise()
    values[-40:-1:5] += 5_000
    assert not growth(samples(values), "memory", BOUND).grew


def test_too_few_samples_are_no_verdict() -> None:
    found = growth(samples(np.full(8, 300.0)), "memory", BOUND)
    assert found.unknown
    assert not found.grew
    sparse = samples(np.full(240, 300.0))
    found = growth([*sparse[:239:60], SoakSample(HOUR_S, {"other": 1.0})], "memory", BOUND)
    assert found.unknown


def test_what_is_not_judged_neither_grows_nor_is_missed() -> None:
    leaking = samples(np.linspace(0, 1_000, 240))
    found = growth(leaking, "memory", BOUND, judged=False)
    assert not found.grew
    assert not found.unknown
    assert found.end > found.allowed
