"""State and logs that no longer fit together: found, and continued past what is lost.

Loads neither torch nor faust.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from streamrec.apps import clients
from streamrec.core import topics
from streamrec.core.events import Source
from streamrec.core.state.source_log import Continuation, Log, Passage, parting, same_offsets
from streamrec.infra.clock import SystemClock
from streamrec.infra.stores.redis_store import RedisPartitionStore
from streamrec.infra.wire.kafka_offsets import logs
from streamrec.ports import Writes
from streamrec.settings import Settings


@dataclass(frozen=True, slots=True)
class Parted:
    """A source whose state and log do not fit. ``position``: of the state."""

    source: Source
    position: int
    found: Log
    on: Continuation

    @property
    def lost(self) -> int:
        """Offsets that nobody will ever read; what a topic made again held is not known."""
        return self.on.position - self.position


def parted(settings: Settings) -> list[Parted]:
    """Partitions of ``events`` that do not go on by themselves. Raises Unavailable, UserError."""
    with clients.redis(settings) as redis:
        store = clients.partition_store(settings, redis)
        found = []
        for (topic, number), log in sorted(logs(settings.kafka, [topics.EVENTS]).items()):
            source = Source(topic, number)
            position = store.position(source)
            on = parting(position, store.log_of(source), log)
            if on is not None:
                found.append(Parted(source, position, log, on))
    return found


def passages(settings: Settings) -> dict[Source, tuple[Passage, ...]]:
    """What was given up before, by source. Raises Unavailable, UserError without a topic."""
    with clients.redis(settings) as redis:
        store = clients.partition_store(settings, redis)
        places = logs(settings.kafka, [topics.EVENTS])
        found = {Source(*place): store.log_of(Source(*place)).passages for place in sorted(places)}
    return {source: passed for source, passed in found.items() if passed}


def carry_on(settings: Settings, wanted: Sequence[Parted], *, same: bool = False) -> None:
    """Go on past what is lost, and record it. Workers that wait notice within seconds.

    ``same``: a topic made again holds the same records at the same offsets. The record is written
    first: killed after it, this may be run again.

    Raises PositionConflict when somebody else moved a position meanwhile, Unavailable.
    """
    with clients.redis(settings) as redis:
        store = clients.partition_store(settings, redis)
        for one in wanted:
            _carry_on(store, one, same=same)


def _carry_on(store: RedisPartitionStore, one: Parted, *, same: bool) -> None:
    log, position = one.on.log, one.on.position
    kept = store.log_of(one.source)
    if same and kept.topic_id != one.found.topic_id:
        log = same_offsets(kept, one.found)
    passage = Passage(
        one.position, position, SystemClock().now_ms(), clients.operator(), one.on.why
    )
    store.keep_log(one.source, replace(log, passages=kept.passages).with_passage(passage))
    if position != one.position:
        store.commit(one.source, one.position, position, Writes())
