"""The alarm is silent on honest traffic, also when it drifts, and loud on each attack."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest

from streamrec.tasks.ranking.drift import ShiftRules, ShiftWatch, Traffic, divergence
from streamrec.tasks.ranking.examples import ExampleKind, RankingExample
from streamrec.tasks.ranking.features import FEATURES

AFFINITY = FEATURES.index("affinity")
WINDOW = 100
CATEGORIES = 6


def categories_of(item: str) -> tuple[str, ...]:
    return (f"c{int(item) % CATEGORIES}",)


def example(
    rng: np.random.Generator, user: str, taste: int, *, flip: bool = False, item: int | None = None,
    new: bool = False,
) -> RankingExample:  # fmt: skip
    """A list of five, one of them of the user's taste; usually that one is accepted."""
    shown = rng.permutation(300)[:5]
    shown[0] = rng.integers(50) * CATEGORIES + taste if item is None else item
    labels = np.zeros(5, np.float32)
    if item is not None:
        labels[0] = 1
    elif rng.random() < 0.6:
        labels[0 if (rng.random() < 0.85) != flip else 1 + rng.integers(4)] = 1
    stats = np.zeros((5, len(FEATURES)), np.float32)
    stats[:, AFFINITY] = [0.7 if n % CATEGORIES == taste else 0.06 for n in shown]
    history = () if new else ("1", "2", "3")
    ids = tuple(map(str, shown))
    zeros = np.zeros(5, np.float32)
    return RankingExample(
        0, 0, 0, user, 0, ExampleKind.IMPRESSION, 0, history, ids, labels, stats, zeros
    )


def honest(seed: int, windows: int, drift: float = 0.0) -> Iterator[RankingExample]:
    """Users come by chance, some often; ``drift``: how far taste has moved in the end."""
    rng = np.random.default_rng(seed)
    total = windows * WINDOW
    for n in range(total):
        user = int(400 * rng.random() ** 2)
        moved = rng.random() < drift * n / total
        taste = 0 if moved else user % CATEGORIES
        yield example(rng, f"u{user}", taste, new=rng.random() < 0.05)


def watch() -> ShiftWatch:
    return ShiftWatch(ShiftRules(window=WINDOW, reference=20), categories_of)


def raised(shift: ShiftWatch, stream: Iterator[RankingExample]) -> int:
    """How often an alarm was raised."""
    return sum(shift.observe([one]) and bool(shift.alarm) for one in stream)


@pytest.mark.parametrize("drift", [0.0, 0.5])
def test_honest_traffic_raises_no_alarm_in_thousands_of_windows(drift: float) -> None:
    alarms = sum(raised(watch(), honest(seed, 150, drift)) for seed in range(10))
    assert alarms == 0


def attack(name: str, rng: np.random.Generator) -> Iterator[RankingExample]:
    """Half of the traffic is the attack's; of flipped labels, most."""
    ordinary = honest(99, 1000)
    while True:
        if rng.random() < (0.2 if name == "flips" else 0.5):
            yield next(ordinary)
            continue
        taste = int(rng.integers(CATEGORIES))
        match name:
            case "one item":
                yield example(rng, f"bot{rng.integers(40)}", taste, item=7)
            case "few users":
                yield example(rng, f"bot{rng.integers(2)}", taste, item=int(rng.integers(300)))
            case "new users":
                yield example(rng, f"bot{rng.integers(10**6)}", taste, new=True)
            case "flips":
                yield example(rng, f"u{rng.integers(400)}", taste, flip=True)
            case "one category":
                item = int(rng.integers(50)) * CATEGORIES + 2
                yield example(rng, f"u{rng.integers(400)}", taste, item=item)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("one item", "top_item"),
        ("few users", "top_user"),
        ("new users", "new_users"),
        ("flips", "agreement"),
        ("one category", "categories"),
    ],
)
def test_an_attack_is_seen_within_three_windows_and_names_its_number(name, number) -> None:
    shift = watch()
    shift.observe(list(honest(0, 30)))
    stream = attack(name, np.random.default_rng(1))
    for _ in range(3 * WINDOW):
        shift.observe([next(stream)])
        if shift.alarm:
            break
    assert number in {strange.name for strange in shift.alarm}
    assert str(shift.alarm[0])


def test_a_little_too_much_for_long_is_seen_as_well() -> None:
    """No window alone is far from the usual; together they are."""
    shift = watch()
    shift.observe(list(honest(0, 30)))
    rng, ordinary = np.random.default_rng(1), honest(5, 20)
    for number, one in enumerate(ordinary):
        planted = example(rng, f"bot{rng.integers(40)}", 3, item=7)
        shift.observe([planted if number % 14 == 0 else one])
        if shift.alarm:
            break
    assert [strange.name for strange in shift.alarm] == ["top_item"]
    assert 3 <= shift.windows - 30 < 15
    assert shift.alarm[0].distance < 6


def test_the_alarm_ends_when_traffic_is_as_usual_for_a_while() -> None:
    shift = watch()
    shift.observe(list(honest(0, 30)))
    stream = attack("one item", np.random.default_rng(1))
    shift.observe([next(stream) for _ in range(40 * WINDOW)])
    assert shift.alarm  # going on does not make it usual
    calm = list(honest(1, 6))
    shift.observe(calm[: 4 * WINDOW])
    assert shift.alarm
    shift.observe(calm[4 * WINDOW :])
    assert not shift.alarm


def test_what_a_person_calls_usual_is_usual() -> None:
    shift = watch()
    shift.observe(list(honest(0, 30)))
    stream = attack("one category", np.random.default_rng(1))
    shift.observe([next(stream) for _ in range(10 * WINDOW)])
    assert shift.alarm
    shift.accept()
    shift.observe([next(stream) for _ in range(10 * WINDOW)])
    assert not shift.alarm


def test_one_strange_window_is_no_attack() -> None:
    shift = watch()
    shift.observe(list(honest(0, 30)))
    rng = np.random.default_rng(2)
    shift.observe([example(rng, f"u{n}", 0, item=7) for n in range(WINDOW)])
    assert shift.calm == 0
    assert not shift.alarm
    assert raised(shift, honest(3, 10)) == 0


def test_a_resumed_watch_goes_on_and_its_record_names_nobody() -> None:
    first, second = watch(), watch()
    first.observe(list(honest(0, 30)))
    record = json.loads(json.dumps(first.to_record()))
    assert "u1" not in json.dumps(record)
    second.load(record)
    stream = attack("flips", np.random.default_rng(1))
    second.observe([next(stream) for _ in range(3 * WINDOW)])
    assert second.alarm
    third = watch()
    third.load(json.loads(json.dumps(second.to_record())))
    assert third.alarm == second.alarm


def test_nothing_is_strange_to_who_knows_nothing_yet() -> None:
    shift = watch()
    stream = attack("one item", np.random.default_rng(1))
    shift.observe([next(stream) for _ in range(6 * WINDOW)])
    assert not shift.alarm


def test_a_window_of_nothing_switches_it_off() -> None:
    shift = ShiftWatch(ShiftRules(window=0), categories_of)
    assert not shift.observe(list(honest(0, 3)))
    assert shift.windows == 0


def test_divergence_by_hand() -> None:
    assert divergence({"a": 1.0}, {"a": 7.0}) == pytest.approx(0.0)
    assert divergence({"a": 1.0}, {"b": 1.0}) == pytest.approx(np.log(2))


def test_numbers_of_nothing_are_zeros() -> None:
    assert Traffic().numbers() == {
        "top_item": 0.0, "top_user": 0.0, "new_users": 0.0, "click_rate": 0.0,
    }  # fmt: skip


def test_lists_of_one_taste_say_nothing_of_agreement() -> None:
    """Or lists that become good would look like turned labels."""
    rng = np.random.default_rng(0)
    traffic, contrast = Traffic(), Traffic()
    for _ in range(50):
        one = example(rng, "u0", 0, item=6)
        contrast.add(one, categories_of)
        one.stats_CF[:, AFFINITY] = 0.7
        traffic.add(one, categories_of)
    assert "agreement" not in traffic.numbers()
    assert contrast.numbers()["agreement"] > 0.5
