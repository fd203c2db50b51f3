"""What odd clocks, nights and changed windows do to lists that are open: nothing."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest

from streamrec.core.events import Interaction, Item, Kind
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.fold import Located, PartitionFold
from streamrec.core.state.statistics import Statistics
from streamrec.tasks.ranking.example_maker import RankingRules, ranking_examples, ranking_fold
from streamrec.tasks.ranking.examples import ExampleKind, RankingExample
from tests.fakes.kept import Kept

BEGIN_MS = 1_767_225_600_000
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
FAR_MS = 3_786_912_000_000  # 2090
WINDOW_MS = 300_000
ITEMS = [f"i{n}" for n in range(20)]
USERS = [f"u{n}" for n in range(30)]

Stamped = tuple[Interaction, int]  # and its record's time


class Partition:
    """Kept as a store keeps it; every run is folded by a worker that has just taken over."""

    def __init__(self) -> None:
        self.kept, self.offset, self.learned = Kept(), 0, list[RankingExample]()

    def feed(self, log: Iterable[Stamped], window_ms: int = WINDOW_MS, size: int = 50) -> None:
        log = list(log)
        for start in range(0, len(log), size):
            fold = self.fold(window_ms)
            run = [
                Located(self.offset + n, made_ms, event)
                for n, (event, made_ms) in enumerate(log[start : start + size])
            ]
            self.offset += len(run)
            self.learned += ranking_examples(self.kept.feed(fold, run))

    def fold(self, window_ms: int = WINDOW_MS) -> PartitionFold:
        catalogue = Catalogue()
        catalogue.put([Item(item, item) for item in ITEMS])
        self.statistics = Statistics(catalogue)
        rules = RankingRules(1, window_ms, sampled_negatives=3)
        fold = ranking_fold(0, rules, catalogue, self.statistics)
        self.kept.hand_to(fold)
        return fold

    @property
    def lists(self) -> Counter[tuple[str, tuple[tuple[str, float], ...]]]:
        """User, items and labels of every list that was learned."""
        return Counter(
            (e.user_id, tuple(zip(e.candidates, e.labels_C.tolist(), strict=True)))
            for e in self.learned
            if e.kind is ExampleKind.IMPRESSION
        )


def shown(
    number: int, user: str, at_ms: int, made_ms: int | None = None, click_after_ms: int = 20_000
) -> tuple[list[Stamped], list[Stamped]]:
    """A list of three, and the click on its first item, each with its record's time."""
    off_ms = 0 if made_ms is None else made_ms - at_ms
    rng = random.Random(number)
    views = [
        Interaction(f"{number}v{n}", user, item, Kind.VIEW, at_ms, None, f"p{number}")
        for n, item in enumerate(rng.sample(ITEMS, 3))
    ]
    first, later_ms = views[0].item_id, at_ms + click_after_ms
    click = Interaction(f"{number}c", user, first, Kind.CLICK, later_ms, None, f"p{number}")
    return [(v, at_ms + off_ms) for v in views], [(click, later_ms + off_ms)]


def traffic(begin_ms: int, count: int, first: int = 0) -> list[Stamped]:
    """Lists, one in three seconds, each clicked 20 s later."""
    log = []
    for n in range(count):
        at_ms = begin_ms + n * 3_000
        views, clicks = shown(first + n, USERS[n % len(USERS)], at_ms)
        log += [(at_ms, pair) for pair in views] + [(at_ms + 20_000, pair) for pair in clicks]
    return [pair for _, pair in sorted(log, key=lambda timed: timed[0])]


def expected(log: Iterable[Stamped]) -> Counter[tuple[str, tuple[tuple[str, float], ...]]]:
    """Every list once, its clicked items positive."""
    views: dict[tuple[str, str | None], list[str]] = {}
    clicked = set()
    for event, _ in log:
        key = (event.user_id, event.impression_id)
        if event.kind is Kind.VIEW:
            views.setdefault(key, []).append(event.item_id)
        else:
            clicked.add((*key, event.item_id))
    return Counter(
        (user, tuple((item, float((user, name, item) in clicked)) for item in items))
        for (user, name), items in views.items()
    )


def end(begin_ms: int) -> list[Stamped]:
    """Views of no list by many, after which all lists before are over."""
    return [
        (Interaction(f"z{begin_ms}{n}", user, "i0", Kind.VIEW, begin_ms + n * 1_000), begin_ms + n)
        for n, user in enumerate(USERS)
    ]


@pytest.mark.parametrize("ahead_ms", [7 * MINUTE_MS, 23 * HOUR_MS, FAR_MS - BEGIN_MS])
@pytest.mark.parametrize("record_too", [True, False])
def test_one_event_ahead_delays_and_hurries_nobody(ahead_ms: int, record_too: bool) -> None:
    log = traffic(BEGIN_MS, 200)
    at_ms = BEGIN_MS + 300_000
    odd = Interaction("odd", "odd", "i1", Kind.VIEW, at_ms + ahead_ms)
    place = len(log) // 2
    made_ms = odd.occurred_at_ms if record_too else at_ms
    partition = Partition()
    partition.feed([*log[:place], (odd, made_ms), *log[place:]])
    partition.feed(end(BEGIN_MS + 1_000_000))
    assert partition.lists == expected(log)
    assert partition.kept.users["odd"]["s"][1] <= at_ms + 31 * DAY_MS
    assert partition.kept.rows["c"]["t"] < BEGIN_MS + HOUR_MS


@pytest.mark.parametrize("ahead_ms", [6 * MINUTE_MS, HOUR_MS, 11 * HOUR_MS, -5 * HOUR_MS])
@pytest.mark.parametrize("record_too", [True, False])
def test_a_whole_producer_on_another_clock_spoils_no_label(ahead_ms: int, record_too: bool) -> None:
    """Neither its own users' nor the others'."""
    log = traffic(BEGIN_MS, 600)
    off = [
        (
            Interaction(
                e.event_id, e.user_id, e.item_id, e.kind, e.occurred_at_ms + ahead_ms,
                impression_id=e.impression_id,
            ),
            made_ms + ahead_ms * record_too,
        )
        if e.user_id in USERS[:8]
        else (e, made_ms)
        for e, made_ms in log
    ]  # fmt: skip
    partition = Partition()
    partition.feed(off)
    partition.feed(end(BEGIN_MS + 2_400_000))
    assert partition.lists == expected(log)


@pytest.mark.parametrize("night_ms", [20 * MINUTE_MS, 8 * HOUR_MS, 3 * DAY_MS])
def test_a_night_closes_what_was_open_and_spoils_no_morning(night_ms: int) -> None:
    evening = traffic(BEGIN_MS, 100)
    morning_ms = BEGIN_MS + 320_000 + night_ms
    morning = traffic(morning_ms, 300, first=1_000)
    partition = Partition()
    partition.feed(evening)
    partition.feed(morning[:200])
    assert set(expected(evening)) <= set(partition.lists)
    partition.feed(morning[200:])
    partition.feed(end(morning_ms + 1_300_000))
    assert partition.lists == expected([*evening, *morning])


@pytest.mark.parametrize("ahead_ms", [3 * HOUR_MS, FAR_MS - BEGIN_MS])
def test_a_partition_whose_time_version_0_1_let_run_ahead_comes_back(ahead_ms: int) -> None:
    partition = Partition()
    before = traffic(BEGIN_MS, 100)
    partition.feed(before)
    poisoned_ms = BEGIN_MS + ahead_ms
    rows, users = partition.kept.rows, partition.kept.users
    rows["c"] = {"n": rows["c"]["n"], "t": poisoned_ms}
    item = next(key for key in rows if key.startswith("i/"))
    rows[item]["s"][1:4] = [poisoned_ms] * 3
    users["u1"]["s"][1] = poisoned_ms
    for pending in users["u2"]["p"]:
        pending["t"] = poisoned_ms
    partition.kept.own["w/u2"] = {"d": poisoned_ms + WINDOW_MS}
    after_ms = BEGIN_MS + 330_000
    after = traffic(after_ms, 200, first=1_000)
    partition.feed(after)
    partition.feed(end(after_ms + 1_300_000))
    assert set(partition.lists.values()) == {1}
    assert sum(partition.lists.values()) == 300
    late = Counter({key: n for key, n in partition.lists.items() if key in expected(after)})
    assert sum(late.values()) > 190
    assert partition.kept.rows["c"]["t"] < after_ms + HOUR_MS
    assert users["u1"]["s"][1] < after_ms + DAY_MS
    partition.fold()
    counts = partition.statistics.counts()
    assert np.isfinite(counts.views_ND).all()
    assert counts.watermark_ms < after_ms + HOUR_MS
    assert counts.views_ND[:, -1].max() > 1.0


@pytest.mark.parametrize("window_ms", [WINDOW_MS // 5, 3 * WINDOW_MS])
def test_lists_open_when_the_window_is_changed_close_once_and_keep_their_clicks(
    window_ms: int,
) -> None:
    log = traffic(BEGIN_MS, 200)
    place = len(log) // 2
    partition = Partition()
    partition.feed(log[:place])
    partition.feed(log[place:], window_ms)
    partition.feed(end(BEGIN_MS + 600_000 + 4 * WINDOW_MS), window_ms)
    partition.feed(end(BEGIN_MS + 600_000 + 9 * WINDOW_MS), window_ms)
    assert partition.lists == expected(log)
    waiting = [p["i"] for record in partition.kept.users.values() for p in record["p"]]
    assert not any(waiting)
