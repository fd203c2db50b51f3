"""Answering triggers: a micro-batch, one published list for each, each of one generation.

Knows what asks for a list, who gets which items, and what a list must say about itself.
Does not know Kafka, Redis, torch, or which generation should be active (``stages.serving.obey``).

A micro-batch, in this order:

1. Take the active generation, once; while there is a canary, that too, and split the
   micro-batch between them by user.
2. Read the users' states. The update that triggered us was published after its commit, so
   the state includes its event.
3. Rank under one view of catalogue and statistics.
4. Publish every answer and wait for the acknowledgements.
5. Only then does the caller commit the triggers' offsets.

A crash before 5 answers again, with the same ``recommendation_id``.

Several updates of one user in a micro-batch are answered once, for the latest: the list
would be the same. Every request is answered. A canary that fails costs nobody a list: the
champion answers its users, and the fault is counted against it.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from streamrec.core import topics
from streamrec.core.events import (
    Filters,
    Recommendation,
    RecommendedItem,
    Request,
    Source,
    Trigger,
    UserUpdate,
)
from streamrec.core.examples import FloatArray
from streamrec.core.serving.eligibility import NO_FILTERS, eligible
from streamrec.core.serving.exploration import EXPLORED, NO_EXPLORATION, Exploration, last_slot
from streamrec.core.state.catalogue import IntArray
from streamrec.core.state.user_state import NEW_USER, UserState
from streamrec.errors import Refused, TooLarge
from streamrec.ports import Delivered, ServingModel
from streamrec.stages.ingesting.raw import Edges, RawRecord, Refusals
from streamrec.stages.serving.explain import Explainer, Listed
from streamrec.stages.serving.lineup import OnTrial, split
from streamrec.stages.serving.mirror import Mirror, View

log = logging.getLogger(__name__)

QUERY_WEIGHT = 10.0
"""Score that a cosine of 1 with the query text is worth beside the user's own."""

MODEL_FAULTS = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
"""What broken weights or code make a model raise."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One list that has to be made."""

    message: Delivered
    user_id: str
    trigger: Trigger
    trigger_id: str
    triggered_at_ms: int
    k: int
    filters: Filters = NO_FILTERS
    candidates: tuple[str, ...] = ()
    query: str | None = None

    @property
    def recommendation_id(self) -> str:
        """Made from the trigger, so that answering twice can be seen."""
        return f"{self.trigger}:{self.trigger_id}"


@dataclass(frozen=True, slots=True)
class Served:
    """What a micro-batch did."""

    recommendations: tuple[Recommendation, ...] = ()
    coalesced: int = 0  # updates answered by a later one of the same user
    dead_letters: int = 0
    skipped: int = 0  # updates without a list, because there is nothing to recommend
    empty: Mapping[str, int] = field(default_factory=dict)  # generation -> lists without an item
    faults: Mapping[str, int] = field(default_factory=dict)  # generation -> lists it failed at


class Choice(NamedTuple):
    """One list's rows, best first, their scores, and how likely the last one was drawn."""

    rows: IntArray
    scores: FloatArray
    propensity: float = 1.0
    explored: bool = False


@dataclass(slots=True)
class _Tally:
    """Of one micro-batch, by generation."""

    empty: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)


class Server:
    """Turns delivered triggers into published recommendations."""

    def __init__(
        self,
        edges: Edges,
        mirror: Mirror,
        *,
        worker_id: str,
        k: int,
        exploration: Exploration = NO_EXPLORATION,
        explainer: Explainer | None = None,
    ) -> None:
        """``k``: items in a list that nobody asked a number for."""
        self._edges = edges
        self._mirror = mirror
        self._refusals = Refusals(edges)
        self._worker_id = worker_id
        self._k = k
        self._exploration = exploration
        self._explainer = explainer or Explainer()

    def serve(
        self, batch: Sequence[Delivered], model: ServingModel, canary: OnTrial | None = None
    ) -> Served:
        """Answer a micro-batch. Raises Unavailable; serving it again is then right."""
        refused = [(m, m.value) for m in batch if isinstance(m.value, Refused)]
        wishes, coalesced = self._wishes(batch)
        tally = _Tally()
        answers = [
            answer
            for made_by, group in split(wishes, lambda wish: wish.user_id, model, canary)
            for answer in self._safely(group, made_by, model, tally)
        ]
        sent = []
        for wish, answer in answers:
            try:
                self._send(answer)
                sent.append(answer)
            except TooLarge as error:  # more items were asked for than a message can hold
                refused.append((wish.message, error))
        if sent:
            self._edges.publisher.flush()
        self.put_aside(refused)
        skipped = len(wishes) - len(answers)
        return Served(tuple(sent), coalesced, len(refused), skipped, tally.empty, tally.faults)

    def sound(self, model: ServingModel) -> bool:
        """Whether ``model`` can rank somebody who has never been seen."""
        try:
            with self._mirror.view() as view:
                ranking = model.ranking([NEW_USER], [view.watermark_ms], view.features)
                return bool(np.isfinite(model.probability(ranking.scores_BN)).all())
        except MODEL_FAULTS:
            return False

    def _safely(
        self, wishes: Sequence[Wish], model: ServingModel, champion: ServingModel, tally: _Tally
    ) -> list[tuple[Wish, Recommendation]]:
        """Answers of ``model``, or of the champion where a canary fails; what that raises stays."""
        try:
            return self._answers(wishes, model, tally)
        except MODEL_FAULTS:
            if model is champion:
                raise
            log.exception("%s fails; the champion answers its users", model.generation)
            tally.faults[model.generation] += len(wishes)
            return self._answers(wishes, champion, tally)

    def _wishes(self, batch: Sequence[Delivered]) -> tuple[list[Wish], int]:
        latest: dict[str, Wish] = {}
        requests: list[Wish] = []
        updates = 0
        for message in batch:
            match message.value:
                case UserUpdate() as update:
                    updates += 1
                    latest[update.user_id] = self._of_update(message, update)
                case Request() as request:
                    requests.append(_of_request(message, request))
        return [*requests, *latest.values()], updates - len(latest)

    def _of_update(self, message: Delivered, update: UserUpdate) -> Wish:
        return Wish(
            message=message,
            user_id=update.user_id,
            trigger=Trigger.USER_UPDATE,
            trigger_id=f"{update.partition}-{update.offset}",
            triggered_at_ms=update.produced_at_ms,
            k=self._k,
        )

    def _answers(
        self, wishes: Sequence[Wish], model: ServingModel, tally: _Tally
    ) -> list[tuple[Wish, Recommendation]]:
        states = self._states(wish.user_id for wish in wishes)
        index = {user: at for at, user in enumerate(states)}
        with self._mirror.view() as view:
            users = [state for _, state in states.values()]
            now_ms = [max(view.watermark_ms, user.last_seen_ms) for user in users]
            ranking = model.ranking(users, now_ms, view.features)
            scores_UN = ranking.scores_BN
            cosines = self._cosines(wishes, model, scores_UN.shape[1])
            chosen = [
                _choose(
                    wish,
                    states[wish.user_id][1],
                    scores_UN[index[wish.user_id]],
                    cosine_N,
                    view,
                    exploration=self._exploration,
                )
                for wish, cosine_N in zip(wishes, cosines, strict=True)
            ]
            listed = [
                Listed(index[wish.user_id], states[wish.user_id][1], *choice[:2], wish.query)
                for wish, choice in zip(wishes, chosen, strict=True)
            ]
            explained = self._explainer.explain(listed, ranking, view)
            lists = [
                _listed(choice, why.reasons, model, view)
                for choice, why in zip(chosen, explained, strict=True)
            ]
        tally.empty[model.generation] += sum(not items for items in lists)
        served_at_ms = self._edges.clock.now_ms()
        answers = [
            (wish, self._answer(wish, items, model, states[wish.user_id][0], served_at_ms), why)
            for wish, items, why in zip(wishes, lists, explained, strict=True)
            if items or wish.trigger is Trigger.REQUEST
        ]
        self._explainer.keep([(answer, why) for _, answer, why in answers], served_at_ms)
        return [(wish, answer) for wish, answer, _ in answers]

    def _cosines(
        self, wishes: Sequence[Wish], model: ServingModel, rows: int
    ) -> list[FloatArray | None]:
        """How close each item is to what the wish's text asks for; None without a text."""
        queries = [wish.query for wish in wishes if wish.query]
        found = iter(model.query_similarities(queries, rows) if queries else ())
        return [next(found) if wish.query else None for wish in wishes]

    def _states(self, user_ids: Iterable[str]) -> dict[str, tuple[int, UserState]]:
        """Position and state of every user, each partition read at one moment."""
        by_partition: dict[int, list[str]] = defaultdict(list)
        for user in dict.fromkeys(user_ids):
            by_partition[self._edges.partition_of(user)].append(user)
        states = {}
        for partition, users in by_partition.items():
            position, records = self._edges.store.read_users(
                Source(topics.EVENTS, partition), users
            )
            for user, record in zip(users, records, strict=True):
                state = NEW_USER if record is None else UserState.from_record(record)
                states[user] = position, state
        return states

    def _answer(
        self,
        wish: Wish,
        items: tuple[RecommendedItem, ...],
        model: ServingModel,
        position: int,
        served_at_ms: int,
    ) -> Recommendation:
        return Recommendation(
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

    def _send(self, answer: Recommendation) -> None:
        data = self._edges.codec.encode(topics.RECOMMENDATIONS, answer)
        self._edges.publisher.publish(topics.RECOMMENDATIONS, answer.user_id.encode(), data)

    def put_aside(self, refused: Sequence[tuple[Delivered, Refused]]) -> None:
        """Send what cannot be answered to the dead letters."""
        for message, reason in refused:
            source = Source(message.topic, message.partition)
            log.warning("%s@%d goes to the dead letters: %s", source, message.offset, reason)
            record = RawRecord(message.offset, message.timestamp_ms, message.key, message.data)
            self._refusals.publish(source, [(record, reason)])


def _of_request(message: Delivered, request: Request) -> Wish:
    return Wish(
        message=message,
        user_id=request.user_id,
        trigger=Trigger.REQUEST,
        trigger_id=request.request_id,
        triggered_at_ms=message.timestamp_ms,
        k=request.k,
        filters=request.filters,
        candidates=request.candidates,
        query=request.query,
    )


def _choose(
    wish: Wish,
    state: UserState,
    scores_N: FloatArray,
    cosine_N: FloatArray | None,
    view: View,
    *,
    exploration: Exploration,
) -> Choice:
    """The best eligible rows, best first, and their scores before the text had its say.

    Of equals the one first in the catalogue. A score that is not a number is never shown.
    The last slot may be drawn (``core.serving.exploration``).
    """
    allowed_N = eligible(
        view.catalogue, len(scores_N), state.consumed, wish.filters, wish.candidates
    )
    keys_N = scores_N if cosine_N is None else scores_N + QUERY_WEIGHT * cosine_N
    able = np.flatnonzero(allowed_N & np.isfinite(keys_N))
    reach = wish.k + exploration.reach
    if len(able) > reach:
        able = np.sort(able[np.argpartition(-keys_N[able], reach - 1)[:reach]])
    best: IntArray = able[np.argsort(-keys_N[able], kind="stable")].astype(np.int32)
    if len(best) <= wish.k:
        return Choice(best, scores_N[best])
    last, propensity = last_slot(exploration, wish.recommendation_id, wish.k, len(best))
    shown = np.append(best[: wish.k - 1], best[last])
    return Choice(shown, scores_N[shown], propensity, explored=last >= wish.k)


def _listed(
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
