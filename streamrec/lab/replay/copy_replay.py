"""Predict, then learn, over recorded tests of wordings.

Each test is predicted before it opens, by what has learned from those that had closed by then;
it is learned when it has closed itself. Every contestant meets the same tests at the same moments.

Knows this order. Does not know what is measured (``copy_report``) or where tests come from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrec.core.examples import FloatArray
from streamrec.core.variants.beta import BetaPrior
from streamrec.lab.baselines.word_scores import WordLearner
from streamrec.lab.replay.headline_tests import HeadlineTest
from streamrec.tasks.copy.model.learner import CopyLearner

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Foretold:
    """What was said of one test before it opened: a score, and a prior, of each arm."""

    scores_A: Floats
    means_A: Floats
    strengths_A: Floats


@dataclass(slots=True)
class Foreteller:
    """One learner, and what it foretold so far: of the first tests, in order."""

    learner: CopyLearner | WordLearner
    foretold: list[Foretold] = field(default_factory=list)
    learned: int = 0
    steps: int = 0
    _open: list[HeadlineTest] = field(default_factory=list)
    _scorer: Any = None

    def foretell(self, test: HeadlineTest) -> None:
        """By the weights as they are: scored together with others before the next step."""
        if self._scorer is None:
            self._scorer = self.learner.snapshot()
        self._open.append(test)

    def learn(self, tests: Sequence[HeadlineTest]) -> None:
        """Take in tests that have closed."""
        for test in tests:
            report = self.learner.learn([test.example])
            self.learned += 1
            if report.steps:
                self.finish()
                self.steps += report.steps

    def finish(self) -> None:
        """Score what has been foretold since the last step, by a copy of those weights."""
        if self._open:
            scores = self._scorer.score([test.example for test in self._open])
            self.foretold += [_foretold(scores_A, self._scorer.level) for scores_A in scores]
        self._open, self._scorer = [], None


def _foretold(scores_A: FloatArray, level: Any) -> Foretold:
    priors: list[BetaPrior] = [level.prior(float(score)) for score in scores_A]
    return Foretold(
        np.asarray(scores_A, np.float64),
        np.array([prior.mean for prior in priors]),
        np.array([prior.strength for prior in priors]),
    )


def replay_tests(
    tests: Sequence[HeadlineTest],
    contestants: Mapping[str, Foreteller],
    on_progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> None:
    """One pass; ``foretold`` of every contestant has one entry for each test afterwards."""
    closing = sorted(range(len(tests)), key=lambda at: (tests[at].closed_at, at))
    learned = 0
    for done, test in enumerate(tests):
        due = []
        while learned < len(closing) and tests[closing[learned]].closed_at <= test.opened_at:
            due.append(tests[closing[learned]])
            learned += 1
        for contestant in contestants.values():
            contestant.learn(due)
            contestant.foretell(test)
        on_progress(done + 1, len(tests))
    for contestant in contestants.values():
        contestant.finish()
