"""What one event, or a few, do to users, rows and examples."""

from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np
import pytest

from streamrec.core.events import WITH_ITEM, Interaction, Item, Kind, Source
from streamrec.core.state.attribution import OPEN_IMPRESSIONS
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.fold import FoldResult, Located
from streamrec.core.state.statistics import Statistics
from streamrec.core.state.user_state import CLOSED, NEW_USER, Pending, Shown, UserState
from streamrec.core.tasks import RANKING
from streamrec.tasks.ranking.example_maker import RankingRules, ranking_fold
from streamrec.tasks.ranking.examples import ExampleKind, RankingExample
from streamrec.tasks.ranking.features import FEATURES

WINDOW_MS = 1_000
ITEMS = [Item(f"i{n}", f"Item {n}", categories=(f"c{n % 3}",)) for n in range(30)]
ONE_LIST = Pending("p", 100, (), (), (Shown("i1"),))


class Partition:
    """A fold fed one run at a time, with offsets counted here."""

    def __init__(self, items: list[Item] = ITEMS) -> None:
        self.catalogue = Catalogue()
        self.catalogue.put(items)
        self.statistics = Statistics(self.catalogue)
        rules = RankingRules(1, attribution_window_ms=WINDOW_MS, sampled_negatives=10)
        self.fold = ranking_fold(0, rules, self.catalogue, self.statistics)
        self.offset = 0

    def feed(self, *events: Interaction) -> FoldResult:
        run = [Located(self.offset + n, 7_000 + n, event) for n, event in enumerate(events)]
        self.offset += len(run)
        self.fold.put_users(dict.fromkeys(self.fold.missing_users(run)))
        return ranked(self.fold.apply(run, now_ms=9_000))


def ranked(result: FoldResult) -> FoldResult:
    """With ranking's examples alone, as a plain list."""
    return replace(result, examples=result.examples[RANKING])


def event(
    kind: Kind, user: str, item: str, at_ms: int, impression: str | None = None
) -> Interaction:
    name = f"{kind}-{user}-{item}-{at_ms}"
    return Interaction(name, user, item, kind, at_ms, impression_id=impression)


def view(user: str, item: str, at_ms: int, impression: str | None = None) -> Interaction:
    return event(Kind.VIEW, user, item, at_ms, impression)


def click(user: str, item: str, at_ms: int, impression: str | None = None) -> Interaction:
    return event(Kind.CLICK, user, item, at_ms, impression)


def labels(example: RankingExample) -> dict[str, float]:
    return dict(zip(example.candidates, example.labels_C.tolist(), strict=True))


def test_a_click_without_impression_is_an_example_at_once_of_the_user_before_it() -> None:
    partition = Partition()
    partition.feed(click("u", "i1", 100))
    (example,) = partition.feed(click("u", "i2", 200)).examples
    assert example.kind is ExampleKind.NEXT_CLICK
    assert (example.offset, example.index) == (1, 0)
    assert example.history == ("i1",)
    assert example.candidates[0] == "i2"
    assert example.labels_C.tolist() == [1.0] + [0.0] * (len(example.candidates) - 1)
    assert "i1" not in example.candidates  # consumed: never a negative
    assert len(set(example.candidates)) == len(example.candidates)
    assert example.stats_CF.shape == (len(example.candidates), len(FEATURES))
    assert example.log_q_C[0] == 0.0  # the accepted item is in its list for certain
    assert (example.log_q_C[1:] < 0).all()


def test_an_impression_closes_when_the_watermark_passes_its_window() -> None:
    partition = Partition()
    shown = [view("u", f"i{n}", 100 + n, "p") for n in range(3)]
    assert not partition.feed(*shown, click("u", "i1", 300, "p")).examples
    assert not partition.feed(click("other", "i9", 100 + WINDOW_MS - 1)).examples[1:]
    closed = partition.feed(click("other", "i8", 100 + WINDOW_MS)).examples[0]
    assert closed.kind is ExampleKind.IMPRESSION
    assert closed.user_id == "u"
    assert labels(closed) == {"i0": 0.0, "i1": 1.0, "i2": 0.0}
    assert closed.history == ()  # before the first view
    assert (closed.log_q_C == 0).all()


def test_a_click_after_the_window_is_counted_but_not_learned() -> None:
    partition = Partition()
    partition.feed(view("u", "i1", 100, "p"), view("u", "i2", 100, "p"))
    (closed,) = partition.feed(click("u", "i1", 100 + WINDOW_MS, "p")).examples
    assert closed.kind is ExampleKind.IMPRESSION
    assert closed.labels_C.sum() == 0
    assert partition.fold.user("u").history == ("i1",)
    late = partition.feed(click("u", "i2", 200 + WINDOW_MS, "p"))
    assert (late.examples, late.late_clicks) == ([], 1)
    assert partition.statistics.counts().accepts_ND[1:3, -1].min() > 0


def test_a_click_on_a_list_that_newer_ones_pushed_out_is_too_late() -> None:
    partition = Partition()
    lists = [view("u", f"i{n}", 100 + n, f"p{n}") for n in range(OPEN_IMPRESSIONS + 1)]
    (pushed,) = partition.feed(*lists).examples
    assert labels(pushed) == {"i0": 0.0}
    assert not partition.feed(click("u", "i0", 300, "p0")).examples


def test_a_click_that_names_a_list_nobody_reported_is_a_next_click() -> None:
    partition = Partition()
    partition.feed(view("u", "i1", 100, "p"), click("v", "i9", 100 + WINDOW_MS))
    assert not partition.feed(click("u", "i1", 200 + WINDOW_MS, "q")).examples  # views may come
    (example,) = partition.feed(view("v", "i8", 200 + 2 * WINDOW_MS, "v")).examples
    assert example.kind is ExampleKind.NEXT_CLICK
    assert example.candidates[0] == "i1"
    assert example.stats_CF[0, FEATURES.index("unseen")] == 0.0


def test_closed_lists_are_known_after_a_takeover_and_older_records_do_not_say() -> None:
    partition = Partition()
    partition.feed(view("u", "i1", 100, "p"))
    record = partition.feed(click("v", "i9", 100 + WINDOW_MS)).users["u"]
    assert record is not None
    state = UserState.from_record(record)
    assert state.closed == ("p",)
    assert UserState.from_record({k: v for k, v in record.items() if k != "x"}).closed == ()
    many = [replace(ONE_LIST, impression_id=f"p{n}") for n in range(CLOSED + 5)]
    assert state.without(many).closed == tuple(f"p{n}" for n in range(5, CLOSED + 5))


def test_two_lists_on_one_page_keep_their_own_clicks() -> None:
    partition = Partition()
    partition.feed(view("u", "i1", 100, "top"), view("u", "i2", 101, "side"))
    partition.feed(click("u", "i1", 150, "top"), click("u", "i2", 160, "side"))
    closed = partition.feed(view("x", "i5", 101 + WINDOW_MS)).examples
    assert [labels(e) for e in closed] == [{"i1": 1.0}, {"i2": 1.0}]


def test_the_fifth_open_impression_closes_the_first() -> None:
    partition = Partition()
    result = partition.feed(*(view("u", f"i{n}", 100 + n, f"p{n}") for n in range(5)))
    assert [e.candidates for e in result.examples] == [("i0",)]
    assert not partition.feed(view("u", "i9", 200, "p4")).examples


@pytest.mark.parametrize(("kind", "label"), [(Kind.CLICK, 1.0), (Kind.DISLIKE, 0.0)])
def test_a_single_view_closes_with_its_outcome(kind: Kind, label: float) -> None:
    partition = Partition()
    partition.feed(view("u", "i1", 100))
    examples = partition.feed(event(kind, "u", "i1", 200)).examples
    assert examples[0].kind is ExampleKind.VIEW
    assert labels(examples[0]) == {"i1": label}
    assert [e.kind for e in examples[1:]] == ([ExampleKind.NEXT_CLICK] if label else [])


def test_a_single_view_without_outcome_is_a_negative() -> None:
    partition = Partition()
    partition.feed(view("u", "i1", 100))
    (example,) = partition.feed(view("x", "i2", 100 + WINDOW_MS)).examples
    assert labels(example) == {"i1": 0.0}


def test_a_short_play_is_a_negative_at_once() -> None:
    partition = Partition()
    short = Interaction("e", "u", "i1", Kind.PLAY, 100, value=0.1)
    (example,) = partition.feed(short).examples
    assert example.kind is ExampleKind.VIEW
    assert labels(example) == {"i1": 0.0}


def test_a_repeated_event_changes_nothing() -> None:
    partition = Partition()
    first = click("u", "i1", 100)
    partition.feed(first)
    again = partition.feed(first)
    assert again.duplicates == 1
    assert not again.users
    assert not again.examples
    assert list(again.rows) == ["c"]
    assert again.rows["c"]["n"] == 1


def test_shown_items_are_not_consumed_and_viewed_ones_are() -> None:
    partition = Partition()
    partition.feed(view("u", "i1", 100, "p"), view("u", "i2", 110), click("u", "i3", 120))
    partition.feed(event(Kind.DISLIKE, "u", "i4", 130))
    assert partition.fold.user("u").consumed == ("i2", "i3", "i4")


def test_an_unknown_item_is_folded_and_counted_but_no_example_comes_of_it() -> None:
    partition = Partition()
    result = partition.feed(click("u", "nowhere", 100))
    assert result.unknown_items == 1
    assert not result.examples
    assert partition.fold.user("u").history == ("nowhere",)
    partition.catalogue.put([Item("nowhere", "Here now")])
    row = partition.catalogue.row("nowhere")
    assert partition.statistics.counts().accepts_ND[row, 0] == 1.0


@pytest.mark.parametrize("kind", sorted(set(Kind) - WITH_ITEM - {Kind.FORGET}))
def test_words_count_for_no_item_and_leave_their_user_seen(kind: Kind) -> None:
    partition, other = Partition(), Partition()
    for one in (partition, other):
        one.feed(click("u", "i1", 100))
    result = partition.feed(event(kind, "u", "i2", 200), event(kind, "v", "", 300))
    assert (list(result.updates), result.examples, result.unknown_items) == ([], [], 0)
    assert not [name for name in result.rows if name != "c"], "nothing but the clock has moved"
    assert partition.fold.user("v").last_seen_ms == 300
    expected = replace(other.fold.user("u"), last_seen_ms=200)
    found = partition.fold.user("u").to_record()
    assert found | expected.replies.to_record() == expected.to_record() | found
    assert found.keys() - expected.to_record().keys() <= {"r"}, "replies, and nothing else"
    assert not partition.feed(event(kind, "u", "i2", 200)).users, "it counts once"


def test_updates_come_for_what_changes_recommendations() -> None:
    partition = Partition()
    result = partition.feed(
        view("u", "i1", 100, "p"), click("u", "i1", 110, "p"), view("u", "i2", 120)
    )
    assert [(u.item_id, u.offset, u.applied_at_ms) for u in result.updates] == [
        ("i1", 1, 9_000),
        ("i2", 2, 9_000),
    ]


def test_features_speak_of_the_time_before_the_run() -> None:
    partition = Partition()
    shown = view("u", "i1", 300, "p")
    partition.feed(click("x", "i1", 100), shown, click("y", "i1", 301))
    (closed,) = [
        e
        for e in partition.feed(view("z", "i2", 300 + WINDOW_MS)).examples
        if e.kind is ExampleKind.IMPRESSION
    ]
    assert closed.stats_CF[0, FEATURES.index("unseen")] == 1.0
    assert np.isfinite(closed.stats_CF).all()


def test_an_event_of_a_user_not_put_is_refused() -> None:
    partition = Partition()
    with pytest.raises(KeyError):
        partition.fold.apply([Located(0, 0, click("u", "i1", 100))], 0)


def test_a_fold_taken_over_goes_on_as_if_nothing_had_happened() -> None:
    events = [view("u", "i1", 100, "p"), click("v", "i2", 150), click("u", "i1", 200, "p")]
    rest = [click("v", "i3", 100 + WINDOW_MS)]
    whole, broken = Partition(), Partition()
    whole.feed(*events)
    before = broken.feed(*events)
    heir = Partition()
    heir.fold.load_rows(before.rows, before.own, before.logs)
    run = [Located(3, 0, rest[0])]
    assert set(heir.fold.missing_users(run)) == {"u", "v"}
    heir.fold.put_users(before.users)
    result, expected = ranked(heir.fold.apply(run, 0)), whole.feed(*rest)
    assert result.rows == expected.rows
    assert result.users == expected.users
    for ours, theirs in zip(result.examples, expected.examples, strict=True):
        assert ours.candidates == theirs.candidates
        assert np.array_equal(ours.stats_CF, theirs.stats_CF)


def test_shares_of_two_partitions_add_up() -> None:
    one = Partition()
    other = Statistics(one.catalogue)
    for number in range(2):
        rules = RankingRules(1, WINDOW_MS, sampled_negatives=10)
        fold = ranking_fold(number, rules, one.catalogue, one.statistics)
        fold.put_users({"u": None})
        rows = fold.apply([Located(0, 0, click("u", "i1", 100))], 0).rows
        other.apply_rows(Source("events", number), rows)
    row = one.catalogue.row("i1")
    assert one.statistics.counts().accepts_ND[row].tolist() == [2.0] * 6
    assert other.counts().accepts_ND[row].tolist() == [2.0] * 6


def test_impressions_still_open_at_an_upgrade_of_the_features_are_given_up() -> None:
    """Found by a drill: such an impression kept the worker crashing, start after start."""
    before = Partition()
    shown = before.feed(view("u", "i1", 100, "p"), view("u", "i2", 101, "p"))
    older = shown.users["u"]
    (pending,) = older["p"]
    fewer = np.zeros((2, len(FEATURES) - 1), "<f4")
    pending["f"] = base64.b64encode(fewer.tobytes()).decode()

    upgraded = Partition()
    upgraded.fold.load_rows(shown.rows, shown.own, shown.logs)
    upgraded.fold.put_users({"u": older})
    run = [Located(2, 7_000, view("u", "i3", 102, "p")), Located(3, 7_001, click("u", "i1", 103))]
    result = ranked(upgraded.fold.apply(run, now_ms=9_000))
    (clicked,) = result.examples
    assert clicked.kind is ExampleKind.NEXT_CLICK
    assert [p["s"] for p in result.users["u"]["p"]] == [["i3"]]
    late = [Located(4, 8_000, click("u", "i4", 104 + 2 * WINDOW_MS))]
    opened = ranked(upgraded.fold.apply(late, now_ms=9_000)).examples[0]
    assert opened.candidates == ("i3",)
    assert opened.stats_CF.shape == (1, len(FEATURES))


def test_a_user_clicking_one_item_again_and_again_does_not_lift_it_without_bound() -> None:
    partition = Partition()
    for n in range(40):
        partition.feed(click("bot", "i1", 100 + n), click(f"u{n}", "i2", 100 + n))
    views, accepts = (
        getattr(partition.statistics.counts(), name)[:, 2] for name in ("views_ND", "accepts_ND")
    )
    lifted, liked = partition.catalogue.rows(["i1", "i2"])
    assert 2.9 < accepts[lifted] <= 3.0
    assert views[lifted] == accepts[lifted]  # insistence does not spoil its rate either
    assert accepts[liked] > 39.0
    assert partition.fold.user("bot").accepts == 40  # what is known of the user stays whole


def test_a_state_is_changed_in_fields_that_it_has() -> None:
    assert NEW_USER.but(history=("a",)) == replace(NEW_USER, history=("a",))
    with pytest.raises(TypeError, match="histori"):
        NEW_USER.but(histori=("a",))
