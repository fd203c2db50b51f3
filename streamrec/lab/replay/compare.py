"""Baselines for the replay: learners that learn nothing, or stop learning.

Knows how a scorer becomes a ``ReplayLearner`` and how the strongest of several is found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from streamrec.core.state.catalogue import Catalogue
from streamrec.lab.measures.leaderboard import Metrics
from streamrec.lab.measures.metric_names import IMPRESSIONS, MAIN_METRIC, NEXT_CLICK
from streamrec.lab.replay.contest import ReplayLearner, ReplayScorer
from streamrec.lab.replay.recorded import RecordedStream
from streamrec.lab.replay.replay import Replay, ReplayOptions
from streamrec.ports import LearnReport
from streamrec.tasks.ranking.examples import RankingExample


class Unlearned:
    """A scorer that stays as it is."""

    def __init__(self, scorer: ReplayScorer) -> None:
        self._scorer = scorer

    def learn(self, examples: Sequence[RankingExample]) -> LearnReport:
        return LearnReport(len(examples), 0, 0, {})

    def snapshot(self) -> ReplayScorer:
        return self._scorer


class LearnsUntil:
    """A learner whose weights are frozen from an event on; statistics stay live.

    This is *static*: what a model trained once on the first part of the stream can do.
    """

    def __init__(self, learner: ReplayLearner, stop: int) -> None:
        """``stop``: events from this offset on teach it nothing."""
        self._learner, self._stop = learner, stop

    def learn(self, examples: Sequence[RankingExample]) -> LearnReport:
        early = [example for example in examples if example.offset < self._stop]
        return self._learner.learn(early) if early else LearnReport(0, 0, 0, {})

    def snapshot(self) -> ReplayScorer:
        return self._learner.snapshot()


def strongest(
    stream: RecordedStream,
    catalogue: Catalogue,
    options: ReplayOptions,
    of: Mapping[str, ReplayScorer],
) -> str:
    """The name of the scorer that did best on a stream (the first of them in a tie).

    A baseline must not lose for want of the right half-life: it is chosen on the part of
    the stream that *static* learns from.
    """
    learners = {name: Unlearned(scorer) for name, scorer in of.items()}
    first, *_ = learners
    others = {name: learner for name, learner in learners.items() if name != first}
    played = Replay(stream, catalogue, learners[first], options, others).play()
    quality = [_quality(contestant.running) for contestant in played]
    return list(learners)[quality.index(max(quality))]


def _quality(metrics: Metrics) -> float:
    """In the main metric of the kind there is more of."""
    report = metrics.report()
    kind = max((NEXT_CLICK, IMPRESSIONS), key=lambda kind: report[kind]["n"])
    return float(report[kind][MAIN_METRIC[kind]])
