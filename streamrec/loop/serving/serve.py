"""Answering triggers: a micro-batch, one published list for each, each of one generation.

Knows the order of things, and what becomes of what fails. What triggers ask for and what an answer
is, is the task's (``ports.Answerer``); which generation should be active,
``loop.serving.generation_follower``'s.

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

from streamrec.core.events import Source
from streamrec.errors import Refused, TooLarge
from streamrec.loop.ingesting.raw import RawRecord, Refusals
from streamrec.loop.serving.answer_traces import AnswerSpans
from streamrec.loop.serving.traffic_split import OnTrial, split
from streamrec.ports import MODEL_FAULTS, Answer, Answerer, Asked, Delivered, ServingModel, within
from streamrec.ports.edges import Edges

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Served:
    """What a micro-batch did."""

    answers: tuple[Answer, ...] = ()
    coalesced: int = 0  # updates answered by a later one of the same user
    dead_letters: int = 0
    skipped: int = 0  # updates without an answer, because there is nothing to say
    empty: Mapping[str, int] = field(
        default_factory=dict
    )  # generation -> answers without anything in them
    faults: Mapping[str, int] = field(default_factory=dict)  # generation -> answers it failed at
    unmet: Mapping[str, int] = field(default_factory=dict)  # asked for what is not there: why
    fallbacks: Mapping[str, int] = field(default_factory=dict)  # why no model answered
    unread: Mapping[str, int] = field(default_factory=dict)  # why a text was not read


@dataclass(slots=True)
class _Tally:
    """Of one micro-batch: by generation, what is nobody's fault by its reason."""

    empty: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    unmet: Counter[str] = field(default_factory=Counter)
    fallbacks: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)


class Server:
    """Turns delivered triggers into published answers."""

    def __init__(self, edges: Edges, answerer: Answerer) -> None:
        self._codec, self._publisher = edges.codec, edges.publisher
        self._answerer, self._tracer = answerer, edges.tracer
        self._refusals = Refusals(edges)

    def serve(
        self, batch: Sequence[Delivered], model: ServingModel, canary: OnTrial | None = None
    ) -> Served:
        """Answer a micro-batch. Raises Unavailable; serving it again is then right."""
        unreadable = [(m, m.value) for m in batch if isinstance(m.value, Refused)]
        asked, coalesced = self._answerer.asked(batch)
        tally = _Tally()
        with AnswerSpans(self._tracer, asked, batch) as spans:
            answers = [
                answer
                for made_by, group in split(asked, model, canary)
                for answer in self._answers(group, made_by, model, tally)
            ]
            sent, too_large = self._publish(answers, spans)
        self.to_dead_letters([*unreadable, *too_large])
        return Served(
            answers=tuple(sent),
            coalesced=coalesced,
            dead_letters=len(unreadable) + len(too_large),
            skipped=len(asked) - len(answers),
            empty=tally.empty,
            faults=tally.faults,
            unmet=tally.unmet,
            fallbacks=tally.fallbacks,
            unread=tally.unread,
        )

    def sound(self, model: ServingModel) -> bool:
        """Whether ``model`` can rank somebody who has never been seen."""
        return self._answerer.sound(model)

    def to_dead_letters(self, refused: Sequence[tuple[Delivered, Refused]]) -> None:
        """Send what cannot be answered to the dead letters."""
        for message, reason in refused:
            source = Source(message.topic, message.partition)
            with within(message.traceparent):
                log.warning("%s@%d goes to the dead letters: %s", source, message.offset, reason)
            record = RawRecord(message.offset, message.timestamp_ms, message.key, message.data)
            self._refusals.publish(source, [(record, reason)])

    def _answers(
        self,
        asked: Sequence[Asked],
        model: ServingModel,
        champion: ServingModel,
        tally: _Tally,
    ) -> list[Answer]:
        """Of ``model``, or of the champion where a canary fails; what that raises stays."""
        try:
            answered = self._answerer.answer(asked, model)
        except MODEL_FAULTS:
            if model is champion:
                raise
            log.exception("%s fails; the champion answers its users", model.generation)
            tally.faults[model.generation] += len(asked)
            return self._answers(asked, champion, champion, tally)
        tally.empty[model.generation] += answered.empty
        tally.unmet.update(answered.unmet)
        tally.fallbacks.update(answered.fallbacks)
        tally.unread.update(answered.unread)
        return list(answered.answers)

    def _publish(
        self, answers: Sequence[Answer], spans: AnswerSpans
    ) -> tuple[list[Answer], list[tuple[Delivered, Refused]]]:
        """What is acknowledged, and the messages whose answers no message can hold."""
        sent: list[Answer] = []
        too_large: list[tuple[Delivered, Refused]] = []
        for answer in answers:
            asked = answer.asked
            try:
                with spans.answered(answer) as span:
                    messages = self._encoded(answer)
                    for topic, data in messages.items():
                        self._publisher.publish(topic, asked.user_id.encode(), data, span.headers)
                sent.append(answer)
            except TooLarge as error:
                too_large.append((asked.message, error))
        if sent:
            self._publisher.flush()
        return sent, too_large

    def _encoded(self, answer: Answer) -> dict[str, bytes]:
        """By topic. A task with a topic of its own may bring bytes. Raises TooLarge."""
        return {
            topic: value if isinstance(value, bytes) else self._codec.encode(topic, value)
            for topic, value in {answer.topic: answer.value, **answer.beside}.items()
        }
