"""Strict predict-then-learn evaluation of a recorded stream, without Kafka.

Knows the protocol: what is ranked, against what, when, and what may be known then. Does not
know the model (``lab.replay.contest.ReplayLearner``) or the files' format.

- What is predicted: ``lab.replay.recorded``. A next click is ranked against the whole
catalogue
  minus the items the user had to do with before (items merely shown in an impression stay
  in; the target always is). An item nobody has described cannot be ranked: it counts as last.
- Ties count against the prediction.

Events are taken ``micro_batch`` at a time: predict all, then fold, then learn. A user's own
state is exact at every event; shared statistics and weights lag by less than a micro-batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.fold import Located, PartitionFold
from streamrec.core.state.statistics import Statistics
from streamrec.core.tasks import RANKING
from streamrec.lab.measures.leaderboard import (
    Prediction,
    ScoredSpan,
    differences,
    second_half,
    slice_differences,
)
from streamrec.lab.replay.contest import Contestant, Outside, RaceRecord, ReplayLearner
from streamrec.lab.replay.recorded import RecordedStream, Walk
from streamrec.tasks.ranking.example_maker import RankingExamples, RankingRules, ranking_examples
from streamrec.tasks.ranking.examples import RankingExample
from streamrec.tasks.ranking.features import COUNTERS


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    warmup_until_ms: int | None = None  # earlier events only build state
    learn: bool = True
    micro_batch: int = 32
    rules: RankingRules = RankingRules()
    seed: int = 0  # of the bootstrap that judges differences


@dataclass(frozen=True, slots=True)
class ReplayProgress:
    """What a person watching wants to know."""

    events: int
    of: int
    examples: int
    next_click: Mapping[str, float]
    impressions: Mapping[str, float]


class Replay:
    """One pass over a stream: one learner, and others beside it on the same predictions."""

    def __init__(
        self,
        stream: RecordedStream,
        catalogue: Catalogue,
        learner: ReplayLearner,
        options: ReplayOptions,
        compare: Mapping[str, ReplayLearner] | None = None,
    ) -> None:
        """``catalogue`` is the learners' own; the stream's items are put into it."""
        catalogue.put(stream.items)
        self._stream = stream
        self._catalogue = catalogue
        self._statistics = Statistics(catalogue)
        rules = options.rules
        self._maker = RankingExamples(0, rules.sampled_negatives, catalogue, self._statistics)
        self._fold = PartitionFold(
            0,
            rules,
            catalogue,
            self._statistics,
            makers={RANKING: self._maker},
            counters=COUNTERS,
        )
        self._walk = Walk(stream, catalogue)
        self._options = options
        self._main = Contestant(learner, learner.snapshot())
        self._others = {
            name: Contestant(other, other.snapshot()) for name, other in (compare or {}).items()
        }
        self.span = ScoredSpan(stream.first_at(options.warmup_until_ms), len(stream.events))

    @property
    def predictions(self) -> list[Prediction]:
        """The main learner's, in order."""
        return self._main.predictions

    def run(self, on_progress: Callable[[ReplayProgress], None] | None = None) -> dict[str, Any]:
        """``play``, then the report."""
        self.play(on_progress)
        return self.report(self._others)

    def play(self, on_progress: Callable[[ReplayProgress], None] | None = None) -> list[Contestant]:
        """Go through the stream; the main contestant comes first, others in their order.

        ``on_progress`` is called after every micro-batch. Seconds of the main learner
        include the fold and the features, which others share.
        """
        first, last, main_seconds = self.span.first, self.span.stop, 0.0
        for start, stop in _cuts(first, last, self._options.micro_batch):
            began, elsewhere = time.perf_counter(), self._elsewhere()
            self._micro_batch(start, stop)
            elsewhere = self._elsewhere() - elsewhere
            main_seconds += time.perf_counter() - began - elsewhere
            if on_progress is not None:
                on_progress(self._progress(stop))
        self._main.seconds = main_seconds
        return self._contestants()

    def _micro_batch(self, start: int, stop: int) -> None:
        wanted, shown = self._walk.advance(start, stop)
        scored = start >= self.span.first
        if scored:
            outside = Outside(self._catalogue, self._statistics, self._maker.features())
            for contestant in self._contestants():
                contestant.predict(wanted, shown, outside)
        examples = self._apply(start, stop)
        if self._options.learn and scored and examples:
            for contestant in self._contestants():
                contestant.learn(examples)

    def _elsewhere(self) -> float:
        return sum(other.seconds for other in self._others.values())

    def _contestants(self) -> list[Contestant]:
        return [self._main, *self._others.values()]

    def report(self, others: Mapping[str, RaceRecord]) -> dict[str, Any]:
        """Of what has been played; ``others`` may have raced elsewhere, on the same stream."""
        report = self._main.report(self.span)
        if others:
            ours = self._main.predictions
            report["compare"] = {
                name: other.report(self.span) | self._against(ours, other.predictions)
                for name, other in others.items()
            }
        return report

    def _against(self, ours: list[Prediction], theirs: list[Prediction]) -> dict[str, Any]:
        span, seed = self.span, self._options.seed
        halves = second_half(ours, span), second_half(theirs, span)
        return {
            "difference": differences(*halves, seed),
            "slice_difference": slice_differences(ours, theirs, span, seed),
        }

    def _apply(self, start: int, stop: int) -> list[RankingExample]:
        """Fold a micro-batch."""
        events = self._stream.events[start:stop]
        run = [Located(start + n, e.occurred_at_ms, e, True) for n, e in enumerate(events)]
        self._fold.put_users(dict.fromkeys(self._fold.missing_users(run)))
        return ranking_examples(self._fold.apply(run, now_ms=0))

    def _progress(self, stop: int) -> ReplayProgress:
        main = self._main
        return ReplayProgress(
            stop,
            len(self._stream.events),
            main.examples,
            main.running.next_click.report(),
            main.running.impressions.report(),
        )


def _cuts(first: int, stop: int, size: int) -> Iterator[tuple[int, int]]:
    """Micro-batches; one starts exactly at ``first``."""
    edges = sorted({*range(0, first, size), *range(first, stop, size), stop})
    return pairwise(edges)
