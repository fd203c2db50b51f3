"""Follows the topics of the loop and hands their messages over in the order of time.

Knows which topics those are. Does not know what the messages amount to
(``lab.measures.loop_watch``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from streamrec.core import topics
from streamrec.core.events import Interaction
from streamrec.core.measures.time_order import HELD_BACK_MS, TimeOrder
from streamrec.core.release.manifest import Manifest
from streamrec.core.release.registry import ControlRecord, RegistryState, accepts
from streamrec.errors import GenerationRefused, Refused
from streamrec.infra.wire.follower import Follower
from streamrec.lab.measures.loop_watch import LoopWatch
from streamrec.ports import FollowedRecord, RegistryStore

FOLLOWED = (
    topics.EVENTS,
    topics.USER_UPDATES,
    topics.RECOMMENDATIONS,
    topics.ADAPTERS,
    topics.DEAD_LETTER,
)
KEPT_RECORDS = 6

TrainedThrough = Callable[[str], Mapping[str, int]]
"""What a generation has been trained through: source partition (as text) -> next offset."""


def manifest_offsets(store: RegistryStore) -> TrainedThrough:
    """As the generations' manifests have it."""

    def trained_through(generation: str) -> Mapping[str, int]:
        try:
            text = (store.get(generation) / "manifest.json").read_text()
            return Manifest.from_json(text).trained_through
        except (GenerationRefused, OSError):
            return {}

    return trained_through


class Watcher:
    """Feeds ``loop`` from a follower of ``FOLLOWED``."""

    def __init__(self, follower: Follower, trained_through: TrainedThrough) -> None:
        self.loop = LoopWatch()
        self.records: deque[tuple[int, ControlRecord]] = deque(maxlen=KEPT_RECORDS)
        self._follower = follower
        self._trained_through = trained_through
        self._order: TimeOrder[FollowedRecord] = TimeOrder()
        self._registry = RegistryState()

    def poll(self, now_ms: int, timeout_s: float) -> None:
        """Read what came, and hand over what is old enough. Raises Unavailable."""
        for seen in self._follower.poll(timeout_s):
            self._order.put(seen.timestamp_ms, seen)
        self.release(now_ms - HELD_BACK_MS)

    def release(self, until_ms: int) -> None:
        """Hand over everything written up to then."""
        for seen in self._order.until(until_ms):
            self._hand_over(seen)

    def _hand_over(self, seen: FollowedRecord) -> None:
        if seen.topic == topics.EVENTS:
            self._event(seen)
        elif seen.topic == topics.DEAD_LETTER:
            self.loop.dead_letter()
        elif isinstance(seen.value, Refused):
            return
        elif seen.topic == topics.USER_UPDATES:
            self.loop.updated(seen.value, seen.timestamp_ms)
        elif seen.topic == topics.RECOMMENDATIONS:
            self.loop.recommended(seen.value, seen.timestamp_ms)
        else:
            self._control(seen.value, seen.timestamp_ms)

    def _event(self, seen: FollowedRecord) -> None:
        if isinstance(seen.value, Interaction):
            self.loop.produced_event(seen.value, seen.partition, seen.offset, seen.timestamp_ms)
        else:
            self.loop.produced_junk()

    def _control(self, record: ControlRecord, at_ms: int) -> None:
        if not accepts(self._registry, record):
            return
        new_champion = record.state.champion != self._registry.champion
        self._registry = record.state
        champion = record.state.champion
        through = self._trained_through(champion) if champion and new_champion else {}
        self.loop.controlled(record, at_ms, through)
        self.records.append((at_ms, record))
