"""Follows the topics of a loop that learns which words are clicked.

Knows which messages are looked into: lists, and control records of the task copy. The others are
counted only, as there are a thousand a second of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from streamrec.core import tasks, topics
from streamrec.core.events import Recommendation, Trigger
from streamrec.core.release.registry import Action, ControlRecord, RegistryState, accepts
from streamrec.core.tasks import COPY
from streamrec.errors import Refused
from streamrec.infra.wire.follower import Follower
from streamrec.lab.demo.watcher import KEPT_RECORDS
from streamrec.lab.measures.loop_watch import GenerationCounts
from streamrec.ports import FollowedRecord

HEADLINE_TOPICS = (topics.EVENTS, topics.RECOMMENDATIONS, topics.ADAPTERS, topics.DEAD_LETTER)


def looked_into(topic: str, key: bytes) -> bool:
    """Whether a message is decoded."""
    ours = topic == topics.ADAPTERS and key == tasks.slot(COPY)
    return ours or topic == topics.RECOMMENDATIONS


class HeadlineWatch:
    """``answered``: is given each list that was asked for, once. ``applied``: events that feature
    workers have applied, as whoever looks into their state says."""

    def __init__(self, follower: Follower, answered: Callable[[Recommendation], object]) -> None:
        self._follower, self._answered = follower, answered
        self._seen: set[str] = set()
        self._registry = RegistryState()
        self._first: str | None = None
        self.records: deque[ControlRecord] = deque(maxlen=KEPT_RECORDS)
        self.generations = GenerationCounts()
        self.latency_ms: list[float] = []
        self.produced = self.applied = self.dead_letters = 0

    @property
    def champion(self) -> str | None:
        return self._registry.champion

    @property
    def learned(self) -> bool:
        """Whether the champion's weights are others than the first one's, which has learned
        nothing: some candidates are made before the first step."""
        return _digest(self.champion) not in {"", _digest(self._first)}

    @property
    def behind(self) -> int:
        """Events on the topic that no feature worker has applied."""
        return max(0, self.produced - self.applied - self.dead_letters)

    def poll(self, timeout_s: float) -> None:
        """Read what came. Raises Unavailable."""
        for seen in self._follower.poll(timeout_s):
            self._take(seen)

    def _take(self, seen: FollowedRecord) -> None:
        self.produced += seen.topic == topics.EVENTS
        self.dead_letters += seen.topic == topics.DEAD_LETTER
        if seen.value is None or isinstance(seen.value, Refused):
            return
        if isinstance(seen.value, ControlRecord):
            self._control(seen.value)
        elif seen.value.trigger is Trigger.REQUEST and seen.value.trigger_id not in self._seen:
            self._seen.add(seen.value.trigger_id)
            self.latency_ms.append(seen.timestamp_ms - seen.value.triggered_at_ms)
            self._answered(seen.value)

    def _control(self, record: ControlRecord) -> None:
        if not accepts(self._registry, record):
            return
        self._registry = record.state
        self.records.append(record)
        counts, generation = self.generations, record.generation
        if generation is None:
            return
        if record.action in {Action.STAGE, Action.REJECT}:
            counts.candidates.add(generation)
        if record.action is Action.ACTIVATE:
            counts.activated.add(generation)
            self._first = self._first or generation
        if record.action in {Action.REJECT, Action.ABANDON}:
            counts.rejected.add(generation)


def _digest(generation: str | None) -> str:
    """Of its weights: the end of its name."""
    return (generation or "").rpartition("-")[2]
