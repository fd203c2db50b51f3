"""Strict predict-then-learn evaluation of a recorded stream, without Kafka.

Knows the protocol: what is ranked, against what, when, and what may be known then. Does not
know the model (``ports.ReplayLearner``) or the files' format.

- Every impression (views of one user sharing an ``impression_id``) is ranked when its first
  view comes; its labels are the accepted events that name it, whenever they come.
- Every accepted event outside an impression, by a user with an earlier one, is ranked
  against the whole catalogue minus the items the user had to do with before (items merely
  shown in an impression stay in; the target always is). An item nobody has described cannot
  be ranked and counts as last.
- Ties count against the prediction.

Events are taken ``micro_batch`` at a time: predict all, then fold, then learn. A user's own
state is exact at every event; shared statistics and weights lag by less than a micro-batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from streamrec.core.catalogue import Catalogue
from streamrec.core.events import Interaction, Item, Kind
from streamrec.core.examples import Example, ExampleKind, FloatArray
from streamrec.core.features import FeatureMaker, user_features
from streamrec.core.fold import FoldRules, Located, PartitionFold
from streamrec.core.prequential import Calibration, Impressions, NextClicks, rank_of
from streamrec.core.statistics import Statistics
from streamrec.core.user_state import NEW_USER, UserState, consumes
from streamrec.ports import LearnReport

RANKED_AT_ONCE = 8
"""Users ranked in one call: bounds memory, B × N × inputs."""


class ReplayScorer(Protocol):
    """A frozen model; see ``ports.Scorer`` and ``ports.ServingModel``."""

    def score(self, examples: Sequence[Example]) -> list[FloatArray]: ...

    def rank(
        self, users: Sequence[UserState], now_ms: Sequence[int], features: FeatureMaker
    ) -> FloatArray: ...


class ReplayLearner(Protocol):
    """See ``ports.Learner``."""

    def learn(self, examples: Sequence[Example]) -> LearnReport: ...

    def snapshot(self) -> ReplayScorer: ...


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    warmup_until_ms: int | None = None  # earlier events only build state
    learn: bool = True
    micro_batch: int = 32
    rules: FoldRules = FoldRules()


@dataclass(frozen=True, slots=True)
class Progress:
    """What a person watching wants to know."""

    events: int
    of: int
    examples: int
    next_click: Mapping[str, float]
    impressions: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Wanted:
    """One next-click prediction to make: ``number`` is the event's place in the stream."""

    number: int
    user: UserState
    event: Interaction
    target: int | None  # catalogue row
    earlier_rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """One impression to rank."""

    number: int
    user_id: str
    user: UserState
    now_ms: int
    item_ids: tuple[str, ...]
    labels_C: FloatArray


@dataclass(frozen=True, slots=True)
class Prediction:
    """How one prediction went; what slices, bootstraps and plots are made of."""

    number: int
    user_id: str
    history: int  # accepted events of the user before
    item_accepts: float  # accepted events of the target (impression: of its items, mean) before
    away_ms: int  # since the user's last event
    rank: int = 0  # of the target; 0 for an impression
    scores_C: FloatArray | None = None
    labels_C: FloatArray | None = None


@dataclass(slots=True)
class Metrics:
    next_click: NextClicks = NextClicks()
    impressions: Impressions = Impressions()
    calibration: Calibration = field(default_factory=Calibration)

    def add(self, prediction: Prediction) -> None:
        if prediction.rank:
            self.next_click = self.next_click.add(prediction.rank)
        elif prediction.scores_C is not None and prediction.labels_C is not None:
            before = self.impressions.n
            self.impressions = self.impressions.add(prediction.scores_C, prediction.labels_C)
            if self.impressions.n > before:
                self.calibration = self.calibration.add(prediction.scores_C, prediction.labels_C)

    def report(self) -> dict[str, Any]:
        return {
            "impressions": self.impressions.report(),
            "next_click": self.next_click.report(),
            "calibration": self.calibration.report(),
        }


def report_of(predictions: Sequence[Prediction], first: int, stop: int) -> dict[str, Any]:
    """Metrics over all predictions, and over those in the second half of ``[first, stop)``."""
    whole, second = Metrics(), Metrics()
    middle = first + (stop - first) // 2
    for prediction in predictions:
        whole.add(prediction)
        if prediction.number >= middle:
            second.add(prediction)
    return whole.report() | {"second_half": second.report()}


class Stream:
    """The recorded stream and what the evaluation must know of its future: outcomes."""

    def __init__(self, items: Sequence[Item], events: Sequence[Interaction]) -> None:
        self.items, self.events = items, events
        self._shown: dict[tuple[str, str], dict[str, None]] = {}
        self._accepted: dict[tuple[str, str], set[str]] = {}
        for event in events:
            if event.impression_id is None:
                continue
            key = (event.user_id, event.impression_id)
            if event.kind is Kind.VIEW:
                self._shown.setdefault(key, {})[event.item_id] = None
            elif event.accepted:
                self._accepted.setdefault(key, set()).add(event.item_id)

    def impression(self, event: Interaction) -> tuple[tuple[str, ...], FloatArray] | None:
        """All items and labels of the impression an event belongs to, if it has views."""
        if event.impression_id is None:
            return None
        key = (event.user_id, event.impression_id)
        if key not in self._shown:
            return None
        accepted = self._accepted.get(key, set())
        items = tuple(self._shown[key] | dict.fromkeys(sorted(accepted)))
        return items, np.array([item in accepted for item in items], np.float32)


class Replay:
    """One pass over a stream with one learner."""

    def __init__(
        self,
        stream: Stream,
        catalogue: Catalogue,
        learner: ReplayLearner,
        options: ReplayOptions,
    ) -> None:
        """``catalogue`` is the learner's own; the stream's items are put into it."""
        catalogue.put(stream.items)
        self._stream = stream
        self._catalogue = catalogue
        self._statistics = Statistics(catalogue)
        self._fold = PartitionFold(0, options.rules, catalogue, self._statistics)
        self._learner = learner
        self._options = options
        self._users: dict[str, UserState] = {}
        self._earlier: dict[str, set[int]] = {}
        self._opened: set[tuple[str, str]] = set()
        self._generations = self._steps = self._examples = 0
        self._seconds = 0.0
        self.predictions: list[Prediction] = []

    def run(self, on_progress: Callable[[Progress], None] | None = None) -> dict[str, Any]:
        """The report. ``on_progress`` is called after every micro-batch."""
        events = self._stream.events
        scorer, running = self._learner.snapshot(), Metrics()
        first = self._first_scored()
        for start, stop in _cuts(first, len(events), self._options.micro_batch):
            began, done = time.perf_counter(), len(self.predictions)
            examples = self._take(start, stop, scorer if start >= first else None)
            if self._options.learn and start >= first and examples:
                self._examples += len(examples)
                steps = self._learner.learn(examples).steps
                self._steps += steps
                if steps:
                    scorer = self._learner.snapshot()
                    self._generations += 1
            self._seconds += time.perf_counter() - began
            for prediction in self.predictions[done:]:
                running.add(prediction)
            if on_progress is not None:
                on_progress(self._progress(stop, running))
        return report_of(self.predictions, first, len(events)) | {"learning": self._learning()}

    def _take(self, start: int, stop: int, scorer: ReplayScorer | None) -> list[Example]:
        """Predict a micro-batch with what was known before it, then fold it."""
        events = self._stream.events[start:stop]
        wanted, shown = self._advance_users(start, events)
        if scorer is not None:
            features = self._fold.features()
            self._rank_shown(shown, scorer, features)
            self._rank_wanted(wanted, scorer, features)
        run = [Located(start + n, e.occurred_at_ms, e) for n, e in enumerate(events)]
        self._fold.put_users(dict.fromkeys(self._fold.missing_users(run)))
        return self._fold.apply(run, now_ms=0).examples

    def _advance_users(
        self, start: int, events: Sequence[Interaction]
    ) -> tuple[list[Wanted], list[Shown]]:
        """What must be predicted, each with the user's state just before its event."""
        wanted: list[Wanted] = []
        shown: list[Shown] = []
        for number, event in enumerate(events, start):
            user = self._users.get(event.user_id, NEW_USER)
            if event.event_id in user.recent_events:
                continue
            impression = self._stream.impression(event)
            if impression is not None:
                key = (event.user_id, event.impression_id or "")
                if key not in self._opened:
                    self._opened.add(key)
                    shown.append(
                        Shown(number, event.user_id, user, event.occurred_at_ms, *impression)
                    )
            elif event.accepted and user.accepts:
                wanted.append(self._want(number, user, event))
            self._users[event.user_id] = user.after(event)
            row = self._catalogue.row(event.item_id)
            if row is not None and consumes(event):
                self._earlier.setdefault(event.user_id, set()).add(row)
        return wanted, shown

    def _want(self, number: int, user: UserState, event: Interaction) -> Wanted:
        earlier = self._earlier.get(event.user_id, ())
        return Wanted(number, user, event, self._catalogue.row(event.item_id), tuple(earlier))

    def _rank_wanted(
        self, wanted: Sequence[Wanted], scorer: ReplayScorer, features: FeatureMaker
    ) -> None:
        accepts_N = self._statistics.counts().accepts_ND[:, -1]
        for at in range(0, len(wanted), RANKED_AT_ONCE):
            group = wanted[at : at + RANKED_AT_ONCE]
            scores_BN = scorer.rank(
                [w.user for w in group], [w.event.occurred_at_ms for w in group], features
            )
            for want, scores_N in zip(group, scores_BN, strict=True):
                allowed_N = self._catalogue.available.copy()
                allowed_N[list(want.earlier_rows)] = False
                target = want.target
                rank = len(scores_N) + 1 if target is None else rank_of(target, scores_N, allowed_N)
                self.predictions.append(
                    Prediction(
                        want.number,
                        want.event.user_id,
                        want.user.accepts,
                        0.0 if target is None else float(accepts_N[target]),
                        want.event.occurred_at_ms - want.user.last_seen_ms,
                        rank,
                    )
                )

    def _rank_shown(
        self, shown: Sequence[Shown], scorer: ReplayScorer, features: FeatureMaker
    ) -> None:
        if not shown:
            return
        accepts_N = self._statistics.counts().accepts_ND[:, -1]
        rows = [self._catalogue.rows(s.item_ids) for s in shown]
        stats_TF = features.features(
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
            self.predictions.append(
                Prediction(s.number, s.user_id, s.user.accepts, mean, away_ms, 0, p_C, s.labels_C)
            )

    def _first_scored(self) -> int:
        """The first event at or after the end of the warm-up."""
        until_ms = self._options.warmup_until_ms
        if until_ms is None:
            return 0
        events = self._stream.events
        late = (n for n, event in enumerate(events) if event.occurred_at_ms >= until_ms)
        return next(late, len(events))

    def _learning(self) -> dict[str, float]:
        return {
            "examples": self._examples,
            "steps": self._steps,
            "generations": self._generations,
            "seconds": round(self._seconds, 3),
        }

    def _progress(self, stop: int, running: Metrics) -> Progress:
        return Progress(
            stop,
            len(self._stream.events),
            self._examples,
            running.next_click.report(),
            running.impressions.report(),
        )


def _cuts(first: int, stop: int, size: int) -> Iterator[tuple[int, int]]:
    """Micro-batches; one starts exactly at ``first``."""
    edges = sorted({*range(0, first, size), *range(first, stop, size), stop})
    return pairwise(edges)


def _as_example(shown: Shown, stats_CF: FloatArray) -> Example:
    return Example(
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
    )
