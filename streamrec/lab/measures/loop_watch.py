"""What somebody who only reads the topics can say about the loop.

Knows latency, freshness, generations and mix-ups as functions of the messages and their Kafka
timestamps.

Feed it messages in the order of their Kafka timestamps. What is measured:

- *latency*: timestamp of a recommendation minus timestamp of the event that triggered it.
- *freshness*: timestamp of the control record that made a generation champion minus
  timestamp of each click that this generation is the first to have been trained on.
- *mixed*: a recommendation is counted as mixed when it names a generation that could not
  answer its user when it was served, or one its worker had already left behind, or one that
  does not go with the rest of its micro-batch (``core.release.generation_walk``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from streamrec.core.events import Interaction, Recommendation, Trigger, UserUpdate
from streamrec.core.measures.freshness import ClickFreshness
from streamrec.core.measures.list_quality import ListQuality
from streamrec.core.release.generation_walk import GenerationWalk
from streamrec.core.release.registry import Action, ControlRecord


@dataclass(slots=True)
class GenerationCounts:
    """Distinct generations by what became of them."""

    candidates: set[str] = field(default_factory=set)
    activated: set[str] = field(default_factory=set)
    rejected: set[str] = field(default_factory=set)


class LoopWatch:
    """Gathers the messages of one run."""

    def __init__(self, k: int = 10) -> None:
        self.quality = ListQuality(k)
        self.walk = GenerationWalk()
        self.generations = GenerationCounts()
        self.champion: str | None = None
        self.produced = self.applied = self.dead_letters = self.published = 0
        self.latency_ms: list[float] = []
        self.freshness_s: list[float] = []
        self.first_recommendation_ms: int | None = None
        self._applied_span_ms: tuple[int, int] | None = None
        self._seen_updates: set[tuple[int, int]] = set()
        self._seen_recommendations: set[str] = set()
        self._freshness = ClickFreshness()

    def produced_event(self, event: Interaction, partition: int, offset: int, at_ms: int) -> None:
        """An event is on the topic ``events``."""
        self.produced += 1
        self.quality.happened(event)
        if event.accepted:
            self._freshness.clicked(partition, offset, at_ms)

    def produced_junk(self) -> None:
        """A message that is no event is on the topic ``events``."""
        self.produced += 1

    def dead_letter(self) -> None:
        self.dead_letters += 1

    def updated(self, update: UserUpdate, at_ms: int) -> None:
        """A feature worker says it has applied an event; repeats are recognised."""
        if (update.partition, update.offset) in self._seen_updates:
            return
        self._seen_updates.add((update.partition, update.offset))
        self.applied += 1
        first_ms = self._applied_span_ms[0] if self._applied_span_ms else at_ms
        self._applied_span_ms = (first_ms, at_ms)

    def recommended(self, message: Recommendation, at_ms: int) -> None:
        """A recommendation is on its topic; repeats are recognised."""
        self.walk.served(message)
        if message.recommendation_id in self._seen_recommendations:
            return
        self._seen_recommendations.add(message.recommendation_id)
        self.published += 1
        if message.trigger is Trigger.USER_UPDATE:
            if self.first_recommendation_ms is None:
                self.first_recommendation_ms = at_ms
            self.latency_ms.append(at_ms - message.triggered_at_ms)
            ids = [item.item_id for item in message.items]
            self.quality.recommended(message.user_id, ids)

    def controlled(
        self, record: ControlRecord, at_ms: int, trained_through: Mapping[str, int]
    ) -> None:
        """An accepted control record, and what its champion has been trained through."""
        if record.generation is not None:
            self._count(record.action, record.generation)
        champion = record.state.champion
        self.walk.follow(record.state, at_ms)
        if champion is not None and champion != self.champion:
            self.champion = champion
            self.freshness_s += self._freshness.trained(at_ms, trained_through)

    def _count(self, action: Action, generation: str) -> None:
        counts = self.generations
        if action in {Action.STAGE, Action.REJECT}:
            counts.candidates.add(generation)
        if action is Action.ACTIVATE:
            counts.activated.add(generation)
        if action in {Action.REJECT, Action.ABANDON}:
            counts.rejected.add(generation)

    @property
    def clicks_not_yet_trained(self) -> int:
        """Clicks that no champion has been trained on so far."""
        return self._freshness.waiting

    @property
    def applied_per_second(self) -> float:
        """Events applied, over the time from the first to the last."""
        if self._applied_span_ms is None or self._applied_span_ms[0] == self._applied_span_ms[1]:
            return 0.0
        first_ms, last_ms = self._applied_span_ms
        return self.applied / (last_ms - first_ms) * 1000
