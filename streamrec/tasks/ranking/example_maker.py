"""Ranking's examples in the making: told event by event, finished once a run.

Knows how an example is put together, and that the features of everything a run has shown are
computed in one call, from the statistics as they were before it (docs/adr/0030). When an example
closes is the fold's to say, which negatives are drawn ``tasks.ranking.negatives``', what a feature
is made of ``tasks.ranking.features``'.

Shapes: T candidates of one run, C of one example, F features.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrec.core.examples import Example, FloatArray
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.example_maker import Closed, ExampleMaker
from streamrec.core.state.fold import FoldResult, FoldRules, PartitionFold
from streamrec.core.state.statistics import Statistics
from streamrec.core.state.user_state import Pending, Shown, UserState
from streamrec.core.tasks import RANKING
from streamrec.core.variants.credit import CREDIT
from streamrec.ports import ExampleSource
from streamrec.tasks.ranking.examples import FORMAT, ExampleKind, RankingExample
from streamrec.tasks.ranking.features import (
    COUNTERS,
    FEATURES,
    USER_FEATURES,
    FeatureMaker,
    user_features,
)
from streamrec.tasks.ranking.negatives import NegativeSampler

Rows = NDArray[np.int64]

SAMPLED_NEGATIVES, KEPT_NEGATIVES = 100, 63
"""Drawn beside an item that was accepted unasked, and sent: the learner keeps no more than 64
candidates (docs/adr/0157)."""


@dataclass(frozen=True, slots=True)
class RankingRules(FoldRules):
    """Of a fold that makes ranking's examples."""

    sampled_negatives: int = SAMPLED_NEGATIVES


@dataclass(frozen=True, slots=True, eq=False)
class _Candidates:
    """What an example says of each candidate."""

    ids: tuple[str, ...]
    labels_C: FloatArray
    stats_CF: FloatArray
    log_q_C: FloatArray


class RankingExamples(ExampleMaker):
    """Finishes the drafts of one partition, from statistics that move on between runs."""

    def __init__(
        self, partition: int, negatives: int, catalogue: Catalogue, statistics: Statistics
    ) -> None:
        self._partition = partition
        self._negatives = negatives
        self._catalogue = catalogue
        self._statistics = statistics
        self._prepared: tuple[tuple[int, int], FeatureMaker, NegativeSampler] | None = None
        self._shown: list[tuple[Pending, Shown]] = []  # features to be logged
        self._closed: list[Closed] = []

    def features(self) -> FeatureMaker:
        """Features from the statistics as they stand."""
        return self._prepare()[0]

    def logged(self, before: UserState, at_ms: int) -> tuple[float, ...]:
        return user_features(before, at_ms)

    def fits(self, pending: Pending) -> bool:
        return len(pending.user_U) == len(USER_FEATURES) and all(
            shown.stats_F is None or len(shown.stats_F) == len(FEATURES)
            for shown in (*pending.shown, *pending.early)
        )

    def shown(self, pending: Pending, shown: Shown) -> None:
        self._shown.append((pending, shown))

    def closed(self, closed: Closed) -> None:
        self._closed.append(closed)

    def finish(self) -> list[Example]:
        """Log the features of what was shown; then one example for each that closed, in order."""
        shown, closed = self._shown, self._closed
        self._shown, self._closed = [], []
        drawn = self._draw([one for one in closed if one.consumed is not None])
        asked = [(pending, self._catalogue.rows([item.item_id])) for pending, item in shown]
        logged = self._features(
            [*asked, *((one.pending, rows) for one, (rows, _) in drawn.items())]
        )
        for (_, item), stats_CF in zip(shown, logged[: len(asked)], strict=True):
            item.stats_F = stats_CF[0]
        sampled = {
            one: self._drawn(one.pending.shown[0], rows_C, log_q_C, stats_CF)
            for (one, (rows_C, _)), log_q_C, stats_CF in zip(
                drawn.items(), self._log_q(drawn.values()), logged[len(asked) :], strict=True
            )
        }
        return [
            self._example(one, index, sampled.get(one) or _shown(one.pending))
            for _, of_one_event in groupby(closed, attrgetter("offset"))
            for index, one in enumerate(of_one_event)
        ]

    def _prepare(self) -> tuple[FeatureMaker, NegativeSampler]:
        key = (self._statistics.version, self._catalogue.version)
        if self._prepared is None or self._prepared[0] != key:
            maker = FeatureMaker(self._statistics, self._catalogue)
            sampler = NegativeSampler(
                self._statistics, self._catalogue, self._negatives, KEPT_NEGATIVES
            )
            self._prepared = (key, maker, sampler)
        return self._prepared[1:]

    def _draw(self, closed: Sequence[Closed]) -> dict[Closed, tuple[Rows, float]]:
        """Catalogue rows of each, (C,): the accepted item, and negatives beside it; the share that
        these are of those drawn."""
        if not closed:
            return {}
        _, sampler = self._prepare()
        targets_K = self._catalogue.rows([one.pending.shown[0].item_id for one in closed])
        drawn = sampler.sample(
            self._partition,
            [one.offset for one in closed],
            targets_K.tolist(),
            [one.consumed or () for one in closed],
        )
        return {
            one: (np.concatenate([[target], rows]), share)
            for target, one, (rows, share) in zip(targets_K.tolist(), closed, drawn, strict=True)
        }

    def _features(
        self, asked: Sequence[tuple[Pending, NDArray[np.integer[Any]]]]
    ) -> list[FloatArray]:
        """Of the rows asked for with each pending, all in one call: (C, F) each."""
        if not asked:
            return []
        users: dict[Shown, Pending] = {}
        for pending, _ in asked:  # joined pendings share the first item: one history, one user
            users.setdefault(_first(pending), pending)
        number = {first: n for n, first in enumerate(users)}
        sizes = [len(rows) for _, rows in asked]
        stats_TF = self.features().features(
            [user.history for user in users.values()],
            np.array([user.user_U for user in users.values()]),
            np.concatenate([rows for _, rows in asked]),
            np.repeat(np.array([number[_first(p)] for p, _ in asked], np.intp), sizes),
        )
        ends = np.cumsum(sizes).tolist()
        return [stats_TF[end - size : end] for size, end in zip(sizes, ends, strict=True)]

    def _log_q(self, drawn: Collection[tuple[Rows, float]]) -> list[FloatArray]:
        """Of what was drawn with each, (C,)."""
        if not drawn:
            return []
        sizes = [len(rows_C) for rows_C, _ in drawn]
        log_q_T = self._prepare()[1].log_q(np.concatenate([rows_C for rows_C, _ in drawn]))
        log_q_T += np.repeat(np.log([share for _, share in drawn]).astype(np.float32), sizes)
        ends = np.cumsum(sizes)
        log_q_T[ends - sizes] = 0.0  # the accepted item is in its own list for certain
        return np.split(log_q_T, ends[:-1])

    def _drawn(
        self, target: Shown, rows_C: Rows, log_q_C: FloatArray, stats_CF: FloatArray
    ) -> _Candidates:
        """What was logged of ``target`` before, if it was, stays; else it is logged now."""
        if target.stats_F is None:
            target.stats_F = stats_CF[0]
        else:
            stats_CF[0] = target.stats_F
        labels_C = np.zeros(len(rows_C), np.float32)
        labels_C[0] = 1.0
        return _Candidates(tuple(self._catalogue.ids(rows_C)), labels_C, stats_CF, log_q_C)

    def _example(self, closed: Closed, index: int, candidates: _Candidates) -> RankingExample:
        return RankingExample(
            partition=self._partition,
            offset=closed.offset,
            index=index,
            kind=_kind(closed),
            user_id=closed.user_id,
            shown_at_ms=closed.pending.opened_at_ms,
            produced_at_ms=closed.produced_at_ms,
            history=closed.pending.history,
            candidates=candidates.ids,
            labels_C=candidates.labels_C,
            stats_CF=candidates.stats_CF,
            log_q_C=candidates.log_q_C,
            query=closed.pending.query,
        )


def _first(pending: Pending) -> Shown:
    return (pending.shown or pending.early)[0]


def _kind(closed: Closed) -> ExampleKind:
    if closed.consumed is not None:
        return ExampleKind.NEXT_CLICK
    return ExampleKind.IMPRESSION if closed.pending.impression_id else ExampleKind.VIEW


def ranking_fold(
    partition: int, rules: RankingRules, catalogue: Catalogue, statistics: Statistics
) -> PartitionFold:
    """A partition's fold that makes ranking's examples, and no other task's."""
    maker = RankingExamples(partition, rules.sampled_negatives, catalogue, statistics)
    makers = {RANKING: maker}
    return PartitionFold(partition, rules, catalogue, statistics, makers=makers, counters=COUNTERS)


def example_source(negatives: int = SAMPLED_NEGATIVES) -> ExampleSource:
    """``negatives``: sampled beside an item that was accepted unasked."""

    def make(partition: int, catalogue: Catalogue, statistics: Statistics) -> RankingExamples:
        return RankingExamples(partition, negatives, catalogue, statistics)

    return ExampleSource(RANKING, FORMAT, make, (*COUNTERS, CREDIT))


def ranking_examples(result: FoldResult) -> list[RankingExample]:
    """Those of a run that ``ranking_fold`` has folded."""
    return [e for e in result.examples[RANKING] if isinstance(e, RankingExample)]


def _shown(pending: Pending) -> _Candidates:
    ids = tuple(shown.item_id for shown in pending.shown)
    return _Candidates(
        ids,
        np.array([item_id in pending.accepted for item_id in ids], np.float32),
        np.stack([shown.stats_F for shown in pending.shown if shown.stats_F is not None]),
        np.zeros(len(ids), np.float32),
    )
