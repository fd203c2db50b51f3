"""Wordings of items: who counts them, who is shown which, and when a test may end."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrec.core.events import Interaction, Item, Kind, Variant
from streamrec.core.state.catalogue import Catalogue, item_from_record, item_record
from streamrec.core.state.fold import FoldRules, Located, PartitionFold
from streamrec.core.state.statistics import Statistics
from streamrec.core.variants.credit import (
    CREDIT,
    MAX_ID_BYTES,
    SLOTS,
    counts_of,
    digest24,
    named,
    room,
    shown_in,
)
from streamrec.core.variants.stopping import report_of
from streamrec.core.variants.traffic import WordingTraffic, arms_of
from streamrec.core.variants.wording_rules import WordingRules
from streamrec.errors import InvalidField

ITEM = Item("i1", "Plain", variants=(Variant("a", "One way"), Variant("b", "Another way")))


def event(number: int, kind: Kind, name: str, user: str = "ann", item: str = "i1") -> Interaction:
    at_ms = 1_600_000_000_000 + number * 1_000
    return Interaction(f"e{number}", user, item, kind, at_ms, recommendation_id=name)


def table(*events: Interaction) -> np.ndarray:
    numbers = (0.0,) * CREDIT.width
    for one in events:
        numbers = CREDIT.update(numbers, one)
    return np.array(numbers)


def counted(*events: Interaction, variants: tuple[str, ...] = ("a", "b")):
    views_A, clicks_A = counts_of(variants, [table(*events)])
    return list(zip(views_A, clicks_A, strict=True))


IDS = st.text(min_size=1, max_size=30)


@given(IDS, IDS, st.dictionaries(IDS, IDS, max_size=4))
def test_a_list_id_says_which_wordings_it_showed_and_to_whom(name, user, shown):
    made = named(name, user, shown)
    expected = {digest24(item): digest24(variant) for item, variant in shown.items()}
    assert shown_in(made, user) == expected
    assert not shown or shown_in(made, user + "x") == {}
    assert not shown or shown_in(made[:-1], user) == {}
    assert shown_in(name, user) == {} or "~" in name


def test_an_id_never_outgrows_what_events_may_name():
    name = "request:" + "r" * 100
    items = {f"i{n}": "a" for n in range(room(name))}
    assert len(named(name, "ann", items)) <= MAX_ID_BYTES
    assert room("r" * 256) == 0


def test_views_and_clicks_count_for_the_wording_that_was_shown():
    first, other = named("r:1", "ann", {"i1": "a"}), named("r:2", "ann", {"i1": "b"})
    assert counted(
        event(1, Kind.VIEW, first),
        event(2, Kind.CLICK, first),
        event(3, Kind.VIEW, other),
        event(4, Kind.DISLIKE, other),
    ) == [(1, 1), (1, 0)]
    assert counted(event(1, Kind.CLICK, first)) == [(1, 1), (0, 0)]  # nobody said it was viewed


def test_what_is_somebody_elses_or_made_up_counts_nowhere():
    name = named("r:1", "ann", {"i1": "a"})
    assert counted(
        event(1, Kind.VIEW, name, user="ben"),
        event(2, Kind.VIEW, name, item="i2"),
        event(3, Kind.VIEW, name + "AAAA"),
        event(4, Kind.VIEW, "r:1~not base64!"),
        event(5, Kind.VIEW, "r:1"),
    ) == [(0, 0), (0, 0)]


def test_new_wordings_enter_and_the_least_seen_makes_room():
    events = []
    for n in range(SLOTS + 1):
        name = named(f"r:{n}", "ann", {"i1": f"v{n}"})
        events += [event(10 * n + k, Kind.VIEW, name) for k in range(n + 1)]
    found = counted(*events, variants=tuple(f"v{n}" for n in range(SLOTS + 1)))
    assert found[0] == (0, 0)
    assert [views for views, _ in found[1:]] == [n + 1 for n in range(1, SLOTS + 1)]


@given(st.permutations(range(12)), st.lists(st.integers(0, 11), max_size=8))
def test_the_fold_counts_each_event_once_whatever_is_repeated(order, again):
    """Also when a run is cut anywhere: what is stored and loaded goes on."""
    names = [named(f"r:{n}", f"u{n % 3}", {"i1": "ab"[n % 2]}) for n in range(12)]
    kinds = [Kind.CLICK if n % 4 == 3 else Kind.VIEW for n in range(12)]
    events = [event(n, kinds[n], names[n], user=f"u{n % 3}") for n in range(12)]
    run = [events[n] for n in [*order, *again]]
    catalogue = Catalogue()
    catalogue.put([ITEM])
    statistics = Statistics(catalogue)
    fold = PartitionFold(0, FoldRules(), catalogue, statistics, makers={}, counters=(CREDIT,))
    located = [Located(n, 0, one) for n, one in enumerate(run)]
    fold.put_users(dict.fromkeys(fold.missing_users(located)))
    for one in located:
        fold.apply([one], now_ms=0)
    views_A, clicks_A = counts_of(("a", "b"), statistics.counted_apart(CREDIT, 0))
    expected = Counter((n % 2, kinds[n]) for n in range(12))
    assert views_A.tolist() == [
        max(expected[side, Kind.VIEW], expected[side, Kind.CLICK]) for side in (0, 1)
    ]
    assert clicks_A.tolist() == [expected[side, Kind.CLICK] for side in (0, 1)]


def test_traffic_goes_where_clicks_are_and_is_logged_as_it_was_drawn():
    good, bad = named("r:1", "ann", {"i1": "b"}), named("r:2", "ann", {"i1": "a"})
    seen = [event(n, Kind.VIEW, name) for n, name in enumerate([good, bad] * 300)]
    clicks = [event(1_000 + n, Kind.CLICK, good) for n in range(60)]
    traffic, tables = WordingTraffic(), [table(*seen, *clicks)]
    given_out = [traffic.assign(f"u{n}", ITEM, tables, period=1) for n in range(500)]
    assert sum(one.variant_id == "b" for one in given_out) > 490
    assert all(one.propensity > 0.9 for one in given_out if one.variant_id == "b")
    fresh = [traffic.assign(f"u{n}", ITEM, [], period=1) for n in range(500)]
    assert 200 < sum(one.variant_id == "b" for one in fresh) < 300
    assert fresh == [WordingTraffic().assign(f"u{n}", ITEM, [], period=1) for n in range(500)]


def test_a_test_may_end_only_when_it_is_sure():
    def tables(views: int, clicks_a: int, clicks_b: int) -> list[np.ndarray]:
        made = np.zeros(CREDIT.width)
        made[:6] = [digest24("a"), views, clicks_a, digest24("b"), views, clicks_b]
        return [made]

    assert report_of(arms_of(ITEM, [])).winner is None
    assert report_of(arms_of(ITEM, tables(50, 2, 25))).winner is None  # too few views
    assert report_of(arms_of(ITEM, tables(2_000, 40, 45))).winner is None
    sure = report_of(arms_of(ITEM, tables(2_000, 40, 120)))
    assert sure.winner == "b"
    a, b = sure.arms
    assert b.loss < 1e-6 < a.loss
    assert b.low < 0.06 < b.high
    assert a.share + b.share == pytest.approx(1)


def test_equal_wordings_rarely_end_a_test_however_often_it_is_looked_at():
    drawn, wrong = np.random.default_rng(4), 0
    for _ in range(60):
        clicked_KA = drawn.random((3_000, 2)) < 0.05
        for views in range(100, 3_001, 100):
            a, b = clicked_KA[:views].sum(axis=0)
            made = np.zeros(CREDIT.width)
            made[:6] = [digest24("a"), views, a, digest24("b"), views, b]
            if report_of(arms_of(ITEM, [made])).winner:
                wrong += 1
                break
    assert wrong <= 6


@pytest.mark.parametrize(
    ("title", "blocked", "refused"),
    [
        ("A Shocking truth", "shocking", True),
        ("A shockingly good one", "shocking", False),
        ("You won't BELIEVE it", "won't believe", True),
        ("震惊世界", "震惊", True),
        ("The first of its kind and rather long", "none", True),  # above 30 characters
        ("A quiet one", "  ", False),
    ],
)
def test_a_wording_that_nobody_may_see_is_refused_by_name(title, blocked, refused):
    rules = WordingRules(max_chars=30, blocked=(blocked,))
    item = Item("i1", "Plain", variants=(Variant("a", "Fine"), Variant("b", title)))
    if refused:
        with pytest.raises(InvalidField, match="variant 'b' of 'i1'"):
            rules.check(item)
    else:
        rules.check(item)


def test_an_item_keeps_its_variants_in_its_row():
    assert item_from_record(item_record(ITEM)) == ITEM
    assert "variants" not in item_record(Item("i2", "Plain"))


def test_two_ids_of_one_digest_are_refused():
    seen: dict[int, str] = {}
    for n in range(20_000):
        twin = seen.setdefault(digest24(f"v{n}"), f"v{n}")
        if twin != f"v{n}":
            break
    else:
        pytest.fail("no two of 20,000 ids have one digest: 24 bits were more than we thought")
    item = Item("i1", "Plain", variants=(Variant(twin, "One"), Variant(f"v{n}", "Another")))
    with pytest.raises(InvalidField, match="rename one"):
        WordingRules().check(item)
