"""Answering triggers: a micro-batch, one published list for each, each of one generation.

Knows the order of things, and what becomes of what fails. Does not know what triggers ask for
(``tasks.ranking.lists.list_requests``), how a list is made (``tasks.ranking.lists.lists``),
Kafka, Redis, torch,
or which generation should be active (``loop.serving.generation_follower``).

A micro-batch, in this order:

1. Take the active generation, once; while there is a canary, that too, and split the
   micro-batch between them by user.
2. Answer: each generation its own users.
3. Publish every answer and wait for the acknowledgements.
4. Only then does the caller commit the triggers' offsets.

A crash before 4 answers again, with the same ``recommendation_id``.

A canary that fails costs nobody a list: the champion answers its users, and the fault is
counted against it. What cannot be answered or sent goes to the dead letters.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from streamrec.core import topics
from streamrec.core.events import Recommendation, Source
from streamrec.errors import Refused, TooLarge
from streamrec.loop.ingesting.raw import Edges, RawRecord, Refusals
from streamrec.loop.serving.traffic_split import OnTrial, split
from streamrec.ports import Delivered, ServingModel
from streamrec.tasks.ranking.lists.explainer import Explainer
from streamrec.tasks.ranking.lists.exploration import NO_EXPLORATION, Exploration
from streamrec.tasks.ranking.lists.list_requests import ListRequest, list_requests_of
from streamrec.tasks.ranking.lists.lists import MODEL_FAULTS, Answer, Answerer
from streamrec.tasks.ranking.lists.state_mirror import Mirror

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Served:
    """What a micro-batch did."""

    recommendations: tuple[Recommendation, ...] = ()
    coalesced: int = 0  # updates answered by a later one of the same user
    dead_letters: int = 0
    skipped: int = 0  # updates without a list, because there is nothing to recommend
    empty: Mapping[str, int] = field(default_factory=dict)  # generation -> lists without an item
    faults: Mapping[str, int] = field(default_factory=dict)  # generation -> lists it failed at


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
        self._answerer = Answerer(edges, mirror, explainer or Explainer(), exploration, worker_id)
        self._refusals = Refusals(edges)
        self._k = k

    def serve(
        self, batch: Sequence[Delivered], model: ServingModel, canary: OnTrial | None = None
    ) -> Served:
        """Answer a micro-batch. Raises Unavailable; serving it again is then right."""
        unreadable = [(m, m.value) for m in batch if isinstance(m.value, Refused)]
        wishes, coalesced = list_requests_of(batch, self._k)
        tally = _Tally()
        answers = [
            answer
            for made_by, group in split(wishes, lambda wish: wish.user_id, model, canary)
            for answer in self._answers(group, made_by, model, tally)
        ]
        sent, too_large = self._publish(answers)
        self.put_aside([*unreadable, *too_large])
        return Served(
            recommendations=tuple(sent),
            coalesced=coalesced,
            dead_letters=len(unreadable) + len(too_large),
            skipped=len(wishes) - len(answers),
            empty=tally.empty,
            faults=tally.faults,
        )

    def sound(self, model: ServingModel) -> bool:
        """Whether ``model`` can rank somebody who has never been seen."""
        return self._answerer.sound(model)

    def put_aside(self, refused: Sequence[tuple[Delivered, Refused]]) -> None:
        """Send what cannot be answered to the dead letters."""
        for message, reason in refused:
            source = Source(message.topic, message.partition)
            log.warning("%s@%d goes to the dead letters: %s", source, message.offset, reason)
            record = RawRecord(message.offset, message.timestamp_ms, message.key, message.data)
            self._refusals.publish(source, [(record, reason)])

    def _answers(
        self,
        wishes: Sequence[ListRequest],
        model: ServingModel,
        champion: ServingModel,
        tally: _Tally,
    ) -> list[Answer]:
        """Of ``model``, or of the champion where a canary fails; what that raises stays."""
        try:
            answered = self._answerer.answer(wishes, model)
        except MODEL_FAULTS:
            if model is champion:
                raise
            log.exception("%s fails; the champion answers its users", model.generation)
            tally.faults[model.generation] += len(wishes)
            return self._answers(wishes, champion, champion, tally)
        tally.empty[model.generation] += answered.empty
        return answered.answers

    def _publish(
        self, answers: Sequence[Answer]
    ) -> tuple[list[Recommendation], list[tuple[Delivered, Refused]]]:
        """What is acknowledged, and the messages whose answers no message can hold."""
        sent: list[Recommendation] = []
        too_large: list[tuple[Delivered, Refused]] = []
        for wish, answer in answers:
            try:
                data = self._edges.codec.encode(topics.RECOMMENDATIONS, answer)
                self._edges.publisher.publish(topics.RECOMMENDATIONS, answer.user_id.encode(), data)
                sent.append(answer)
            except TooLarge as error:
                too_large.append((wish.message, error))
        if sent:
            self._edges.publisher.flush()
        return sent, too_large
