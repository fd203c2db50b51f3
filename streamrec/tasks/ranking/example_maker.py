"""Examples in the making: drafted event by event, finished once a run.

Knows how an example is put together, and that the features of everything a run has shown are
computed in one call, from the statistics as they were before it (docs/adr/0030). Does not know
when an example closes (``core.state.fold``), which negatives are drawn
(``tasks.ranking.negatives``)
or what a feature is made of (``tasks.ranking.features``).

Shapes: T candidates of one run, C of one example, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrec.core.examples import Example, ExampleKind, FloatArray
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.statistics import Statistics
from streamrec.core.state.user_state import Pending, Shown
from streamrec.tasks.ranking.features import FeatureMaker
from streamrec.tasks.ranking.negatives import NegativeSampler

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """An example before its features are known, closed by the event at ``offset``.

    ``consumed``: negatives are to be drawn for it, none of which its user has consumed. None:
    its candidates are what was shown.
    """

    offset: int
    produced_at_ms: int
    kind: ExampleKind
    user_id: str
    pending: Pending
    consumed: tuple[str, ...] | None = None


@dataclass(slots=True)
class Drafts:
    """What one run has shown, and what it has closed, each in order."""

    shown: list[tuple[Pending, Shown]] = field(default_factory=list)  # features to be logged
    closed: list[Draft] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class _Candidates:
    """What an example says of each candidate."""

    ids: tuple[str, ...]
    labels_C: FloatArray
    stats_CF: FloatArray
    log_q_C: FloatArray


class ExampleMaker:
    """Finishes the drafts of one partition, from statistics that move on between runs."""

    def __init__(
        self, partition: int, negatives: int, catalogue: Catalogue, statistics: Statistics
    ) -> None:
        self._partition = partition
        self._negatives = negatives
        self._catalogue = catalogue
        self._statistics = statistics
        self._prepared: tuple[tuple[int, int], FeatureMaker, NegativeSampler] | None = None

    def features(self) -> FeatureMaker:
        """Features from the statistics as they stand."""
        return self._prepare()[0]

    def finish(self, drafts: Drafts) -> list[Example]:
        """Log the features of what was shown; then one example for each draft, in order."""
        drawn = {draft: self._draw(draft) for draft in drafts.closed if draft.consumed is not None}
        asked = [
            (pending, self._catalogue.rows([shown.item_id])) for pending, shown in drafts.shown
        ]
        logged = self._features([*asked, *((draft.pending, rows) for draft, rows in drawn.items())])
        for (_, shown), stats_CF in zip(drafts.shown, logged[: len(asked)], strict=True):
            shown.stats_F = stats_CF[0]
        sampled = {
            draft: self._drawn(rows_C, stats_CF)
            for (draft, rows_C), stats_CF in zip(drawn.items(), logged[len(asked) :], strict=True)
        }
        return [
            self._example(draft, index, sampled.get(draft) or _shown(draft.pending))
            for _, of_one_event in groupby(drafts.closed, attrgetter("offset"))
            for index, draft in enumerate(of_one_event)
        ]

    def _prepare(self) -> tuple[FeatureMaker, NegativeSampler]:
        key = (self._statistics.version, self._catalogue.version)
        if self._prepared is None or self._prepared[0] != key:
            maker = FeatureMaker(self._statistics, self._catalogue)
            sampler = NegativeSampler(self._statistics, self._catalogue, self._negatives)
            self._prepared = (key, maker, sampler)
        return self._prepared[1:]

    def _draw(self, draft: Draft) -> Rows:
        """Catalogue rows: the accepted item, and negatives beside it. Shape (C,)."""
        target = self._catalogue.rows([draft.pending.shown[0].item_id]).astype(np.int64)
        _, sampler = self._prepare()
        consumed = draft.consumed or ()
        drawn = sampler.sample(self._partition, draft.offset, int(target[0]), consumed)
        return np.concatenate([target, drawn])

    def _features(
        self, asked: Sequence[tuple[Pending, NDArray[np.integer[Any]]]]
    ) -> list[FloatArray]:
        """Of the rows asked for with each pending, all in one call: (C, F) each."""
        if not asked:
            return []
        users: dict[Shown, Pending] = {}
        for pending, _ in asked:  # joined pendings share the first item: one history, one user
            users.setdefault(pending.shown[0], pending)
        number = {first: n for n, first in enumerate(users)}
        sizes = [len(rows) for _, rows in asked]
        stats_TF = self.features().features(
            [user.history for user in users.values()],
            np.array([user.user_U for user in users.values()]),
            np.concatenate([rows for _, rows in asked]),
            np.repeat(np.array([number[p.shown[0]] for p, _ in asked], np.intp), sizes),
        )
        ends = np.cumsum(sizes).tolist()
        return [stats_TF[end - size : end] for size, end in zip(sizes, ends, strict=True)]

    def _drawn(self, rows_C: Rows, stats_CF: FloatArray) -> _Candidates:
        labels_C = np.zeros(len(rows_C), np.float32)
        labels_C[0] = 1.0
        log_q_C = self._prepare()[1].log_q(rows_C)
        log_q_C[0] = 0.0  # the accepted item is in its own list for certain
        return _Candidates(tuple(self._catalogue.ids(rows_C)), labels_C, stats_CF, log_q_C)

    def _example(self, draft: Draft, index: int, candidates: _Candidates) -> Example:
        return Example(
            partition=self._partition,
            offset=draft.offset,
            index=index,
            kind=draft.kind,
            user_id=draft.user_id,
            shown_at_ms=draft.pending.opened_at_ms,
            produced_at_ms=draft.produced_at_ms,
            history=draft.pending.history,
            candidates=candidates.ids,
            labels_C=candidates.labels_C,
            stats_CF=candidates.stats_CF,
            log_q_C=candidates.log_q_C,
        )


def _shown(pending: Pending) -> _Candidates:
    ids = tuple(shown.item_id for shown in pending.shown)
    return _Candidates(
        ids,
        np.array([item_id in pending.accepted for item_id in ids], np.float32),
        np.stack([shown.stats_F for shown in pending.shown if shown.stats_F is not None]),
        np.zeros(len(ids), np.float32),
    )
