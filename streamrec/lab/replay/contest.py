"""One model in a replay: what it predicted, how that went, how it learned.

Knows how wanted predictions become ranks and probabilities.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

import numpy as np

from streamrec.core.examples import FloatArray
from streamrec.core.measures.prequential import rank_of
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.statistics import Statistics
from streamrec.core.state.user_state import UserState
from streamrec.lab.measures.leaderboard import (
    Metrics,
    Prediction,
    SampledList,
    ScoredSpan,
    curve,
    report_of,
    slices_of,
)
from streamrec.lab.replay.recorded import NextClick, ShownList
from streamrec.ports import LearnReport
from streamrec.tasks.ranking.examples import ExampleKind, RankingExample
from streamrec.tasks.ranking.features import FeatureMaker, user_features

_SLOWEST = "50000ev"  # the count that comes nearest to "all so far"

RANKED_AT_ONCE = 8
"""Users ranked in one call: bounds memory, B × N × inputs."""

CHECKED_PART = 4
"""One in so many sampled lists is scored before it is learned, to check probabilities."""


class ReplayScorer(Protocol):
    """A frozen model; see ``ports.Scorer`` and ``ports.ServingModel``."""

    def score(self, examples: Sequence[RankingExample]) -> list[FloatArray]: ...

    def rank(
        self,
        users: Sequence[UserState],
        now_ms: Sequence[int],
        features: FeatureMaker,
        queries: Sequence[str] = (),
    ) -> FloatArray: ...


class ReplayLearner(Protocol):
    """See ``ports.Learner``."""

    def learn(self, examples: Sequence[RankingExample]) -> LearnReport: ...

    def snapshot(self) -> ReplayScorer: ...


@dataclass(frozen=True, slots=True)
class Outside:
    """What a prediction needs beside the scorer, as it was before the micro-batch."""

    catalogue: Catalogue
    statistics: Statistics
    features: FeatureMaker
    made: dict[int, list[Prediction]] = field(default_factory=dict)
    """By the id of the scorer: those who share one predict the same."""


@dataclass(slots=True, kw_only=True)
class RaceRecord:
    """What a model in the race has predicted and learned; light enough for another process."""

    running: Metrics = field(default_factory=Metrics)
    predictions: list[Prediction] = field(default_factory=list)
    lists: list[SampledList] = field(default_factory=list)
    examples: int = 0
    steps: int = 0
    generations: int = 0
    seconds: float = 0.0

    def report(self, span: ScoredSpan) -> dict[str, Any]:
        return report_of(self.predictions, span, self.lists) | {
            "slices": slices_of(self.predictions, span),
            "curve": curve(self.predictions, span),
            "learning": {
                "examples": self.examples,
                "steps": self.steps,
                "generations": self.generations,
                "seconds": round(self.seconds, 3),
            },
        }


@dataclass(slots=True)
class Contestant(RaceRecord):
    """One model in the race."""

    learner: ReplayLearner
    scorer: ReplayScorer

    @property
    def record(self) -> RaceRecord:
        """Without the model."""
        return RaceRecord(**{f.name: getattr(self, f.name) for f in fields(RaceRecord)})

    def predict(
        self, wanted: Sequence[NextClick], shown: Sequence[ShownList], outside: Outside
    ) -> None:
        began = time.perf_counter()
        made = outside.made.get(id(self.scorer))
        if made is None:
            made = [
                *_rank_shown(shown, self.scorer, outside),
                *_rank_wanted(wanted, self.scorer, outside),
            ]
            made.sort(key=lambda prediction: prediction.number)
            outside.made[id(self.scorer)] = made
        self.predictions += made
        for prediction in made:
            self.running.add(prediction)
        self.seconds += time.perf_counter() - began

    def learn(self, examples: Sequence[RankingExample]) -> None:
        """Check probabilities on some of the examples, then learn from all of them."""
        began = time.perf_counter()
        checked = [e for e in examples if _is_checked(e)]
        if checked:
            scores = self.scorer.score(checked)
            for example, scores_C in zip(checked, scores, strict=True):
                self.lists.append(SampledList(example.offset, scores_C, example.labels_C))
        self.examples += len(examples)
        steps = self.learner.learn(examples).steps
        self.steps += steps
        if steps:
            self.scorer = self.learner.snapshot()
            self.generations += 1
        self.seconds += time.perf_counter() - began


def _is_checked(example: RankingExample) -> bool:
    return example.kind is ExampleKind.NEXT_CLICK and example.offset % CHECKED_PART == 0


def _rank_wanted(
    wanted: Sequence[NextClick], scorer: ReplayScorer, outside: Outside
) -> Iterator[Prediction]:
    accepts_N = outside.statistics.counts().accepts(_SLOWEST)
    for at in range(0, len(wanted), RANKED_AT_ONCE):
        group = wanted[at : at + RANKED_AT_ONCE]
        users, now_ms = [w.user for w in group], [w.event.occurred_at_ms for w in group]
        queries = [want.query for want in group]
        scores_BN = scorer.rank(users, now_ms, outside.features, queries)
        for want, scores_N in zip(group, scores_BN, strict=True):
            allowed_N = outside.catalogue.available.copy()
            allowed_N[list(want.earlier_rows)] = False
            target = want.target
            rank = len(scores_N) + 1 if target is None else rank_of(target, scores_N, allowed_N)
            yield Prediction(
                want.number,
                want.event.user_id,
                want.user.accepts,
                0.0 if target is None else float(accepts_N[target]),
                want.event.occurred_at_ms - want.user.last_seen_ms,
                rank,
                asked=bool(want.query),
                again=want.event.item_id in want.user.history,
            )


def _rank_shown(
    shown: Sequence[ShownList], scorer: ReplayScorer, outside: Outside
) -> Iterator[Prediction]:
    if not shown:
        return
    accepts_N = outside.statistics.counts().accepts(_SLOWEST)
    rows = [outside.catalogue.rows(s.item_ids) for s in shown]
    stats_TF = outside.features.features(
        [s.user.history for s in shown],
        np.array([user_features(s.user, s.now_ms) for s in shown]),
        np.concatenate(rows),
        np.repeat(np.arange(len(shown)), [len(r) for r in rows]),
    )
    stats = np.split(stats_TF, np.cumsum([len(r) for r in rows])[:-1])
    examples = [_as_example(s, stats_CF) for s, stats_CF in zip(shown, stats, strict=True)]
    for s, rows_C, p_C in zip(shown, rows, scorer.score(examples), strict=True):
        known = rows_C[rows_C >= 0]
        mean = float(accepts_N[known].mean()) if len(known) else 0.0
        away_ms = s.now_ms - s.user.last_seen_ms
        yield Prediction(s.number, s.user_id, s.user.accepts, mean, away_ms, 0, p_C, s.labels_C)


def _as_example(shown: ShownList, stats_CF: FloatArray) -> RankingExample:
    return RankingExample(
        partition=0,
        offset=shown.number,
        index=0,
        kind=ExampleKind.IMPRESSION,
        user_id=shown.user_id,
        shown_at_ms=shown.now_ms,
        produced_at_ms=shown.now_ms,
        history=shown.user.history,
        candidates=shown.item_ids,
        labels_C=shown.labels_C,
        stats_CF=stats_CF,
        log_q_C=np.zeros(len(shown.item_ids), np.float32),
        query=shown.query,
    )
