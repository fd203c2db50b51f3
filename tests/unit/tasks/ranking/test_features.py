"""Features and the statistics under them: finite, zero when nothing is known, one on all paths."""

from __future__ import annotations

import numpy as np
import pytest

from streamrec.core.events import Interaction, Item, Source
from streamrec.core.state import words
from streamrec.core.state.catalogue import UNKNOWN, Catalogue
from streamrec.core.state.fold import Located
from streamrec.core.state.statistics import Statistics
from streamrec.core.state.user_state import NEW_USER
from streamrec.tasks.ranking.example_maker import RankingRules, ranking_fold
from streamrec.tasks.ranking.features import (
    FEATURES,
    ITEM_FEATURES,
    PAIR_FEATURES,
    FeatureMaker,
    candidate_features,
)
from streamrec.tasks.ranking.negatives import NegativeSampler
from streamrec.tasks.ranking.statistics import co_occurrences
from tests.unit.core.test_fold import click, view

PAIRS = slice(len(ITEM_FEATURES), len(ITEM_FEATURES) + len(PAIR_FEATURES))
DAY_MS = 24 * 3_600_000


class World:
    def __init__(self, events: list[Interaction], items: int = 30) -> None:
        self.catalogue = Catalogue()
        self.catalogue.put(
            Item(f"i{n}", f"Item {n} of {n % 9}", categories=(f"c{n % 4}", f"d{n % 7}"))
            for n in range(items)
        )
        self.statistics = Statistics(self.catalogue)
        self.fold = ranking_fold(
            0, RankingRules(sampled_negatives=8), self.catalogue, self.statistics
        )
        self.offset = 0
        self.feed(events)

    def feed(self, events: list[Interaction]) -> None:
        run = [Located(self.offset + n, 0, event) for n, event in enumerate(events)]
        self.offset += len(run)
        self.fold.put_users(dict.fromkeys(self.fold.missing_users(run)))
        self.rows = self.fold.apply(run, 0).rows

    def accepts(self, item: str) -> np.ndarray:
        row = self.catalogue.row(item)
        assert row is not None
        return self.statistics.counts().accepts_ND[row]


def busy(events: int = 120) -> list[Interaction]:
    rng = np.random.default_rng(0)
    return [
        (click if n % 3 else view)(
            f"u{rng.integers(8)}", f"i{rng.integers(25)}", 1_000 + n * 60_000
        )
        for n in range(events)
    ]


def test_items_of_lists_and_of_the_whole_catalogue_get_the_same() -> None:
    world = World(busy())
    maker = FeatureMaker(world.statistics, world.catalogue)
    rows = np.arange(len(world.catalogue))
    for user in (world.fold.user("u1"), world.fold.user("u2"), NEW_USER):
        stats = candidate_features(user, rows, 10_000_000, world.statistics, world.catalogue)
        np.testing.assert_array_equal(stats[:, : PAIRS.start], maker.item_NI)
        (pairs_PN,) = maker.catalogue_pair_features([user.history])
        np.testing.assert_allclose(stats[:, PAIRS], pairs_PN.T, atol=1e-5)


@pytest.mark.parametrize("cells", [1, 60])
def test_many_users_at_once_get_what_each_gets_alone(
    monkeypatch: pytest.MonkeyPatch, cells: int
) -> None:
    world = World(busy())
    maker = FeatureMaker(world.statistics, world.catalogue)
    histories = [world.fold.user(f"u{n}").history for n in range(8)]
    histories += [(), ("unknown", "i3"), ("unknown",)]
    users_BU = np.arange(len(histories) * 3, dtype=float).reshape(-1, 3)
    rng = np.random.default_rng(1)
    rows_T, request_T = rng.integers(-1, 30, 90), rng.integers(0, len(histories), 90)
    for module in (co_occurrences, words):  # so few that a look-up holds two users, or a part
        monkeypatch.setattr(module, "CELLS", cells)
    together = maker.features(histories, users_BU, rows_T, request_T)
    for b, history in enumerate(histories):
        own_T = request_T == b
        alone = maker.features(
            [history], users_BU[b : b + 1], rows_T[own_T], np.zeros(own_T.sum(), np.intp)
        )
        np.testing.assert_array_equal(together[own_T], alone)


def test_nothing_known_is_finite_and_an_unknown_item_is_zero() -> None:
    world = World([])
    rows = np.array([0, UNKNOWN])
    stats = candidate_features(NEW_USER, rows, 0, world.statistics, world.catalogue)
    assert np.isfinite(stats).all()
    assert stats[0, FEATURES.index("unseen")] == 1.0
    assert not stats[1, : PAIRS.stop].any()
    empty = Catalogue()
    nothing = candidate_features(NEW_USER, np.array([UNKNOWN]), 0, Statistics(empty), empty)
    assert np.isfinite(nothing).all()


def test_what_follows_the_users_last_item_stands_out() -> None:
    pairs = [(f"v{n}", n) for n in range(6)]
    events = [click(u, i, 1_000 + 10 * n) for u, n in pairs for i in ("i1", "i2")]
    world = World([*events, click("u", "i1", 5_000)])
    stats = candidate_features(
        world.fold.user("u"), np.array([2, 3]), 6_000, world.statistics, world.catalogue
    )
    for name in ("after_last", "after_recent", "with_recent", "with_cosine"):
        assert stats[0, FEATURES.index(name)] > stats[1, FEATURES.index(name)] == 0.0


def test_a_rare_word_shared_with_the_history_stands_out() -> None:
    world = World([], items=0)
    titles = ("The Matrix", "The Matrix 2", "The Hobbit", "Alien")
    world.catalogue.put(Item(f"i{n}", title) for n, title in enumerate(titles))
    world.feed([click("u", "i0", 1_000)])
    user, rows = world.fold.user("u"), np.arange(4)
    stats = candidate_features(user, rows, 2_000, world.statistics, world.catalogue)
    shared = stats[:, FEATURES.index("shared_word")]
    assert shared.tolist() == pytest.approx([np.log(4 / 2), np.log(4 / 2), np.log(4 / 3), 0.0])


def test_a_new_title_is_read_anew() -> None:
    world = World([], items=0)
    world.catalogue.put([Item("i0", "The Matrix"), Item("i1", "Untitled")])
    world.feed([click("u", "i0", 1_000)])
    user, rows, at = world.fold.user("u"), np.arange(2), FEATURES.index("shared_word")
    before = candidate_features(user, rows, 2_000, world.statistics, world.catalogue)
    world.catalogue.put([Item("i1", "Matrix"), Item("i2", "Alien")])
    after = candidate_features(user, rows, 2_000, world.statistics, world.catalogue)
    assert before[1, at] == 0.0
    assert after[1, at] == pytest.approx(np.log(3 / 2))


def test_counts_halve_by_events_and_by_hours() -> None:
    world = World([click("u", "i1", 1_000)])
    before = world.accepts("i1").copy()
    assert before.tolist() == [1.0] * 6
    world.feed([view(f"x{n}", "i2", 1_000) for n in range(500)])
    assert world.accepts("i1")[0] == pytest.approx(0.5)
    assert world.accepts("i1")[4] == 1.0
    world.feed([view(f"y{n}", "i2", 1_000 + DAY_MS) for n in range(250)])
    assert world.accepts("i1")[4] == pytest.approx(0.5)


def test_a_stream_of_years_keeps_its_numbers_finite() -> None:
    world = World([click("u", "i1", 1_000)])
    for year in range(1, 12):
        world.feed([click(f"u{year}", "i2", 1_000 + year * 365 * DAY_MS)])
    counts = world.statistics.counts()
    assert np.isfinite(counts.accepts_ND).all()
    assert world.accepts("i2")[0] == pytest.approx(11.0, rel=0.02)
    assert world.accepts("i1")[3] == pytest.approx(0.0)


def test_rows_of_an_item_not_described_yet_wait_for_it() -> None:
    world = World([])
    late, source = Statistics(Catalogue()), Source("events", 0)
    world.feed([click("u", "i1", 1_000), click("u", "i2", 2_000)])
    late.apply_rows(source, world.rows)
    assert len(late.counts().accepts_ND) == 0
    late.catalogue.put([Item("i2", "Item 2"), Item("i1", "Item 1")])
    assert late.counts().accepts_ND[:, 0] == pytest.approx(1.0, rel=0.01)
    (pair,) = late.neighbours(0)
    assert pair.rows_E.tolist() == [1]


def test_negatives_are_repeatable_open_and_new_to_the_user() -> None:
    world = World(busy())
    world.catalogue.put([Item("i9", "Item 9", available=False)])
    sampler = NegativeSampler(world.statistics, world.catalogue, 20)
    drawn, other = (
        rows.tolist()
        for rows, _ in sampler.sample(3, [77, 78], [5, 5], [["i1", "i2"], ["i1", "i2"]])
    )
    ((again, _),) = sampler.sample(3, [77], [5], [["i1", "i2"]])
    assert drawn == again.tolist()
    assert drawn != other
    assert not {5, 1, 2, 9} & set(drawn)


@pytest.mark.parametrize("kept", [None, 3])
def test_log_q_is_how_often_an_item_is_drawn(kept: int | None) -> None:
    world = World(busy())
    sampler = NegativeSampler(world.statistics, world.catalogue, 6, kept)
    rows = np.arange(len(world.catalogue))
    drawn, shares = np.zeros(len(rows)), []
    for sampled, share in sampler.sample(0, range(4_000), [-1] * 4_000, [()] * 4_000):
        assert kept is None or len(sampled) <= kept
        drawn[sampled] += 1 / share
        shares.append(share)
    np.testing.assert_allclose(np.exp(sampler.log_q(rows)), drawn / 4_000, atol=0.03)
    assert (min(shares) < 1) == (kept is not None)
