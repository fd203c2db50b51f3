"""Everything the house must know of a statistic follows from its declaration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from streamrec.core.events import Interaction, Item, Kind, Source
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.counters import Counter, Numbers, Owner
from streamrec.core.state.fold import FoldResult, FoldRules, Located, PartitionFold
from streamrec.core.state.statistics import Statistics
from streamrec.core.state.user_state import UserState
from streamrec.tasks.ranking.features import FEATURE_SET, FEATURES, FeatureMaker, user_features
from streamrec.tasks.ranking.lists.reasons import GROUPS, reason
from streamrec.tasks.ranking.model.head import INPUTS
from streamrec.tasks.ranking.statistics.activity import Activity
from streamrec.tasks.ranking.statistics.declaration import (
    InputColumn,
    InputGroup,
    ItemStatistic,
    ReasonInputs,
    UserStatistic,
    if_above_usual,
    if_below_usual,
    if_positive,
    silent,
)
from streamrec.tasks.ranking.statistics.moment import Moment
from streamrec.tasks.ranking.statistics.popularity import Accepts
from streamrec.tasks.ranking.statistics.registry import STATISTICS, StatisticSet
from tests.fakes.kept import Kept
from tests.unit.core.test_fold import click, event, view

HOUR_MS = 3_600_000
SOURCE = Source("events", 0)


def hour_of(at_ms: int) -> int:
    return at_ms // HOUR_MS % 24


def by_hour(accepts: Numbers, event: Interaction) -> Numbers:
    hour = hour_of(event.occurred_at_ms)
    return tuple(n + (h == hour and event.accepted) for h, n in enumerate(accepts))


class ItemHours(ItemStatistic):
    """Of the item's accepted events, the share that came at this hour of day."""

    hours = Counter("hours", Owner.ITEM, 24, by_hour)
    counter = hours
    columns = (InputColumn("hour_share", InputGroup.AGE, if_positive("often chosen at this hour")),)

    def items(self, moment: Moment) -> Sequence[np.ndarray]:
        counts_NH = moment.statistics.counted(self.hours)
        at_hour_N = counts_NH[:, hour_of(moment.counts.watermark_ms)]
        return [at_hour_N / np.maximum(counts_NH.sum(1), 1.0)]


class UserHours(UserStatistic):
    """Of the user's accepted events, the share that came at this hour of day."""

    hours = Counter("my_hours", Owner.USER, 24, by_hour)
    counter = hours
    columns = (InputColumn("user_hour_share", InputGroup.USER, silent),)

    @staticmethod
    def user(user: UserState, now_ms: int) -> tuple[float, ...]:
        hours = UserHours.hours.of_user(user)
        return (hours[hour_of(now_ms)] / max(sum(hours), 1.0),)


EXTENDED = StatisticSet((Accepts, ItemHours, Activity, UserHours))


class Partition:
    """A fold whose results are kept as a store would keep them."""

    def __init__(self, declared: StatisticSet = EXTENDED) -> None:
        self.catalogue = Catalogue()
        self.catalogue.put([Item(f"i{n}", f"Item {n}") for n in range(3)])
        self.declared = declared
        self.kept = Kept()
        self.rows, self.users = self.kept.rows, self.kept.users
        self.offset = 0
        self.take_over()

    def take_over(self) -> None:
        """A new fold from what is stored."""
        self.statistics = Statistics(self.catalogue)
        self.fold = PartitionFold(
            0,
            FoldRules(),
            self.catalogue,
            self.statistics,
            makers={},
            counters=self.declared.counters,
        )
        self.kept.hand_to(self.fold)

    def feed(self, *events: Interaction) -> FoldResult:
        run = [Located(self.offset + n, 0, event) for n, event in enumerate(events)]
        self.offset += len(run)
        return self.kept.feed(self.fold, run)

    def mirrored(self) -> Statistics:
        """The same rows, as a server's mirror reads them."""
        mirror = Statistics(self.catalogue)
        mirror.apply_rows(SOURCE, self.rows)
        return mirror

    def user(self, name: str) -> UserState:
        record = self.users[name]
        assert record is not None
        return UserState.from_record(record)


def test_the_columns_are_those_of_version_0_1() -> None:
    """Checkpoints, generations and stored features are named by it."""
    assert FEATURE_SET == "638012a217ff"
    assert INPUTS[: len(FEATURES)] == FEATURES


def test_a_column_without_group_or_reason_cannot_be_declared() -> None:
    with pytest.raises(TypeError, match="reason"):
        InputColumn("age", InputGroup.AGE)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="group"):
        InputColumn(name="age", reason=silent)  # type: ignore[call-arg]
    for column in STATISTICS.columns:
        assert isinstance(column.group, InputGroup)
        nothing = ReasonInputs(np.zeros(len(GROUPS)), np.zeros(0), np.zeros(0), {}, None, None)
        assert column.reason(column.name, nothing) == ""


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="accepts_500ev"):
        StatisticSet((Accepts, Activity, Accepts))
    columns = {"columns": (InputColumn("other", InputGroup.AGE, silent),)}
    sharing = type("Sharing", (ItemHours,), columns)
    assert len(StatisticSet((ItemHours, sharing)).counters) == 1
    other = {"counter": Counter("hours", Owner.ITEM, 1, by_hour)}
    with pytest.raises(ValueError, match="two counters are called 'hours'"):
        StatisticSet((ItemHours, type("Other", (ItemHours,), columns | other)))


def test_as_many_values_as_columns() -> None:
    more = type("MoreHours", (ItemHours,), {"columns": ItemHours.columns * 2})
    with pytest.raises(ValueError, match="MoreHours: 2 columns"):
        more(Moment(Statistics(Catalogue()), Catalogue()))


def test_a_statistic_of_its_own_counter_goes_from_the_fold_to_the_reason() -> None:
    partition = Partition()
    at = [h * HOUR_MS for h in (3, 4, 28)]  # 28 is 4 o'clock again
    partition.feed(click("u", "i1", at[0]), click("v", "i1", at[1]), view("v", "i2", at[2]))
    assert partition.rows["s/hours/i1"] == {"v": [0.0] * 3 + [1.0, 1.0] + [0.0] * 19}
    assert "s/hours/i2" not in partition.rows  # nothing has changed
    maker = FeatureMaker(partition.mirrored(), partition.catalogue, EXTENDED)
    user_U = user_features(partition.user("v"), at[2], EXTENDED)
    stats_TF = maker.features([()], np.array([user_U]), np.arange(3), np.zeros(3, np.intp))
    assert stats_TF.shape == (3, len(EXTENDED.names))
    assert stats_TF[:, EXTENDED.names.index("hour_share")].tolist() == [0.0, 0.5, 0.0]
    assert stats_TF[:, EXTENDED.names.index("user_hour_share")].tolist() == [1.0] * 3
    seen = ReasonInputs(
        parts_G=np.array([group is InputGroup.AGE for group in InputGroup], np.float32),
        raw_D=stats_TF[1],
        standard_D=stats_TF[1],
        at={name: place for place, name in enumerate(EXTENDED.names)},
        nearest=None,
        last=None,
    )
    assert reason(seen, EXTENDED.columns) == "often chosen at this hour"


def test_counters_are_the_same_however_the_log_is_cut() -> None:
    log = [
        click(f"u{n % 2}", f"i{n % 3}", n * HOUR_MS + 1) if n % 4 else view("u1", "i1", n * HOUR_MS)
        for n in range(18)
    ]
    whole, pieces = Partition(), Partition()
    whole.feed(*log)
    for start in range(0, len(log), 3):
        pieces.feed(*log[start : start + 3])
        pieces.take_over()
    for partition in (whole, pieces):
        counted = {key: row for key, row in partition.rows.items() if key.startswith("s/")}
        assert len(counted) == 3
        assert sum(sum(row["v"]) for row in counted.values()) == 13.0
        assert sum(partition.user("u1").counted["my_hours"]) == 9.0
    assert whole.rows.items() >= {k: r for k, r in pieces.rows.items() if k[:2] == "s/"}.items()
    assert whole.user("u0").counted == pieces.user("u0").counted
    counted_NH = pieces.statistics.counted(ItemHours.hours)
    np.testing.assert_array_equal(counted_NH, whole.mirrored().counted(ItemHours.hours))


def test_partitions_add_up_and_an_item_not_described_yet_waits() -> None:
    partition, late = Partition(), Statistics(Catalogue())
    partition.feed(click("u", "i1", 1))
    for number in range(2):
        late.apply_rows(Source("events", number), partition.rows)
    assert late.counted(ItemHours.hours).shape == (0, 24)
    late.catalogue.put([Item("i1", "Item 1")])
    assert late.counted(ItemHours.hours)[0, 0] == 2.0


def test_a_forgotten_user_takes_what_was_counted_of_him_along() -> None:
    partition = Partition()
    partition.feed(click("u", "i1", 1))
    assert partition.user("u").counted
    partition.feed(event(Kind.FORGET, "u", "", 2))
    assert "u" not in partition.users
    assert partition.fold.user("u").counted == {}
    partition.feed(click("u", "i2", 3))
    assert sum(partition.user("u").counted["my_hours"]) == 1.0


def test_insisting_on_one_item_does_not_lift_its_counters() -> None:
    partition = Partition()
    partition.feed(*(click("u", "i1", n) for n in range(1, 9)))
    assert partition.rows["s/hours/i1"]["v"][0] == FoldRules().repeats


def test_records_of_another_width_or_of_no_declared_counter_are_left_alone() -> None:
    partition = Partition()
    partition.feed(click("u", "i1", 1))
    partition.rows["s/hours/i1"] = {"v": [9.0]}
    partition.users["u"] = (partition.users["u"] or {}) | {"k": {"my_hours": [9.0], "gone": [1.0]}}
    partition.take_over()
    partition.feed(click("u", "i1", 2))
    assert partition.rows["s/hours/i1"]["v"][0] == 1.0
    assert partition.user("u").counted["my_hours"][0] == 1.0
    assert partition.user("u").counted["gone"] == (1.0,)


def test_rows_and_records_of_version_0_1_are_read_and_written_as_they_were() -> None:
    counts = [2, 1_000, 500, 1_000, *[1.5] * 6, *[0.5] * 6]
    partition = Partition(STATISTICS)
    partition.rows |= {
        "c": {"n": 7, "t": 1_000},
        "i/i1": {"s": counts},
        "n/i1": {"i": ["i2"], "c": [1.5], "t": [1], "n": 1.5},
    }
    partition.users["u"] = {
        "h": ["i1"], "ht": [5], "c": ["i1"], "n": [0, 1], "s": [5, 5], "e": ["e"], "p": [], "x": [],
    }  # fmt: skip
    assert partition.user("u").to_record() == partition.users["u"] | {"m": [0, 0]}
    partition.take_over()
    assert partition.statistics.counts().accepts("168h")[1] == pytest.approx(0.5)
    partition.feed(view("u", "i0", 1_000))
    assert (partition.rows["c"]["n"], partition.rows["c"]["t"]) == (8, 1_000)
    assert set(partition.rows) == {"c", "i/i0", "i/i1", "n/i1"}
    assert partition.rows["i/i1"] == {"s": counts}
    assert set(partition.users["u"] or {}) == {"h", "ht", "c", "n", "s", "m", "e", "p", "x"}


@pytest.mark.parametrize(("name", "width"), [("", 1), ("a/b", 1), ("a", 0)])
def test_a_counter_that_cannot_be_stored_is_refused(name: str, width: int) -> None:
    with pytest.raises(ValueError, match="a counter has a name"):
        Counter(name, Owner.ITEM, width, by_hour)


def test_words_are_borne_out_by_the_numbers() -> None:
    values = np.array([1.0], np.float32)
    seen = ReasonInputs(np.ones(1), values, -values, {"x": 0}, None, "Solaris {nearest}")
    assert if_positive("after {last}")("x", seen) == "after Solaris {nearest}"
    assert if_positive("near {nearest}")("x", seen) == ""  # there is none
    assert if_positive("y")("not an input", seen) == ""
    assert if_above_usual("more")("x", seen) == ""
    assert if_below_usual("less")("x", seen) == "less"
