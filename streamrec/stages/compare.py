"""Baselines for the replay: learners that learn nothing, or stop learning.

Knows how a scorer becomes a ``ReplayLearner``. Does not know models.
"""

from __future__ import annotations

from collections.abc import Sequence

from streamrec.core.examples import Example
from streamrec.ports import LearnReport
from streamrec.stages.replay import ReplayLearner, ReplayScorer


class Unlearned:
    """A scorer that stays as it is."""

    def __init__(self, scorer: ReplayScorer) -> None:
        self._scorer = scorer

    def learn(self, examples: Sequence[Example]) -> LearnReport:
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

    def learn(self, examples: Sequence[Example]) -> LearnReport:
        early = [example for example in examples if example.offset < self._stop]
        return self._learner.learn(early) if early else LearnReport(0, 0, 0, {})

    def snapshot(self) -> ReplayScorer:
        return self._learner.snapshot()
