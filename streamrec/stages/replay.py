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
from streamrec.core.item_stats import EVENT_HALF_LIVES
from streamrec.core.leaderboard import (
    Metrics,
    Prediction,
    Span,
    curve,
    difference,
    report_of,
    second_half,
    slices_of,
)
from streamrec.core.prequential import rank_of
from streamrec.core.statistics import Statistics
from streamrec.core.user_state import NEW_USER, UserState, consumes
from streamrec.ports import LearnReport

_SLOWEST = len(EVENT_HALF_LIVES) - 1  # the count that comes nearest to "all so far"

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


@dataclass(slots=True)
class _Contestant:
    """One model in the race, and how it did."""

    learner: ReplayLearner
    scorer: ReplayScorer
    running: Metrics = field(default_factory=Metrics)
    predictions: list[Prediction] = field(default_factory=list)
    examples: int = 0
    steps: int = 0
    generations: int = 0
    seconds: float = 0.0

    def learning(self) -> dict[str, float]:
        return {
            "examples": self.examples,
            "steps": self.steps,
            "generations": self.generations,
            "seconds": round(self.seconds, 3),
        }


class Replay:
    """One pass over a stream: one learner, and others beside it on the same predictions."""

    def __init__(
        self,
        stream: Stream,
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
        self._fold = PartitionFold(0, options.rules, catalogue, self._statistics)
        self._options = options
        self._users: dict[str, UserState] = {}
        self._earlier: dict[str, set[int]] = {}
        self._opened: set[tuple[str, str]] = set()
        self._main = _Contestant(learner, learner.snapshot())
        self._others = {
            name: _Contestant(other, other.snapshot()) for name, other in (compare or {}).items()
        }
        self.span = Span(self._first_scored(), len(stream.events))

    @property
    def predictions(self) -> list[Prediction]:
        """The main learner's, in order."""
        return self._main.predictions

    def run(self, on_progress: Callable[[Progress], None] | None = None) -> dict[str, Any]:
        """The report. ``on_progress`` is called after every micro-batch.

        Seconds of the main learner include the fold and the features, which others share.
        """
        first, last, main_seconds = self.span.first, self.span.stop, 0.0
        for start, stop in _cuts(first, last, self._options.micro_batch):
            began, elsewhere = time.perf_counter(), self._elsewhere()
            wanted, shown = self._advance_users(start, self._stream.events[start:stop])
            scored = start >= first
            if scored:
                for contestant in self._contestants():
                    self._predict(contestant, wanted, shown)
            examples = self._apply(start, stop)
            if self._options.learn and scored and examples:
                for contestant in self._contestants():
                    _learn(contestant, examples)
            elsewhere = self._elsewhere() - elsewhere
            main_seconds += time.perf_counter() - began - elsewhere
            if on_progress is not None:
                on_progress(self._progress(stop))
        self._main.seconds = main_seconds
        return self._report()

    def _elsewhere(self) -> float:
        return sum(other.seconds for other in self._others.values())

    def _contestants(self) -> list[_Contestant]:
        return [self._main, *self._others.values()]

    def _predict(
        self, contestant: _Contestant, wanted: Sequence[Wanted], shown: Sequence[Shown]
    ) -> None:
        features, began = self._fold.features(), time.perf_counter()
        made = [
            *self._rank_shown(shown, contestant.scorer, features),
            *self._rank_wanted(wanted, contestant.scorer, features),
        ]
        made.sort(key=lambda prediction: prediction.number)
        contestant.predictions += made
        for prediction in made:
            contestant.running.add(prediction)
        contestant.seconds += time.perf_counter() - began

    def _report(self) -> dict[str, Any]:
        main = self._main
        report = report_of(main.predictions, self.span) | {"learning": main.learning()}
        if not self._others:
            return report
        report |= {
            "slices": slices_of(main.predictions, self.span),
            "curve": curve(main.predictions, self.span),
            "compare": {},
        }
        ours = second_half(main.predictions, self.span)
        for name, other in self._others.items():
            theirs = second_half(other.predictions, self.span)
            delta = difference(ours, theirs, seed=0)
            report["compare"][name] = report_of(other.predictions, self.span) | {
                "learning": other.learning(),
                "slices": slices_of(other.predictions, self.span),
                "curve": curve(other.predictions, self.span),
                "difference": delta
                and {
                    "mean": delta.mean,
                    "low": delta.low,
                    "high": delta.high,
                    "significant": delta.significant,
                },
            }
        return report

    def _apply(self, start: int, stop: int) -> list[Example]:
        """Fold a micro-batch."""
        events = self._stream.events[start:stop]
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
    ) -> Iterator[Prediction]:
        accepts_N = self._statistics.counts().accepts_ND[:, _SLOWEST]
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
                yield Prediction(
                    want.number,
                    want.event.user_id,
                    want.user.accepts,
                    0.0 if target is None else float(accepts_N[target]),
                    want.event.occurred_at_ms - want.user.last_seen_ms,
                    rank,
                )

    def _rank_shown(
        self, shown: Sequence[Shown], scorer: ReplayScorer, features: FeatureMaker
    ) -> Iterator[Prediction]:
        if not shown:
            return
        accepts_N = self._statistics.counts().accepts_ND[:, _SLOWEST]
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
            yield Prediction(s.number, s.user_id, s.user.accepts, mean, away_ms, 0, p_C, s.labels_C)

    def _first_scored(self) -> int:
        """The first event at or after the end of the warm-up."""
        until_ms = self._options.warmup_until_ms
        if until_ms is None:
            return 0
        events = self._stream.events
        late = (n for n, event in enumerate(events) if event.occurred_at_ms >= until_ms)
        return next(late, len(events))

    def _progress(self, stop: int) -> Progress:
        main = self._main
        return Progress(
            stop,
            len(self._stream.events),
            main.examples,
            main.running.next_click.report(),
            main.running.impressions.report(),
        )


def _learn(contestant: _Contestant, examples: Sequence[Example]) -> None:
    began = time.perf_counter()
    contestant.examples += len(examples)
    steps = contestant.learner.learn(examples).steps
    contestant.steps += steps
    if steps:
        contestant.scorer = contestant.learner.snapshot()
        contestant.generations += 1
    contestant.seconds += time.perf_counter() - began


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
