"""Learning from a recorded stream offline: many passes, and the best of them is kept.

Knows the order: examples are made by one pass of the fold, with the features as they were then;
the learner reads them, in time order, epoch after epoch; after each epoch its frozen weights
predict the validation part, while statistics and users' states go on (the protocol of
``lab.replay.replay``); learning stops when that has not become better for ``patience`` epochs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.fold import Located
from streamrec.core.state.statistics import Statistics
from streamrec.lab.measures.leaderboard import (
    Metrics,
    Prediction,
    ScoredSpan,
    differences,
)
from streamrec.lab.measures.metric_names import IMPRESSIONS, MAIN_METRIC, NEXT_CLICK
from streamrec.lab.replay.compare import Unlearned
from streamrec.lab.replay.contest import Contestant, ReplayLearner, ReplayScorer
from streamrec.lab.replay.recorded import RecordedStream
from streamrec.lab.replay.replay import Replay, ReplayOptions
from streamrec.lab.replay.time_split import TimeSplit
from streamrec.tasks.ranking.example_maker import RankingRules, ranking_examples, ranking_fold
from streamrec.tasks.ranking.examples import RankingExample

RUN = 32
"""Events folded at once, and examples learned between two words of progress × 8."""


@dataclass(frozen=True, slots=True)
class Schedule:
    epochs: int = 5
    patience: int = 2  # epochs without a better validation before learning stops


@dataclass(frozen=True, slots=True)
class OfflineProgress:
    """What a person watching wants to know."""

    doing: str
    done: int
    of: int
    gain: float = math.nan  # of the last validation


@dataclass(frozen=True, slots=True)
class Epoch:
    """``number`` 0 is the learner before it has learned anything."""

    number: int
    validation: float
    losses: Mapping[str, float] = field(default_factory=dict)
    steps: int = 0
    encoder_steps: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Fitted:
    """What came of it. ``best`` may be epoch 0: then nothing learned was any better."""

    epochs: list[Epoch]
    metric: str
    examples: int
    first: ReplayScorer
    scorer: ReplayScorer  # of the best epoch

    @property
    def best(self) -> Epoch:
        """The first of those with the highest validation."""
        return max(self.epochs, key=lambda epoch: epoch.validation)


OnProgress = Callable[[OfflineProgress], None]


class Offline:
    """One recorded stream, cut in time, and one learner."""

    def __init__(
        self,
        stream: RecordedStream,
        split: TimeSplit,
        catalogue: Catalogue,
        rules: RankingRules,
        on_progress: OnProgress = lambda _: None,
    ) -> None:
        """``catalogue`` is the learner's own; the stream's items are put into it."""
        catalogue.put(stream.items)
        self._stream, self._split = stream, split
        self._catalogue = catalogue
        self._rules = rules
        self._tell = on_progress
        self._gain = math.nan

    def fit(self, learner: ReplayLearner, schedule: Schedule) -> Fitted:
        """Learn the training part.

        Raises ValueError when the validation part has nothing to predict.
        """
        examples = self.examples()
        scorer = first = learner.snapshot()
        metric, gain = self._validate(scorer)
        if math.isnan(gain):
            raise ValueError("no click of the validation part can be predicted")
        epochs = [best := Epoch(0, gain)]
        for number in range(1, schedule.epochs + 1):
            began = time.perf_counter()
            losses, steps, encoder_steps = self._learn(learner, examples, number, schedule.epochs)
            latest = learner.snapshot()
            _, gain = self._validate(latest)
            seconds = round(time.perf_counter() - began, 1)
            epochs.append(Epoch(number, gain, losses, steps, encoder_steps, seconds))
            if gain > best.validation:
                best, scorer = epochs[-1], latest
            elif number - best.number >= schedule.patience:
                break
        return Fitted(epochs, metric, len(examples), first, scorer)

    def examples(self) -> list[RankingExample]:
        """Of the training part, in the order they became known."""
        statistics = Statistics(self._catalogue)
        fold = ranking_fold(0, self._rules, self._catalogue, statistics)
        made: list[RankingExample] = []
        for start in range(0, self._split.validation, RUN):
            stop = min(start + RUN, self._split.validation)
            events = self._stream.events[start:stop]
            run = [Located(start + n, e.occurred_at_ms, e, True) for n, e in enumerate(events)]
            fold.put_users(dict.fromkeys(fold.missing_users(run)))
            made += ranking_examples(fold.apply(run, now_ms=0))
            self._say("reading the training part", stop, self._split.validation)
        return made

    def test(self, before: ReplayScorer, after: ReplayScorer, seed: int = 0) -> dict[str, Any]:
        """How two models' frozen weights predict the test part, and the paired differences.

        ``before``, ``after``: as a replay reports them; ``difference``: after minus before.
        """
        first, stop = self._split.test, self._split.end
        ours, theirs = self._predict([after, before], first, stop, "predicting the test part")
        span = ScoredSpan(first, stop)
        return {
            "before": theirs.report(span),
            "after": ours.report(span),
            "difference": differences(ours.predictions, theirs.predictions, seed),
        }

    def _validate(self, scorer: ReplayScorer) -> tuple[str, float]:
        first, stop = self._split.validation, self._split.test
        (one,) = self._predict([scorer], first, stop, "predicting the validation part")
        metric, self._gain = mean_gain(one.predictions)
        return metric, self._gain

    def _predict(
        self, scorers: Sequence[ReplayScorer], first: int, stop: int, doing: str
    ) -> list[Contestant]:
        """One pass of the fold from the start; each scorer's predictions of [first, stop)."""
        events = self._stream.events[:stop]
        options = ReplayOptions(events[first].occurred_at_ms, rules=self._rules)
        one, *others = [Unlearned(scorer) for scorer in scorers]
        compare = {str(n): other for n, other in enumerate(others)}
        part = RecordedStream(self._stream.items, events)
        replay = Replay(part, self._catalogue, one, options, compare)
        return replay.play(lambda at: self._say(doing, at.events, at.of))

    def _learn(
        self, learner: ReplayLearner, examples: Sequence[RankingExample], number: int, of: int
    ) -> tuple[dict[str, float], int, int]:
        """Mean losses by name, steps of the head and of the encoder."""
        sums: dict[str, float] = {}
        counts: dict[str, int] = {}
        steps = encoder_steps = 0
        for start in range(0, len(examples), 8 * RUN):
            report = learner.learn(examples[start : start + 8 * RUN])
            steps += report.steps
            encoder_steps += report.encoder_steps
            for name, loss in report.losses.items():
                sums[name] = sums.get(name, 0.0) + loss * report.steps
                counts[name] = counts.get(name, 0) + report.steps
            done = min(start + 8 * RUN, len(examples))
            self._say(f"epoch {number} of at most {of}", done, len(examples))
        losses = {name: sums[name] / counts[name] for name in sums if counts[name]}
        return losses, steps, encoder_steps

    def _say(self, doing: str, done: int, of: int) -> None:
        self._tell(OfflineProgress(doing, done, of, self._gain))


def mean_gain(predictions: Sequence[Prediction]) -> tuple[str, float]:
    """One number to choose weights by, and its name: that of the kind predicted most.

    NaN when nothing was predicted.
    """
    metrics = Metrics()
    for prediction in predictions:
        metrics.add(prediction)
    report = metrics.report()
    kind = max((NEXT_CLICK, IMPRESSIONS), key=lambda kind: report[kind]["n"])
    name = MAIN_METRIC[kind]
    return name, float(report[kind][name]) if report[kind]["n"] else math.nan
