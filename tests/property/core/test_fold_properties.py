"""The fold is a pure function of the log: how it is cut into runs does not matter."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streamrec.core.events import Interaction, Item, Kind, Source
from streamrec.core.state.catalogue import Catalogue, item_from_record, item_record
from streamrec.core.state.fold import Located, PartitionFold
from streamrec.core.state.statistics import Statistics
from streamrec.core.state.user_state import UserState
from streamrec.tasks.ranking.example_maker import RankingRules, ranking_examples, ranking_fold
from streamrec.tasks.ranking.examples import RankingExample
from tests.fakes.kept import Kept

ITEMS = [Item(f"i{n}", f"Item {n}", categories=(f"c{n % 3}",)) for n in range(8)]
HOUR_MS = 3_600_000
ODD_MS = [*[0] * 12, 23 * HOUR_MS, 5 * HOUR_MS, 7 * HOUR_MS // 60, -9 * HOUR_MS, 500_000 * HOUR_MS]
"""How far off a producer's clock is."""


@st.composite
def logs(draw: st.DrawFn, *, odd: bool = True) -> list[Located]:
    moments = draw(st.lists(st.integers(0, 400), min_size=1, max_size=40))
    log, now = [], 1_767_225_600_000
    for offset, step in enumerate(moments):
        now += step - 50  # a little late now and then
        event = Interaction(
            event_id=f"e{draw(st.integers(0, 60))}",
            user_id=f"u{draw(st.integers(0, 2))}",
            item_id=f"i{draw(st.integers(0, 9))}",  # two of them unknown to the catalogue
            kind=draw(st.sampled_from(list(Kind))),
            occurred_at_ms=now + (draw(st.sampled_from(ODD_MS)) if odd else 0),
            value=draw(st.sampled_from([None, 0.2, 0.9])),
            impression_id=draw(st.sampled_from([None, "p", "q"])),
        )
        made_ms = draw(st.sampled_from([event.occurred_at_ms] * 6 + [now, 0]))
        log.append(Located(offset, made_ms, event, draw(st.integers(0, 9)) == 0))
    return log


class Outcome:
    """Everything stored after folding a log in runs, each run by a fold of its own or not."""

    def __init__(self, log: Sequence[Located], cuts: Sequence[int], *, takeover: bool) -> None:
        self.kept = Kept()
        self.examples: list[RankingExample] = []
        self.forgotten: list[tuple[int, int, str]] = []
        fold = None
        for start, stop in zip([0, *cuts], [*cuts, len(log)], strict=True):
            if fold is None or takeover:
                fold = self._new_fold()
            run = log[start:stop]
            result = self.kept.feed(fold, run)
            self.forgotten += [(e.offset, e.index, e.user_id) for e in result.forgotten]
            self.examples += ranking_examples(result)

    def _new_fold(self) -> PartitionFold:
        catalogue = Catalogue()
        catalogue.apply_rows({item.item_id: item_record(item) for item in ITEMS})
        self.statistics = Statistics(catalogue)
        rules = RankingRules(1, attribution_window_ms=500, sampled_negatives=4)
        fold = ranking_fold(0, rules, catalogue, self.statistics)
        self.kept.hand_to(fold)
        return fold

    @property
    def rows(self) -> dict[str, Any]:
        return self.kept.rows

    def users_without_features(self) -> dict[str, Any]:
        return {u: _strip(record) for u, record in self.kept.users.items()}


def _strip(record: dict[str, Any]) -> dict[str, Any]:
    return record | {"p": [p | {"f": "", "ef": ""} for p in record["p"]], "df": []}


@st.composite
def cut_logs(draw: st.DrawFn, *, odd: bool = True) -> tuple[list[Located], list[int]]:
    log = draw(logs(odd=odd))
    cuts = draw(st.sets(st.integers(1, max(1, len(log) - 1)), max_size=6))
    return log, sorted(c for c in cuts if c < len(log))


@settings(deadline=None, max_examples=60)
@given(cut_logs(), st.booleans())
def test_cutting_the_log_elsewhere_changes_no_bit(
    cut_log: tuple[list[Located], list[int]], takeover: bool
) -> None:
    log, cuts = cut_log
    whole, pieces = Outcome(log, [], takeover=False), Outcome(log, cuts, takeover=takeover)
    assert pieces.users_without_features() == whole.users_without_features()
    assert pieces.rows == whole.rows
    assert pieces.forgotten == whole.forgotten
    keys = [(e.offset, e.index, e.kind, e.user_id, e.history) for e in whole.examples]
    assert [(e.offset, e.index, e.kind, e.user_id, e.history) for e in pieces.examples] == keys
    for ours, theirs in zip(pieces.examples, whole.examples, strict=True):
        assert ours.labels_C[0] == theirs.labels_C[0]
        assert np.isfinite(ours.stats_CF).all()


@settings(deadline=None, max_examples=60)
@given(cut_logs(odd=False))
def test_the_mirror_of_a_log_is_the_same_however_its_rows_arrive(
    cut_log: tuple[list[Located], list[int]],
) -> None:
    log, cuts = cut_log
    outcome = Outcome(log, cuts, takeover=False)
    late = Statistics(outcome.statistics.catalogue)
    late.apply_rows(Source("events", 0), outcome.rows)
    ours, theirs = outcome.statistics.counts(), late.counts()
    np.testing.assert_allclose(ours.accepts_ND, theirs.accepts_ND, rtol=1e-9)
    np.testing.assert_allclose(ours.views_ND, theirs.views_ND, rtol=1e-9)
    assert (ours.first_seen_ms_N == theirs.first_seen_ms_N).all()
    np.testing.assert_array_equal(outcome.statistics.pair_totals(), late.pair_totals())


@settings(deadline=None, max_examples=60)
@given(logs())
def test_user_records_round_trip(log: list[Located]) -> None:
    for record in Outcome(log, [], takeover=False).kept.users.values():
        assert UserState.from_record(record).to_record() == record


@settings(deadline=None, max_examples=60)
@given(
    st.builds(
        Item,
        item_id=st.text(min_size=1),
        title=st.text(),
        text=st.text(),
        categories=st.lists(st.text()).map(tuple),
        attributes=st.dictionaries(st.text(), st.text()),
        available=st.booleans(),
    )
)
def test_item_records_round_trip(item: Item) -> None:
    assert item_from_record(json.loads(json.dumps(item_record(item)))) == item
