"""From wishes to lists, all of one generation, under one view of catalogue and statistics.

Knows what a list must say about itself. Does not know where wishes come from
(``tasks.ranking.lists.list_requests``), which generation answers, or what is done with the answers
(``loop.serving.serve``).

1. Read the users' states. The update that triggered us was published after its commit, so
   the state includes its event.
2. While the view stands still: rank, choose, give reasons.
3. Keep what is needed to explain the answers later. Nobody has seen them yet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from streamrec.core import topics
from streamrec.core.events import Recommendation, RecommendedItem, Source, Trigger
from streamrec.core.examples import FloatArray
from streamrec.core.state.user_state import NEW_USER, UserState
from streamrec.loop.ingesting.raw import Edges
from streamrec.ports import Ranking, ServingModel
from streamrec.tasks.ranking.lists.choice import Choice, choose
from streamrec.tasks.ranking.lists.eligibility import eligible
from streamrec.tasks.ranking.lists.explainer import Explainer, Listed
from streamrec.tasks.ranking.lists.exploration import EXPLORED, Exploration
from streamrec.tasks.ranking.lists.list_requests import ListRequest
from streamrec.tasks.ranking.lists.state_mirror import Mirror, View

MODEL_FAULTS = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
"""What broken weights or code make a model raise."""


class Answer(NamedTuple):
    """A wish and the list made for it."""

    wish: ListRequest
    recommendation: Recommendation


@dataclass(frozen=True, slots=True)
class Answered:
    """Of some wishes. An update for which there is nothing to recommend has no answer."""

    answers: list[Answer]
    empty: int  # lists without an item


class _User(NamedTuple):
    """Somebody lists are made for. ``position``: the partition's, that the state stands at."""

    row: int  # of the ranking
    position: int
    state: UserState


class Answerer:
    """Makes lists; one micro-batch at a time."""

    def __init__(
        self,
        edges: Edges,
        mirror: Mirror,
        explainer: Explainer,
        exploration: Exploration,
        worker_id: str,
    ) -> None:
        self._edges = edges
        self._mirror = mirror
        self._explainer = explainer
        self._exploration = exploration
        self._worker_id = worker_id

    def answer(self, wishes: Sequence[ListRequest], model: ServingModel) -> Answered:
        """See the module. Raises Unavailable, and MODEL_FAULTS when the model is broken."""
        users = self._read_users(wish.user_id for wish in wishes)
        with self._mirror.view() as view:
            ranking = _rank([user.state for user in users.values()], model, view)
            chosen = self._choose(wishes, users, ranking.scores_BN, model, view)
            listed = [
                _listed(wish, users[wish.user_id], choice)
                for wish, choice in zip(wishes, chosen, strict=True)
            ]
            explained = self._explainer.explain(listed, ranking, view)
            lists = [
                _items(choice, why.reasons, model, view)
                for choice, why in zip(chosen, explained, strict=True)
            ]
        served_at_ms = self._edges.clock.now_ms()
        made = [
            (self._made(wish, items, model, users[wish.user_id].position, served_at_ms), why)
            for wish, items, why in zip(wishes, lists, explained, strict=True)
            if items or wish.trigger is Trigger.REQUEST
        ]
        self._explainer.keep([(answer.recommendation, why) for answer, why in made], served_at_ms)
        return Answered([answer for answer, _ in made], sum(not items for items in lists))

    def sound(self, model: ServingModel) -> bool:
        """Whether ``model`` can rank somebody who has never been seen."""
        try:
            with self._mirror.view() as view:
                scores_BN = _rank([NEW_USER], model, view).scores_BN
                return bool(np.isfinite(model.probability(scores_BN)).all())
        except MODEL_FAULTS:
            return False

    def _read_users(self, user_ids: Iterable[str]) -> dict[str, _User]:
        """Each partition is read at one moment."""
        by_partition: dict[int, list[str]] = defaultdict(list)
        for user_id in dict.fromkeys(user_ids):
            by_partition[self._edges.partition_of(user_id)].append(user_id)
        users: dict[str, _User] = {}
        for partition, ids in by_partition.items():
            position, records = self._edges.store.read_users(Source(topics.EVENTS, partition), ids)
            for user_id, record in zip(ids, records, strict=True):
                state = NEW_USER if record is None else UserState.from_record(record)
                users[user_id] = _User(len(users), position, state)
        return users

    def _choose(
        self,
        wishes: Sequence[ListRequest],
        users: Mapping[str, _User],
        scores_BN: FloatArray,
        model: ServingModel,
        view: View,
    ) -> list[Choice]:
        rows = scores_BN.shape[1]
        chosen = []
        for wish, cosine_N in zip(wishes, _cosines(wishes, model, rows), strict=True):
            user = users[wish.user_id]
            allowed_N = eligible(
                view.catalogue, rows, user.state.consumed, wish.filters, wish.candidates
            )
            choice = choose(
                allowed_N,
                scores_BN[user.row],
                cosine_N,
                wish.k,
                exploration=self._exploration,
                recommendation_id=wish.recommendation_id,
            )
            chosen.append(choice)
        return chosen

    def _made(
        self,
        wish: ListRequest,
        items: tuple[RecommendedItem, ...],
        model: ServingModel,
        position: int,
        served_at_ms: int,
    ) -> Answer:
        recommendation = Recommendation(
            recommendation_id=wish.recommendation_id,
            user_id=wish.user_id,
            items=items,
            generation=model.generation,
            trained_through=model.trained_through,
            trigger=wish.trigger,
            trigger_id=wish.trigger_id,
            triggered_at_ms=wish.triggered_at_ms,
            state_position=position,
            served_at_ms=served_at_ms,
            worker_id=self._worker_id,
        )
        return Answer(wish, recommendation)


def _rank(users: Sequence[UserState], model: ServingModel, view: View) -> Ranking:
    """As of the latest event that statistics or user have seen: a recorded stream has its day."""
    now_ms = [max(view.watermark_ms, user.last_seen_ms) for user in users]
    return model.ranking(users, now_ms, view.features)


def _cosines(
    wishes: Sequence[ListRequest], model: ServingModel, rows: int
) -> list[FloatArray | None]:
    """How close each item is to what the wish's text asks for; None without a text."""
    queries = [wish.query for wish in wishes if wish.query]
    found = iter(model.query_similarities(queries, rows) if queries else ())
    return [next(found) if wish.query else None for wish in wishes]


def _listed(wish: ListRequest, user: _User, choice: Choice) -> Listed:
    return Listed(user.row, user.state, choice.rows, choice.scores, wish.query)


def _items(
    choice: Choice, reasons: Sequence[str], model: ServingModel, view: View
) -> tuple[RecommendedItem, ...]:
    ids, probabilities = view.catalogue.ids(choice.rows), model.probability(choice.scores)
    items = [
        RecommendedItem(item_id, float(probability), reason=reason)
        for item_id, probability, reason in zip(ids, probabilities, reasons, strict=True)
    ]
    if items:
        reason = EXPLORED if choice.explored else reasons[-1]
        items[-1] = replace(items[-1], propensity=choice.propensity, reason=reason)
    return tuple(items)
