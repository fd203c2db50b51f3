"""Live statistics of a candidate for a user: one function for ingest, serving and replay.

Knows the features and their formulas. Does not know what texts mean (``model`` compares
vectors) or where statistics come from (``core.state.statistics``).

Every feature is finite, log-scaled where it counts something, and 0 where nothing is known.
All item statistics speak of the statistics' watermark; ``now_ms`` only tells how long the
user was away. Legend: B requests, T candidates of all requests together, N catalogue rows,
F features, I/P/U the item, pair and user features.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.item_stats import EVENT_HALF_LIVES, HOUR_HALF_LIVES, MS_PER_HOUR
from streamrec.core.state.statistics import Neighbours, Statistics
from streamrec.core.state.user_state import UserState

_DECAY_NAMES = [f"{h:g}ev" for h in EVENT_HALF_LIVES] + [f"{h:g}h" for h in HOUR_HALF_LIVES]
_VIEWS_AT = (0, 2, 4)
_RATE_AT = (1, 2, 4)

ITEM_FEATURES = (
    *(f"accepts_{name}" for name in _DECAY_NAMES),  # log(1 + decayed accepted events)
    *(f"views_{_DECAY_NAMES[d]}" for d in _VIEWS_AT),  # log(1 + decayed exposures)
    *(f"rate_{_DECAY_NAMES[d]}" for d in _RATE_AT),  # log lift of accepts / views, with a prior
    "age",  # log(1 + hours since first seen); 0 when never
    "unseen",  # 1 when no event has named it
    "since_accept",  # log(1 + hours since it was last accepted); LONG_AGO when never
    "category_rate",  # mean over categories of their log lift of accepts / views
    "category_share",  # log(1 + 100 × mean share of accepted events its categories have)
)
PAIR_FEATURES = (
    "affinity",  # mean weight of its categories in the user's history
    "affinity_lift",  # log of that over the categories' share of all accepted events
    "after_last",  # log(1 + 100 × P(accepted right after the user's last item))
    "after_recent",  # the same, mean over the last items, newest weighing most
    "with_recent",  # log(1 + 100 × share of co-occurrences with the last items)
    "with_cosine",  # log(1 + 100 × cosine-normalised co-occurrence), item-kNN's score
    "popularity_gap",  # its accepts_5000ev minus the mean of the user's last items
    "age_gap",  # its age minus the mean of the user's last items
    "shared_word",  # the weightiest word its title shares with the user's history, by rarity
)
USER_FEATURES = (
    "user_accepts",  # log(1 + accepted events of the user)
    "user_rate",  # log((accepts + 1) / (accepts + views + 2))
    "user_away",  # log(1 + hours since the user's last event); LONG_AGO for a new user
)
FEATURES: tuple[str, ...] = (*ITEM_FEATURES, *PAIR_FEATURES, *USER_FEATURES)
FEATURE_SET = hashlib.sha256("\n".join(FEATURES).encode()).hexdigest()[:12]
"""Names the features, in order: examples and weights of another set do not fit."""

_SUMS = 4  # pair features that are sums over companions: after_last to with_cosine
_GAPS = slice(PAIR_FEATURES.index("popularity_gap"), PAIR_FEATURES.index("age_gap") + 1)
_WORD = PAIR_FEATURES.index("shared_word")
_GAP_OF = [ITEM_FEATURES.index("accepts_5000ev"), ITEM_FEATURES.index("age")]

LONG_AGO = math.log1p(24 * 365)
RATE_PRIOR = 20.0
AFFINITY_DECAY = 0.93
PAIR_DECAY = 0.8
PAIR_ITEMS = 12
"""How many of the user's last items are asked for companions."""
DENSE_CATEGORIES = 256
PAIR_PRIOR = 2.0
"""Weight added to a row's total: a companion seen once is not yet a certainty."""


def user_features(user: UserState, now_ms: int) -> tuple[float, ...]:
    """The user's part: (U,) as plain floats, cheap enough for every event."""
    away = LONG_AGO
    if user.last_seen_ms:
        away = math.log1p(max(0, now_ms - user.last_seen_ms) / MS_PER_HOUR)
    rate = math.log((user.accepts + 1) / (user.accepts + user.views + 2))
    return (math.log1p(user.accepts), rate, away)


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

    def __init__(self, statistics: Statistics, catalogue: Catalogue) -> None:
        self._statistics = statistics
        self._catalogue = catalogue
        self._categories_NM = catalogue.categories
        self._words = catalogue.title_words()
        self._category_weight_NM = _category_weights(self._categories_NM, catalogue.category_count)
        self._membership_NK = self._membership()
        self._category_share_K = self._shares_of_categories()
        self._category_share_N = self._mean_over_categories(self._category_share_K)
        self._pair_totals_N = statistics.pair_totals()
        self.item_NI = self._item_features()

    def features(
        self,
        histories: Sequence[tuple[str, ...]],
        users_BU: NDArray[np.floating[Any]],
        rows_T: NDArray[np.integer[Any]],
        request_T: NDArray[np.intp],
    ) -> FloatArray:
        """All features of T candidates; ``request_T`` says whose each is. (T, F) float32."""
        pair_TP = self.pair_features(histories, rows_T, request_T)
        known = (rows_T >= 0)[:, None]
        item_TI: FloatArray = np.zeros((len(rows_T), len(ITEM_FEATURES)), np.float32)
        if known.any():
            item_TI = np.where(known, self.item_NI[rows_T], 0.0)
        stats_TF = np.concatenate([item_TI, pair_TP, users_BU[request_T]], axis=1)
        return stats_TF.astype(np.float32)

    def pair_features(
        self,
        histories: Sequence[tuple[str, ...]],
        rows_T: NDArray[np.integer[Any]],
        request_T: NDArray[np.intp],
    ) -> FloatArray:
        """What user and item have to do with each other. (T, P) float32; UNKNOWN rows are 0."""
        n, known_T = len(self._catalogue), rows_T >= 0
        out = np.zeros((len(rows_T), len(PAIR_FEATURES)), np.float32)
        if not n or not known_T.any():
            return out
        history_rows = [self._catalogue.rows(h) for h in histories]
        rows, request = rows_T[known_T].astype(np.int64), request_T[known_T]
        out[known_T, :2] = self._affinity(history_rows, rows, request)
        out[known_T, 2 : 2 + _SUMS] = self._co_occurrences(history_rows, rows, request)
        usual_BG, has_usual_B = self._usual(history_rows)
        gap_TG = self.item_NI[rows][:, _GAP_OF] - usual_BG[request]
        out[known_T, _GAPS] = gap_TG * has_usual_B[request, None]
        out[known_T, _WORD] = self._shared_words(history_rows, rows, request)
        return out

    def catalogue_pair_features(self, histories: Sequence[tuple[str, ...]]) -> FloatArray:
        """``pair_features`` of every catalogue row for every history. (B, P, N) float32."""
        n, history_rows = len(self._catalogue), [self._catalogue.rows(h) for h in histories]
        out_BPN = np.zeros((len(histories), len(PAIR_FEATURES), n), np.float32)
        if not n:
            return out_BPN
        tastes_BK = np.stack([self._taste(h) for h in history_rows])
        everyone_N = np.log(self._category_share_N + np.float32(0.05))
        for out_PN, taste_K in zip(out_BPN, tastes_BK, strict=True):
            if taste_K.max() > 0:
                out_PN[0] = self._mean_over_categories(taste_K)
                np.log(out_PN[0] + np.float32(0.05), out=out_PN[1])
                out_PN[1] -= everyone_N
        cell_E, values_ES = self._co_occurrence_cells(history_rows, n)
        cells, slot_E = np.unique(cell_E, return_inverse=True)
        for s in range(_SUMS):
            sums = np.bincount(slot_E, values_ES[:, s], minlength=len(cells))
            out_BPN[cells // n, 2 + s, cells % n] = np.log1p(100.0 * sums)
        usual_BG, has_usual_B = self._usual(history_rows)
        gaps_BGN = self.item_NI[:, _GAP_OF].T - usual_BG[:, :, None]
        out_BPN[:, _GAPS] = gaps_BGN * has_usual_B[:, None, None]
        for out_PN, history in zip(out_BPN, history_rows, strict=True):
            out_PN[_WORD] = self._words.best_of_all(self._word_taste(history))
        return out_BPN

    def _usual(self, history_rows: Sequence[NDArray[np.int32]]) -> tuple[FloatArray, FloatArray]:
        """Mean of the gap features over each user's last items (B, G), and 1 where it has any."""
        usual_BG = np.zeros((len(history_rows), len(_GAP_OF)), np.float32)
        has_usual_B = np.zeros(len(history_rows), np.float32)
        for b, rows in enumerate(history_rows):
            last = rows[-PAIR_ITEMS:]
            last = last[last >= 0]
            if len(last):
                usual_BG[b] = self.item_NI[last][:, _GAP_OF].mean(0)
                has_usual_B[b] = 1.0
        return usual_BG, has_usual_B

    def _affinity(
        self,
        history_rows: Sequence[NDArray[np.int32]],
        rows_T: NDArray[np.int64],
        request_T: NDArray[np.intp],
    ) -> FloatArray:
        tastes_BK = np.stack([self._taste(h) for h in history_rows])
        categories_TM, weights_TM = self._categories_NM[rows_T], self._category_weight_NM[rows_T]
        own = (tastes_BK[request_T[:, None], categories_TM] * weights_TM).sum(1)
        everyone = self._category_share_N[rows_T]
        lift = np.log((own + 0.05) / (everyone + 0.05))
        has_taste = (tastes_BK.max(1) > 0)[request_T]
        return np.stack([own, np.where(has_taste, lift, 0.0)], axis=1).astype(np.float32)

    def _taste(self, history_rows: NDArray[np.int32]) -> FloatArray:
        """Share of each category in a history, newest weighing most. (K + 1,), padding 0."""
        k = self._catalogue.category_count
        newest_first = history_rows[history_rows >= 0][::-1]
        if not len(newest_first):
            return np.zeros(k + 1, np.float32)
        weight = AFFINITY_DECAY ** np.arange(len(newest_first))[:, None]
        weights = weight * self._category_weight_NM[newest_first]
        taste = np.bincount(
            self._categories_NM[newest_first].ravel(), weights.ravel(), minlength=k + 1
        )
        return np.asarray(taste / weight.sum(), np.float32)

    def _word_taste(self, history_rows: NDArray[np.int32]) -> FloatArray:
        return self._words.taste(history_rows[history_rows >= 0][::-1], AFFINITY_DECAY)

    def _shared_words(
        self,
        history_rows: Sequence[NDArray[np.int32]],
        rows_T: NDArray[np.int64],
        request_T: NDArray[np.intp],
    ) -> FloatArray:
        best_T = np.zeros(len(rows_T), np.float32)
        by_request_T = np.argsort(request_T, kind="stable")
        ends_B = np.cumsum(np.bincount(request_T, minlength=len(history_rows)))
        for history, own_T in zip(history_rows, np.split(by_request_T, ends_B[:-1]), strict=True):
            if len(own_T) and len(history):
                best_T[own_T] = self._words.best(self._word_taste(history), rows_T[own_T])
        return best_T

    def _co_occurrences(
        self,
        history_rows: Sequence[NDArray[np.int32]],
        rows_T: NDArray[np.int64],
        request_T: NDArray[np.intp],
    ) -> FloatArray:
        """Transition and co-occurrence scores: sums over pairs of (last item, companion)."""
        n = len(self._catalogue)
        cell_E, values_ES = self._co_occurrence_cells(history_rows, n)
        cell_T = request_T * n + rows_T
        slot = np.full(len(history_rows) * n, -1, np.int64)
        slot[cell_T] = np.arange(len(cell_T))  # a repeated candidate: one slot, read by both
        slot_E = slot[cell_E]
        hit = slot_E >= 0
        sums = [
            np.bincount(slot_E[hit], values_ES[hit, s], minlength=len(cell_T))[slot[cell_T]]
            for s in range(_SUMS)
        ]
        return np.log1p(100.0 * np.stack(sums, axis=1)).astype(np.float32)

    def _co_occurrence_cells(
        self, history_rows: Sequence[NDArray[np.int32]], n: int
    ) -> tuple[NDArray[np.int64], FloatArray]:
        """Every (request, companion) cell and what it adds to each sum, (E,) and (E, 4)."""
        totals, neighbours = self._pair_totals_N + PAIR_PRIOR, self._statistics.neighbours
        pairs: list[Neighbours] = []
        scalars: list[tuple[float, float, float, float]] = []
        for b, rows in enumerate(history_rows):
            last = [r for r in rows[: -1 - PAIR_ITEMS : -1].tolist() if r >= 0]
            norm = sum(PAIR_DECAY**j for j in range(len(last))) or 1.0
            for j, row in enumerate(last):
                for pair in neighbours(row):
                    pairs.append(pair)
                    scalars.append((b, float(j == 0), PAIR_DECAY**j / norm, totals[row]))
        if not pairs:
            return np.zeros(0, np.int64), np.zeros((0, _SUMS), np.float32)
        lengths = [len(pair.rows_E) for pair in pairs]
        request, first, weight, total = np.repeat(np.array(scalars).T, lengths, axis=1)
        rows_E = np.concatenate([pair.rows_E for pair in pairs])
        after = np.concatenate([pair.after_E for pair in pairs]) / total
        together = np.concatenate([pair.with_E for pair in pairs]) / total
        cosine = together * np.sqrt(total / totals[rows_E])
        values = [
            first * after,
            weight * after,
            weight * together,
            weight * cosine,
        ]
        return request.astype(np.int64) * n + rows_E, np.stack(values, axis=1).astype(np.float32)

    def _item_features(self) -> FloatArray:
        counts = self._statistics.counts()
        views, accepts = counts.views_ND, counts.accepts_ND
        hours_since = [
            np.maximum(0, counts.watermark_ms - at) / MS_PER_HOUR
            for at in (counts.first_seen_ms_N, counts.last_accept_ms_N)
        ]
        seen, taken = counts.first_seen_ms_N > 0, counts.last_accept_ms_N > 0
        columns = [
            *np.log1p(accepts).T,
            *np.log1p(views[:, _VIEWS_AT]).T,
            *(_log_lift(accepts[:, d], views[:, d]) for d in _RATE_AT),
            np.where(seen, np.log1p(hours_since[0]), 0.0),
            np.where(seen, 0.0, 1.0),
            np.where(taken, np.log1p(hours_since[1]), LONG_AGO),
            self._mean_over_categories(self._category_rates()),
            np.log1p(100.0 * self._category_share_N),
        ]
        return np.stack(columns, axis=1).astype(np.float32)

    def _membership(self) -> FloatArray | None:
        """Weight of each category in each item, dense: a product then beats many gathers."""
        n, k = len(self._catalogue), self._catalogue.category_count
        if k > DENSE_CATEGORIES:
            return None
        dense_NK = np.zeros((n, k + 1), np.float32)
        dense_NK[np.arange(n)[:, None], self._categories_NM] = self._category_weight_NM
        return dense_NK

    def _per_category(self, values_N: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum of an item column by category, shared out over an item's own. (K + 1,)."""
        if self._membership_NK is not None:
            return np.asarray(values_N.astype(np.float32) @ self._membership_NK, np.float64)
        weighted = values_N[:, None] * self._category_weight_NM
        k = self._catalogue.category_count
        sums = np.bincount(self._categories_NM.ravel(), weighted.ravel(), minlength=k + 1)
        return np.asarray(sums, np.float64)

    def _mean_over_categories(self, values_K: NDArray[np.floating[Any]]) -> FloatArray:
        if self._membership_NK is not None:
            return np.asarray(self._membership_NK @ values_K.astype(np.float32))
        means_N = (values_K[self._categories_NM] * self._category_weight_NM).sum(1)
        return np.asarray(means_N, np.float32)

    def _shares_of_categories(self) -> NDArray[np.float64]:
        accepts_N = self._statistics.counts().accepts_ND[:, 1]
        return self._per_category(accepts_N) / max(float(accepts_N.sum()), 1.0)

    def _category_rates(self) -> NDArray[np.float64]:
        counts = self._statistics.counts()
        accepts, views = counts.accepts_ND[:, 1], counts.views_ND[:, 1]
        overall = _rate(accepts.sum(), views.sum())
        accepts_K, views_K = self._per_category(accepts), self._per_category(views)
        lift = np.log(((accepts_K + RATE_PRIOR * overall) / (views_K + RATE_PRIOR)) / overall)
        lift[-1] = 0.0
        return np.asarray(lift)


def _rate(accepts: float, views: float) -> float:
    return (float(accepts) + 1.0) / (float(views) + 2.0)


def _log_lift(accepts_N: NDArray[np.float64], views_N: NDArray[np.float64]) -> NDArray[np.float64]:
    overall = _rate(accepts_N.sum(), views_N.sum())
    smoothed = (accepts_N + RATE_PRIOR * overall) / (views_N + RATE_PRIOR)
    return np.asarray(np.log(smoothed / overall))


def _category_weights(categories_NM: NDArray[np.int32], padding: int) -> FloatArray:
    """1 / (number of categories) where an item has one, 0 in the padding."""
    real = categories_NM != padding
    weights = real / np.maximum(real.sum(1, keepdims=True), 1)
    return np.asarray(weights, np.float32)
