"""The protocol of the replay, held with a scorer whose scores are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from streamrec.core.events import Interaction, Item, Kind
from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.user_state import UserState
from streamrec.lab.replay.compare import strongest
from streamrec.lab.replay.recorded import RecordedStream
from streamrec.lab.replay.replay import Replay, ReplayOptions
from streamrec.ports import LearnReport
from streamrec.tasks.ranking.example_maker import RankingRules
from streamrec.tasks.ranking.examples import RankingExample
from streamrec.tasks.ranking.features import FEATURES, FeatureMaker

ITEMS = [Item(f"i{n}", f"Item {n}") for n in range(12)]


class ByRow:
    """Scores an item by its row, the last row best; notes what it was asked."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self.ranked: list[UserState] = []
        self.scored: list[RankingExample] = []
        self.learned: list[RankingExample] = []
        self.queries: list[str] = []

    def rank(
        self,
        users: Sequence[UserState],
        now_ms: Sequence[int],
        features: FeatureMaker,
        queries: Sequence[str] = (),
    ) -> FloatArray:
        self.ranked += users
        self.queries += queries
        return np.tile(np.arange(len(self._catalogue), dtype=np.float32), (len(users), 1))

    def score(self, examples: Sequence[RankingExample]) -> list[FloatArray]:
        self.scored += examples
        return [self._catalogue.rows(e.candidates) / np.float32(100) for e in examples]

    def learn(self, examples: Sequence[RankingExample]) -> LearnReport:
        self.learned += examples
        return LearnReport(len(examples), 1, 0, {})

    def snapshot(self) -> ByRow:
        return self


def replay(
    events: list[Interaction], options: ReplayOptions | None = None
) -> tuple[ByRow, Replay, dict[str, object]]:
    catalogue = Catalogue()
    scorer = ByRow(catalogue)
    run = Replay(RecordedStream(ITEMS, events), catalogue, scorer, options or ReplayOptions())
    return scorer, run, run.run()


def act(  # noqa: PLR0917 - reads like the event itself
    n: int, kind: Kind, item: str, at_ms: int = 0, impression: str | None = None, user: str = "u"
) -> Interaction:
    return Interaction(f"e{n}", user, item, kind, at_ms or 1_000 + n, impression_id=impression)


def test_a_first_click_is_not_ranked_and_earlier_items_are_out_of_the_way() -> None:
    _, run, report = replay(
        [
            act(0, Kind.CLICK, "i11"),
            act(1, Kind.VIEW, "i10"),
            act(2, Kind.CLICK, "i8"),
            act(3, Kind.CLICK, "i3", user="other"),
        ]
    )
    assert [p.rank for p in run.predictions] == [2]  # behind i9 only
    assert report["next_click"]["n"] == 1
    assert run.predictions[0].history == 1


def test_the_users_own_state_is_exact_within_a_micro_batch() -> None:
    scorer, _, _ = replay([act(n, Kind.CLICK, f"i{n}") for n in range(4)])
    assert [user.history for user in scorer.ranked] == [
        ("i0",),
        ("i0", "i1"),
        ("i0", "i1", "i2"),
    ]


def test_shared_statistics_are_those_before_the_micro_batch() -> None:
    first = [act(n, Kind.VIEW, "i5", impression="p", user=f"v{n}") for n in range(4)]
    rest = [
        act(10, Kind.VIEW, "i5", impression="q"),
        act(11, Kind.VIEW, "i6", impression="q"),
        act(12, Kind.CLICK, "i6", impression="q"),
    ]
    scorer, _, _ = replay(first + rest, ReplayOptions(micro_batch=4))
    asked = scorer.scored[-1]
    views = asked.stats_CF[:, FEATURES.index("views_500ev")]
    assert views[0] == pytest.approx(np.log1p(4), abs=0.01)
    assert views[1] == 0.0


def test_an_impression_is_ranked_at_its_first_view_with_all_its_outcomes() -> None:
    scorer, run, report = replay(
        [
            act(0, Kind.VIEW, "i2", impression="p"),
            act(1, Kind.CLICK, "i1"),
            act(2, Kind.VIEW, "i4", impression="p"),
            act(3, Kind.CLICK, "i2", impression="p"),
        ]
    )
    (asked,) = scorer.scored
    assert asked.candidates == ("i2", "i4")
    assert asked.history == ()
    assert asked.labels_C.tolist() == [1.0, 0.0]
    assert report["impressions"]["n"] == 1
    assert report["impressions"]["auc"] == 0.0
    assert report["next_click"]["n"] == 0
    assert run.predictions[0].number == 0


def test_ties_count_against_us() -> None:
    class Flat(ByRow):
        def rank(
            self,
            users: Sequence[UserState],
            now_ms: Sequence[int],
            features: FeatureMaker,
            queries: Sequence[str] = (),
        ) -> FloatArray:
            return np.zeros((len(users), len(ITEMS)), np.float32)

    catalogue = Catalogue()
    events = [act(0, Kind.CLICK, "i0"), act(1, Kind.CLICK, "i1")]
    run = Replay(RecordedStream(ITEMS, events), catalogue, Flat(catalogue), ReplayOptions())
    run.run()
    assert [p.rank for p in run.predictions] == [len(ITEMS) - 1]


def test_a_target_nobody_described_counts_as_last() -> None:
    _, run, _ = replay([act(0, Kind.CLICK, "i0"), act(1, Kind.CLICK, "nowhere")])
    assert [p.rank for p in run.predictions] == [len(ITEMS) + 1]


def test_warm_up_builds_state_and_is_neither_scored_nor_learned() -> None:
    events = [act(n, Kind.CLICK, f"i{n}", at_ms=1_000 * (n + 1)) for n in range(6)]
    options = ReplayOptions(warmup_until_ms=4_000, rules=RankingRules(sampled_negatives=3))
    scorer, run, report = replay(events, options)
    assert [p.number for p in run.predictions] == [3, 4, 5]
    assert scorer.ranked[0].history == ("i0", "i1", "i2")
    assert {e.offset for e in scorer.learned} == {3, 4, 5}
    assert report["second_half"]["next_click"]["n"] == 2


def test_no_learning_when_told() -> None:
    events = [act(n, Kind.CLICK, f"i{n}") for n in range(6)]
    scorer, run, report = replay(events, ReplayOptions(learn=False))
    assert not scorer.learned
    assert report["learning"]["examples"] == 0
    assert len(run.predictions) == 5


def test_a_repeated_event_is_not_ranked_again() -> None:
    again = act(1, Kind.CLICK, "i1")
    _, run, _ = replay([act(0, Kind.CLICK, "i0"), again, again])
    assert len(run.predictions) == 1


def test_the_strongest_scorer_of_a_stream_is_found() -> None:
    class Backwards(ByRow):
        def rank(
            self,
            users: Sequence[UserState],
            now_ms: Sequence[int],
            features: FeatureMaker,
            queries: Sequence[str] = (),
        ) -> FloatArray:
            return -super().rank(users, now_ms, features)

    catalogue = Catalogue()
    stream = RecordedStream(ITEMS, [act(0, Kind.CLICK, "i0"), act(1, Kind.CLICK, "i1")])
    of = {"last first": ByRow(catalogue), "first first": Backwards(catalogue)}
    families = {
        "as given": of,
        "turned": dict(reversed(of.items())),
        "one": {"last": ByRow(catalogue)},
    }
    assert strongest(stream, catalogue, ReplayOptions(), families) == {
        "as given": "first first",
        "turned": "first first",
        "one": "last",
    }


def test_every_fourth_sampled_list_checks_probabilities_before_it_is_learned() -> None:
    scorer, _, report = replay([act(n, Kind.CLICK, f"i{n}") for n in range(9)])
    assert [example.offset for example in scorer.scored] == [0, 4, 8]
    assert report["calibration"]["of"] == "sampled_lists"
    assert report["calibration"]["n"] == sum(len(e.candidates) for e in scorer.scored)


def test_what_was_asked_for_is_ranked_given_its_words_and_reported_apart() -> None:
    asked = Interaction("e0", "new", "i11", Kind.CLICK, 1_000, query="bees")
    searched = Interaction("e1", "u", "", Kind.SEARCH, 2_000, query="wasps")
    events = [asked, searched, act(2, Kind.CLICK, "i3", 2_100), act(3, Kind.CLICK, "i4", 10**7)]
    scorer, run, report = replay(events)
    assert scorer.queries == ["bees", "wasps", ""]
    assert [(p.number, p.asked) for p in run.predictions] == [(0, True), (2, True), (3, False)]
    assert (report["queries"]["n"], report["next_click"]["n"]) == (2, 1)
    assert [example.query for example in scorer.learned] == ["bees", "wasps", ""]
