"""The edges that most of the loop works with, together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streamrec.ports.clock import Clock
from streamrec.ports.messages import Codec, Publisher
from streamrec.ports.state import PartitionStore


@dataclass(frozen=True, slots=True)
class Edges:
    """What ingesting and answering ask of the outside world.

    ``partition_of``: the events partition that Kafka's default partitioner gives a user id.
    """

    store: PartitionStore
    publisher: Publisher
    codec: Codec
    clock: Clock
    partition_of: Callable[[str], int]
