"""Live statistics of a candidate for a user: one function for ingest, serving and replay.

Which there are, and their formulas: ``tasks.ranking.statistics``. All item statistics speak of the
statistics' watermark; ``now_ms`` only tells how long the user was away.

Legend: B requests, T candidates of all requests together, N catalogue rows, F features, I/P/U
those of items, pairs and users.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import Catalogue, IntArray
from streamrec.core.state.statistics import Statistics
from streamrec.core.state.user_state import UserState
from streamrec.tasks.ranking.statistics.declaration import PairStatistic
from streamrec.tasks.ranking.statistics.moment import Moment
from streamrec.tasks.ranking.statistics.registry import STATISTICS, StatisticSet, columns_of

ITEM_FEATURES = tuple(column.name for column in columns_of(STATISTICS.items))
PAIR_FEATURES = tuple(column.name for column in columns_of(STATISTICS.pairs))
USER_FEATURES = tuple(column.name for column in columns_of(STATISTICS.users))
FEATURES = STATISTICS.names
FEATURE_SET = STATISTICS.digest
COUNTERS = STATISTICS.counters
"""What the fold counts for single statistics."""


def user_features(
    user: UserState, now_ms: int, declared: StatisticSet = STATISTICS
) -> tuple[float, ...]:
    """The user's part: (U,) as plain floats, cheap enough for every event."""
    numbers: tuple[float, ...] = ()
    for one in declared.users:
        numbers += one.user(user, now_ms)
    return numbers


def candidate_features(
    user: UserState,
    rows: NDArray[np.integer[Any]],
    now_ms: int,
    statistics: Statistics,
    catalogue: Catalogue,
) -> FloatArray:
    """stats_CF of one request: catalogue ``rows`` (C,), UNKNOWN allowed (its features are 0)."""
    return FeatureMaker(statistics, catalogue).features(
        [user.history],
        np.array([user_features(user, now_ms)]),
        np.asarray(rows),
        np.zeros(len(rows), np.intp),
    )


class FeatureMaker:
    """Features from statistics that stand still; make a new one when they have moved.

    The work that does not depend on the user is done once, here.
    """

    def __init__(
        self, statistics: Statistics, catalogue: Catalogue, declared: StatisticSet = STATISTICS
    ) -> None:
        self._catalogue = catalogue
        moment = Moment(statistics, catalogue)
        items = [column_N for one in declared.items for column_N in moment.once(one).values]
        self.item_NI: FloatArray = np.empty((len(catalogue), len(items)), np.float32)
        for at, column_N in enumerate(items):
            self.item_NI[:, at] = column_N
        self._pairs: list[tuple[slice, PairStatistic]] = []  # and where their columns are
        self._width = 0
        for one in declared.pairs:
            columns = slice(self._width, self._width + len(one.columns))
            self._pairs.append((columns, one(moment)))
            self._width = columns.stop

    def features(
        self,
        histories: Sequence[tuple[str, ...]],
        users_BU: NDArray[np.floating[Any]],
        rows_T: NDArray[np.integer[Any]],
        request_T: NDArray[np.intp],
    ) -> FloatArray:
        """All features of T candidates; ``request_T`` says whose each is. (T, F) float32."""
        pair_TP = self.pair_features(histories, rows_T, request_T)
        items, users_BU = self.item_NI.shape[1], users_BU.astype(np.float32)
        pairs = items + pair_TP.shape[1]
        stats_TF = np.zeros((len(rows_T), pairs + users_BU.shape[1]), np.float32)
        known_T = rows_T >= 0
        if known_T.all():
            stats_TF[:, :items] = self.item_NI[rows_T]
        else:
            stats_TF[known_T, :items] = self.item_NI[rows_T[known_T]]
        stats_TF[:, items:pairs] = pair_TP
        stats_TF[:, pairs:] = users_BU[request_T]
        return stats_TF

    def pair_features(
        self,
        histories: Sequence[tuple[str, ...]],
        rows_T: NDArray[np.integer[Any]],
        request_T: NDArray[np.intp],
    ) -> FloatArray:
        """What user and item have to do with each other. (T, P) float32; UNKNOWN rows are 0."""
        known_T = rows_T >= 0
        out_TP = np.zeros((len(rows_T), self._width), np.float32)
        if not len(self._catalogue) or not known_T.any():
            return out_TP
        history_rows = [self._catalogue.rows(history) for history in histories]
        rows, request = rows_T[known_T].astype(np.int64), request_T[known_T]
        for columns, one in self._pairs:
            out_TP[known_T, columns] = one.pairs(history_rows, rows, request)
        return out_TP

    def sharing(self, history: tuple[str, ...]) -> IntArray:
        """Catalogue rows that have to do with a history by some statistic of pairs. (R,)."""
        rows = self._catalogue.rows(history)
        found = [one.sharing(rows) for _, one in self._pairs]
        return np.concatenate([np.zeros(0, np.int32), *found])

    def catalogue_pair_features(self, histories: Sequence[tuple[str, ...]]) -> FloatArray:
        """``pair_features`` of every catalogue row for every history. (B, P, N) float32."""
        out_BPN = np.zeros((len(histories), self._width, len(self._catalogue)), np.float32)
        self.put_pair_features(histories, out_BPN)
        return out_BPN

    def put_pair_features(self, histories: Sequence[tuple[str, ...]], out_BPN: FloatArray) -> None:
        """The same, over zeros."""
        history_rows = [self._catalogue.rows(history) for history in histories]
        if out_BPN.shape[2]:
            for columns, one in self._pairs:
                one.catalogue(history_rows, out_BPN[:, columns])
