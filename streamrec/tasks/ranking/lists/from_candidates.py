"""Lists of items that were looked for, where the catalogue is too large to score every one.

Knows what a request leaves of the catalogue, and that what candidates miss has to be measured.
Does not know where candidates come from (``tasks.ranking.candidates``).

Shapes: R candidates of one request, ascending; N catalogue rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import BoolArray, Catalogue, IntArray
from streamrec.core.state.user_state import UserState
from streamrec.tasks.ranking.candidates.recall import RecallMeter
from streamrec.tasks.ranking.features import FeatureMaker
from streamrec.tasks.ranking.lists.choice import Choice, choose
from streamrec.tasks.ranking.lists.eligibility import NO_FILTERS, Unmet, eligible, why_nothing
from streamrec.tasks.ranking.lists.explainer import Explained, Explainer, Listed
from streamrec.tasks.ranking.lists.exploration import Exploration
from streamrec.tasks.ranking.lists.list_requests import ListRequest
from streamrec.tasks.ranking.lists.model_ports import PoolRequest, RankingModel
from streamrec.tasks.ranking.lists.state_mirror import View

Asking = tuple[ListRequest, UserState, int]
"""A request, whose it is, and its moment (ms)."""


class CandidateLists:
    """One thread makes lists, another refreshes."""

    def __init__(self, exploration: Exploration, explainer: Explainer) -> None:
        self._exploration, self._explainer = exploration, explainer
        self._meter = RecallMeter()
        self._used: tuple[RankingModel, ...] = ()  # since the last refresh: champion and canary

    @property
    def gauges(self) -> dict[str, float]:
        return self._meter.gauges

    def refresh(self, catalogue: Catalogue, features: FeatureMaker) -> None:
        """From the thread that changes catalogue and statistics, so that they stand still."""
        used, self._used = self._used, ()
        for model in used:
            model.prepare(features)
        self._meter.measure(features, lambda one: _allowed(one, catalogue))

    def made(
        self, asked: Sequence[Asking], model: RankingModel, view: View
    ) -> list[tuple[Choice, Explained]] | None:
        """One for each, best candidates first; None where ``model`` scores every item."""
        if not model.has_candidates:
            return None
        if model not in self._used:
            self._used = (*self._used, model)
        wanted = [self._wanted(*one, view) for one in asked]
        found = model.candidates(wanted, view.features)
        chosen = []
        for b, ((request, _, _), pool) in enumerate(zip(asked, wanted, strict=True)):
            rows_R = found.rows[b]
            allowed_R = _allowed_of(rows_R, pool, view.catalogue)
            choice = self._choose(request, rows_R, allowed_R, found.scores[b], found.asked[b])
            unmet = None if allowed_R.any() else _unmet(request, view.catalogue)
            chosen.append(choice._replace(unmet=unmet))
            if unmet is None:
                self._meter.offer(pool, model)
        listed = [
            Listed(b, state, choice.rows, choice.scores, request.query)
            for b, ((request, state, _), choice) in enumerate(zip(asked, chosen, strict=True))
        ]
        explained = self._explainer.explain(listed, found, view)
        return list(zip(chosen, explained, strict=True))

    def _wanted(self, request: ListRequest, user: UserState, at_ms: int, view: View) -> PoolRequest:
        reach = request.k + self._exploration.reach
        among = _among(request, user, view.catalogue)
        return PoolRequest(user, at_ms, reach, request.query or "", among)

    def _choose(
        self,
        request: ListRequest,
        rows_R: IntArray,
        allowed_R: BoolArray,
        scores_R: FloatArray,
        asked_R: FloatArray | None,
    ) -> Choice:
        choice = choose(
            allowed_R,
            scores_R,
            asked_R,
            request.k,
            exploration=self._exploration,
            recommendation_id=request.recommendation_id,
        )
        return choice._replace(rows=rows_R[choice.rows])


def _among(request: ListRequest, user: UserState, catalogue: Catalogue) -> IntArray | None:
    """Rows that a request leaves; None where it says nothing of them."""
    if request.refused:
        return np.zeros(0, np.int32)
    if request.filters == NO_FILTERS and not request.candidates:
        return None
    consumed, rows = user.consumed, len(catalogue)
    left_N = eligible(catalogue, rows, consumed, request.filters, request.candidates)
    return np.flatnonzero(left_N).astype(np.int32)


def _allowed_of(rows_R: IntArray, pool: PoolRequest, catalogue: Catalogue) -> BoolArray:
    if pool.among is not None:
        return np.ones(len(rows_R), np.bool_)
    consumed = catalogue.rows(pool.user.consumed)
    return np.asarray(catalogue.available[rows_R] & ~np.isin(rows_R, consumed), np.bool_)


def _allowed(pool: PoolRequest, catalogue: Catalogue) -> BoolArray:
    rows = len(catalogue)
    if pool.among is None:
        return eligible(catalogue, rows, pool.user.consumed)
    left_N = np.zeros(rows, np.bool_)
    left_N[pool.among[pool.among < rows]] = True
    return left_N


def _unmet(request: ListRequest, catalogue: Catalogue) -> Unmet | None:
    if request.refused:
        return Unmet.REFUSED
    rows = len(catalogue)
    return why_nothing(catalogue, rows, request.filters, request.candidates)
