"""Getting a started loop to where a stream can be played: catalogue in, everybody ready."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from streamrec.apps import clients
from streamrec.apps.local_loop import REPLIES, SERVING, TRAINED, TRAINER, ProcessCounts
from streamrec.core import topics
from streamrec.core.events import Item, Source
from streamrec.infra.wire.kafka_topics import partition_counts
from streamrec.ports import Codec, PartitionStore, Publisher
from streamrec.settings import Settings


def load_catalogue(items: Sequence[Item], codec: Codec, publisher: Publisher) -> None:
    """Send every item; returns when all are acknowledged. Raises Unavailable."""
    for item in items:
        publisher.publish(topics.ITEMS, item.item_id.encode(), codec.encode(topics.ITEMS, item))
    publisher.flush()


class Readiness:
    """Asks whether a stream can be played now."""

    def __init__(self, settings: Settings, processes: ProcessCounts, items: int) -> None:
        self._settings = settings
        self._processes = processes
        self._items = items
        self._partitions = partition_counts(settings.kafka)[topics.ITEMS]

    def missing(self) -> str:
        """What is not ready yet; empty when everything is. Raises Unavailable."""
        with clients.redis(self._settings) as redis:
            workers = list(clients.fleet(self._settings, redis).workers())
            applied = self._applied(clients.partition_store(self._settings, redis))
        roles = (role for role, _ in self._processes.names())
        wanted = Counter(_told_as(role) for role in roles)
        if absent := wanted - Counter(worker.role for worker in workers):
            return "no beat yet from " + ", ".join(f"{n} {role}" for role, n in absent.items())
        if any(worker.role == SERVING and worker.active is None for worker in workers):
            return "a serving worker has no generation yet"
        if applied < self._items:
            return f"{applied:,} of {self._items:,} items are in the catalogue"
        return ""

    def _applied(self, store: PartitionStore) -> int:
        """Items that the feature workers have applied."""
        return sum(store.position(Source(topics.ITEMS, n)) for n in range(self._partitions))


def _told_as(role: str) -> str:
    """How a process of this role calls itself to the fleet."""
    return TRAINER if role in TRAINED else SERVING if role == REPLIES else role
