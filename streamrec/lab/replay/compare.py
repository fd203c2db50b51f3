"""Baselines for the replay: learners that learn nothing, or stop learning.

Knows how a scorer becomes a ``ReplayLearner`` and how the strongest of several is found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

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


class LearnerWithStatic:
    """A learner, and ``LearnsUntil`` of the same learner beside it: until then they are one."""

    def __init__(self, learner: ReplayLearner, stop: int) -> None:
        """``stop``: of the other one; see ``LearnsUntil``."""
        self._learner, self._stop = learner, stop
        self._scorer = learner.snapshot()
        self.static = _Static(self._scorer)

    def learn(self, examples: Sequence[RankingExample]) -> LearnReport:
        """Events come in order: what the other learns comes first."""
        early = [example for example in examples if example.offset < self._stop]
        late = [example for example in examples if example.offset >= self._stop]
        before = self._learn(early)
        self.static.follow(before, self._scorer)
        after = self._learn(late)
        return replace(after, steps=before.steps + after.steps)

    def _learn(self, examples: Sequence[RankingExample]) -> LearnReport:
        if not examples:
            return LearnReport(0, 0, 0, {})
        report = self._learner.learn(examples)
        if report.steps:
            self._scorer = self._learner.snapshot()
        return report

    def snapshot(self) -> ReplayScorer:
        return self._scorer


class _Static:
    """What another has learned of the same examples just before."""

    def __init__(self, scorer: ReplayScorer) -> None:
        self._scorer, self._report = scorer, LearnReport(0, 0, 0, {})

    def follow(self, report: LearnReport, scorer: ReplayScorer) -> None:
        """``scorer``: by what has been learned in time."""
        self._report = report
        if report.steps:
            self._scorer = scorer

    def learn(self, _examples: Sequence[RankingExample]) -> LearnReport:
        return self._report

    def snapshot(self) -> ReplayScorer:
        return self._scorer


def strongest(
    stream: RecordedStream,
    catalogue: Catalogue,
    options: ReplayOptions,
    families: Mapping[str, Mapping[str, ReplayScorer]],
) -> dict[str, str]:
    """By family, the name of the scorer that did best on a stream (the first of them in a tie).

    A baseline must not lose for want of the right half-life: it is chosen on the part of
    the stream that *static* learns from.
    """
    learners = {
        (family, name): Unlearned(scorer)
        for family, scorers in families.items()
        for name, scorer in scorers.items()
    }
    first, *others = learners
    rest = {"/".join(at): learners[at] for at in others}
    played = Replay(stream, catalogue, learners[first], options, rest).play()
    best: dict[str, tuple[float, str]] = {}
    for (family, name), contestant in zip(learners, played, strict=True):
        quality = _quality(contestant.running)
        if family not in best or quality > best[family][0]:
            best[family] = (quality, name)
    return {family: name for family, (_, name) in best.items()}


def _quality(metrics: Metrics) -> float:
    """In the main metric of the kind there is more of."""
    report = metrics.report()
    kind = max((NEXT_CLICK, IMPRESSIONS), key=lambda kind: report[kind]["n"])
    return float(report[kind][MAIN_METRIC[kind]])
