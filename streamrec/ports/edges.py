"""The edges that most of the loop works with, together."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from streamrec.ports.clock import Clock
from streamrec.ports.messages import Codec, Publisher
from streamrec.ports.meter import Meter
from streamrec.ports.state import PartitionStore
from streamrec.ports.tracing import NO_TRACER, Tracer


@dataclass(frozen=True, slots=True)
class Edges:
    """What ingesting and answering ask of the outside world.

    ``partition_of``: the events partition that Kafka's default partitioner gives a user id;
    ``former_of``: those it gave by earlier numbers of partitions; ``partition_now``: the one it
    gives by the number there is now, where that is another (it raises Unavailable).
    """

    store: PartitionStore
    publisher: Publisher
    codec: Codec
    clock: Clock
    partition_of: Callable[[str], int]
    former_of: Callable[[str], Collection[int]] = lambda _: ()
    partition_now: Callable[[str], int] | None = None
    meter: Meter = Meter()
    tracer: Tracer = NO_TRACER
