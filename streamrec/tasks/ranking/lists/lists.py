"""From requests to lists, all of one generation, under one view of catalogue and statistics.

Knows what a list must say about itself. Does not know where requests come from
(``tasks.ranking.lists.list_requests``), which generation answers, or what is done with the answers
(``loop.serving.serve``).

1. Read the users' states. The update that triggered us was published after its commit, so
   the state includes its event.
2. While the view stands still: rank, choose, give reasons.
3. Keep what is needed to explain the answers later. Nobody has seen them yet.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from streamrec.core import topics
from streamrec.core.events import EXPLORED, Recommendation, RecommendedItem, Source, Trigger
from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import BoolArray, Catalogue
from streamrec.core.state.user_state import NEW_USER, UserState
from streamrec.ports import MODEL_FAULTS, Answer, Answered, Delivered
from streamrec.ports.edges import Edges
from streamrec.tasks.ranking.lists.asked import QueryRead, QueryReader, admitted
from streamrec.tasks.ranking.lists.choice import Choice, choose
from streamrec.tasks.ranking.lists.eligibility import Unmet, eligible, why_nothing
from streamrec.tasks.ranking.lists.explainer import Explained, Explainer, Listed
from streamrec.tasks.ranking.lists.exploration import NO_EXPLORATION, Exploration
from streamrec.tasks.ranking.lists.from_candidates import CandidateLists
from streamrec.tasks.ranking.lists.list_requests import ListRequest, list_requests_of
from streamrec.tasks.ranking.lists.model_ports import PoolRequest, Ranking, RankingModel
from streamrec.tasks.ranking.lists.reason_texts import with_reason_texts
from streamrec.tasks.ranking.lists.shown_lists import ShownBefore, ShownLists
from streamrec.tasks.ranking.lists.state_mirror import Mirror, View
from streamrec.tasks.ranking.lists.wording import Wishes, Wording, worded


class _User(NamedTuple):
    """Somebody lists are made for. ``position``: the partition's, that the state stands at."""

    row: int  # of the ranking
    position: int
    state: UserState


_Asked = tuple[ListRequest, ShownBefore]
"""A request, and what was shown before each turn of it."""


class ListAnswerer:
    """``ports.Answerer``: makes lists, one micro-batch at a time."""

    def __init__(
        self,
        edges: Edges,
        mirror: Mirror,
        *,
        worker_id: str,
        k: int,
        exploration: Exploration = NO_EXPLORATION,
        explainer: Explainer | None = None,
        wording: Wording | None = None,
        reader: QueryReader | None = None,
        shown: ShownLists | None = None,
    ) -> None:
        """``k``: items in a list that nobody asked a number for."""
        self._wording = wording or Wording()
        self._edges = edges
        self._clock = edges.clock
        self._mirror = mirror
        self._explainer = explainer or Explainer()
        self._exploration = exploration
        self._candidates = CandidateLists(exploration, self._explainer)
        self._worker_id = worker_id
        self._k = k
        self._reader, self._shown = reader or QueryReader(), shown or ShownLists()

    @property
    def catalogue(self) -> Catalogue:
        return self._mirror.catalogue

    @property
    def gauges(self) -> Mapping[str, float]:
        """What is measured of lists that were made from candidates."""
        return self._candidates.gauges

    def refresh(self) -> int:
        changed = self._mirror.refresh()
        self._reader.refresh(self._mirror.catalogue, self._clock.now_ms())
        with self._mirror.view() as view:
            features = view.features
        self._candidates.refresh(self._mirror.catalogue, features)
        return changed

    def asked(self, batch: Sequence[Delivered]) -> tuple[list[ListRequest], int]:
        return list_requests_of(batch, self._k)

    def answer(self, asked: Sequence[ListRequest], model: RankingModel) -> Answered:
        """See the module. Raises Unavailable, and MODEL_FAULTS when the model is broken."""
        users = self._read_users(request.user_id for request in asked)
        turns = [self._shown.before(request) for request in asked]
        with self._mirror.view() as view:
            asked = [_with_words(one, users[one.user_id].state, view) for one in asked]
            wanted = list(zip(asked, turns, strict=True))
            chosen, explained = self._chosen_of(wanted, users, model, view)
            lists = [
                with_reason_texts(
                    _items(choice, why.reasons, model, view),
                    request,
                    users[request.user_id].state.history,
                    view.catalogue,
                )
                for request, choice, why in zip(asked, chosen, explained, strict=True)
            ]
            users_items = [
                (request.user_id, items) for request, items in zip(asked, lists, strict=True)
            ]
            wished = self._wording.wishes(users_items, view, self._clock.now_ms())
            variants = _variants(wished, view)
        held = self._wording.hold(wished, variants)
        served_at_ms = self._clock.now_ms()
        made = [
            (
                request,
                worded(
                    self._made(
                        request, items, model, users[request.user_id].position, served_at_ms
                    ),
                    held,
                ),
                choice,
                why,
            )
            for request, items, choice, why in zip(asked, lists, chosen, explained, strict=True)
            if items or request.trigger is Trigger.REQUEST
        ]
        self._explainer.keep([(answer, why) for _, answer, _, why in made], served_at_ms)
        for request, answer, _, _ in made:
            self._shown.keep(request, answer)
        answers = [_answer(request, answer, choice) for request, answer, choice, _ in made]
        unmet = Counter(str(choice.unmet) for choice in chosen if choice.unmet)
        unread = Counter(str(choice.unread) for choice in chosen if choice.unread)
        empty = sum(not items for items in lists) - unmet.total()
        return Answered(answers, empty, unmet, unread=unread)

    def _chosen_of(
        self,
        asked: Sequence[_Asked],
        users: Mapping[str, _User],
        model: RankingModel,
        view: View,
    ) -> tuple[list[Choice], list[Explained]]:
        """Of candidates, where there are some; what a reply is wanted to is looked for everywhere,
        since what it names may be anywhere."""
        some = [at for at, (one, _) in enumerate(asked) if not one.turns]
        requests = [asked[at][0] for at in some]
        states = [users[one.user_id].state for one in requests]
        moments = [_now_ms(state, view) for state in states]
        askings = list(zip(requests, states, moments, strict=True))
        made = self._candidates.made(askings, model, view)
        if made is None:
            return self._chosen_of_all(asked, users, model, view)
        rest = [at for at, (one, _) in enumerate(asked) if one.turns]
        for at in rest:  # one by one: a row of scores and inputs of every item each
            made += zip(*self._chosen_of_all([asked[at]], users, model, view), strict=True)
        placed = dict(zip([*some, *rest], made, strict=True))
        chosen = [placed[at][0] for at in range(len(asked))]
        return chosen, [placed[at][1] for at in range(len(asked))]

    def _chosen_of_all(
        self,
        asked: Sequence[_Asked],
        users: Mapping[str, _User],
        model: RankingModel,
        view: View,
    ) -> tuple[list[Choice], list[Explained]]:
        """Every item is scored."""
        whose = dict.fromkeys(one.user_id for one, _ in asked)
        own = {user_id: users[user_id]._replace(row=row) for row, user_id in enumerate(whose)}
        ranking = _rank([user.state for user in own.values()], model, view)
        chosen = self._choose(asked, own, ranking, model, view)
        listed = [
            _listed(request, own[request.user_id], choice)
            for (request, _), choice in zip(asked, chosen, strict=True)
        ]
        return chosen, self._explainer.explain(listed, ranking, view)

    def sound(self, model: RankingModel) -> bool:
        """Whether ``model`` can rank somebody who has never been seen."""
        try:
            with self._mirror.view() as view:
                if model.has_candidates:
                    somebody = [PoolRequest(NEW_USER, view.watermark_ms, self._k)]
                    scores = model.candidates(somebody, view.features).scores[0]
                else:
                    scores = _rank([NEW_USER], model, view).scores_BN
                return bool(np.isfinite(model.probability(scores)).all())
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
        asked: Sequence[_Asked],
        users: Mapping[str, _User],
        ranking: Ranking,
        model: RankingModel,
        view: View,
    ) -> list[Choice]:
        """``asked``: requests, and what was shown before each turn of theirs."""
        scores_BN = ranking.scores_BN
        rows = scores_BN.shape[1]
        chosen = []
        added = _asked([request for request, _ in asked], users, ranking, model)
        for (request, shown), asked_N in zip(asked, added, strict=True):
            user = users[request.user_id]
            allowed_N = _allowed(request, user.state, rows, view)
            read = self._reader.read(request.turns, shown)
            choice = self._chosen(
                request, allowed_N, scores_BN[user.row], asked_N, read=read, view=view
            )
            chosen.append(choice._replace(unmet=_unmet(request, allowed_N, view)))
        return chosen

    def _chosen(
        self,
        request: ListRequest,
        allowed_N: BoolArray,
        scores_N: FloatArray,
        asked_N: FloatArray | None,
        *,
        read: QueryRead,
        view: View,
    ) -> Choice:
        """Of what the query was understood to want; of everything where nothing is so."""
        among = partial(
            choose,
            scores_N=scores_N,
            asked_N=asked_N,
            k=request.k,
            exploration=self._exploration,
            recommendation_id=request.recommendation_id,
        )
        found, unread = read
        if found is None:
            said = unread.said if unread else None
            return among(allowed_N)._replace(understood=said, unread=unread)
        keys_N = scores_N if asked_N is None else scores_N + asked_N
        reach = request.k + self._exploration.reach
        choice = among(admitted(allowed_N, keys_N, view.catalogue.item, found, reach))
        kept = bool(len(choice.rows)) or not allowed_N.any()
        choice = choice if kept else among(allowed_N)
        return choice._replace(understood=self._reader.said(found, kept=kept))

    def _made(
        self,
        request: ListRequest,
        items: tuple[RecommendedItem, ...],
        model: RankingModel,
        position: int,
        served_at_ms: int,
    ) -> Recommendation:
        return Recommendation(
            recommendation_id=request.recommendation_id,
            user_id=request.user_id,
            items=items,
            generation=model.generation,
            trained_through=model.trained_through,
            trigger=request.trigger,
            trigger_id=request.trigger_id,
            triggered_at_ms=request.triggered_at_ms,
            state_position=position,
            served_at_ms=served_at_ms,
            worker_id=self._worker_id,
            query=request.query if request.wants_reply else None,
            conversation_id=request.conversation_id,
            wants_reply=request.wants_reply,
        )


def _answer(request: ListRequest, made: Recommendation, choice: Choice) -> Answer:
    unmet = choice.unmet
    return Answer(
        request,
        topics.RECOMMENDATIONS,
        replace(
            made,
            reply=request.refused or (unmet.said if unmet else request.told),
            understood=choice.understood,
        ),
        made.generation,
        made.triggered_at_ms,
        empty=not made.items and not unmet,
        unmet=unmet is not None,
    )


def _allowed(request: ListRequest, user: UserState, rows: int, view: View) -> BoolArray:
    if request.refused:
        return np.zeros(rows, np.bool_)
    return eligible(view.catalogue, rows, user.consumed, request.filters, request.candidates)


def _unmet(request: ListRequest, allowed_N: BoolArray, view: View) -> Unmet | None:
    """Why nothing may be shown; None where something may, or could once the model knows it."""
    if request.refused:
        return Unmet.REFUSED
    rows = len(allowed_N)
    if allowed_N.any() or not (rows or not len(view.catalogue)):
        return None
    return why_nothing(view.catalogue, rows, request.filters, request.candidates)


def _rank(users: Sequence[UserState], model: RankingModel, view: View) -> Ranking:
    """As of the latest event that statistics or user have seen: a recorded stream has its day."""
    return model.ranking(users, [_now_ms(user, view) for user in users], view.features)


def _now_ms(user: UserState, view: View) -> int:
    return max(view.watermark_ms, user.last_seen_ms)


def _with_words(request: ListRequest, user: UserState, view: View) -> ListRequest:
    """Who asks for nothing now may have searched a moment ago."""
    if request.query or not user.searches:
        return request
    return replace(request, query=user.asked(_now_ms(user, view)) or None)


def _asked(
    requests: Sequence[ListRequest],
    users: Mapping[str, _User],
    ranking: Ranking,
    model: RankingModel,
) -> list[FloatArray | None]:
    """What each request's words add to the scores; None without any."""
    some = [(users[one.user_id].row, one.query) for one in requests if one.query]
    words = [query for _, query in some]
    found = iter(model.asked_for(ranking, [row for row, _ in some], words) if some else ())
    return [next(found) if request.query else None for request in requests]


def _listed(request: ListRequest, user: _User, choice: Choice) -> Listed:
    return Listed(user.row, user.state, choice.rows, choice.scores, request.query)


def _variants(wished: Wishes, view: View) -> dict[str, frozenset[str]]:
    """Of each item that has some, those that it has now."""
    rows = {item_id: view.catalogue.row(item_id) for _, item_id in wished}
    return {
        item_id: frozenset(one.variant_id for one in view.catalogue.item(row).variants)
        for item_id, row in rows.items()
        if row is not None
    }


def _items(
    choice: Choice, reasons: Sequence[str], model: RankingModel, view: View
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
