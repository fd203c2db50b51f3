"""What is held about a person, and having it forgotten.

Forgetting is one more event of the person, in the topic ``events``: it has its place in the
order of things, and every replay of the log applies it in that place (docs/adr/0083).
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from streamrec.apps import clients, identities, layouts
from streamrec.core import topics
from streamrec.core.events import Interaction, Kind, Source
from streamrec.core.ledger.training_pairs import GenerationRange, TrainingPair, learned_from, span
from streamrec.core.release.manifest import Manifest
from streamrec.core.state.user_state import UserState
from streamrec.errors import Refused
from streamrec.infra.clock import SystemClock
from streamrec.infra.stores.redis_client import connect_redis
from streamrec.infra.wire.follower import Follower
from streamrec.infra.wire.kafka import partition_for
from streamrec.infra.wire.kafka_offsets import end_offsets, log_bounds
from streamrec.ports import FollowedRecord
from streamrec.settings import Settings

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Held:
    """``state`` is None when nothing is known. ``known_as``: the id in topics and stores."""

    known_as: str
    source: Source
    state: UserState | None


@dataclass(frozen=True, slots=True)
class TaskTraces:
    """A task's examples of a person that Kafka still keeps, and who learned them.

    ``unreadable``: mini-batches in a shape that is not known here.
    """

    task: str
    training_pairs: list[TrainingPair]
    generations: list[GenerationRange]
    unreadable: int = 0

    @property
    def quarantine(self) -> str:
        """Their range as ``adapters rollback --relearn --quarantine`` takes it."""
        return span(self.training_pairs)


@dataclass(frozen=True, slots=True)
class Traces:
    """Of every task. ``first_batch``: mini-batches before it are gone, and their answer too."""

    tasks: list[TaskTraces]
    first_batch: int


def held(settings: Settings, user: str) -> Held:
    """A person's record in Redis. Raises Unavailable, UserError without an events topic."""
    identities.check_pseudonyms(settings)
    known_as = clients.known_as(settings, user)
    with connect_redis(settings.redis) as redis:
        partitions = layouts.of_operator(settings, redis).partitions
        source = Source(topics.EVENTS, partition_for(known_as, partitions))
        _, (record,) = clients.partition_store(settings, redis).read_users(source, [known_as])
    return Held(known_as, source, None if record is None else UserState.from_record(record))


def forget(settings: Settings, person: Held, wait_s: float) -> bool:
    """Send the event that says so; whether the feature workers applied it within ``wait_s``."""
    event = Interaction(
        event_id=f"forget-{uuid.uuid4().hex}",
        user_id=person.known_as,
        item_id="",
        kind=Kind.FORGET,
        occurred_at_ms=SystemClock().now_ms(),
    )
    publisher = clients.publisher(settings, "streamrec-cli")
    try:
        data = clients.codec(settings).encode(topics.EVENTS, event)
        publisher.publish(topics.EVENTS, person.known_as.encode(), data)
        publisher.flush()
    finally:
        publisher.close()
    end = end_offsets(settings.kafka, [topics.EVENTS], committed=False)[person.source]
    deadline = time.monotonic() + wait_s
    with connect_redis(settings.redis) as redis:
        store = clients.partition_store(settings, redis)
        end += store.log_of(person.source).base
        while store.position(person.source) < end:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        clients.explanations(settings, redis).forget(person.known_as)
        clients.replies(settings, redis).forget(person.known_as)
        clients.conversations(settings, redis).forget(person.known_as)
        clients.shown_lists(settings, redis).forget(person.known_as)
    return True


def traces(settings: Settings, person: Held) -> Traces:
    """Read all mini-batches that Kafka keeps, and every manifest. Raises Unavailable."""
    (first, end) = log_bounds(settings.kafka, [topics.TRAINING_BATCHES])[topics.TRAINING_BATCHES, 0]
    pairs: dict[str, list[TrainingPair]] = {name: [] for name in clients.known_tasks(settings)}
    unreadable: Counter[str] = Counter()
    for seen in _batches(settings, first, end):
        found = pairs.setdefault(seen.task, [])
        if isinstance(seen.value, Refused):
            unreadable[seen.task] += 1
            continue
        found += [
            TrainingPair(seen.offset, example.partition, example.offset)
            for example in seen.value.examples
            if example.user_id == person.known_as and not example.forgets
        ]
    return Traces(
        [
            TaskTraces(task, found, _learned(settings, person, task, found), unreadable[task])
            for task, found in pairs.items()
        ],
        first,
    )


def _learned(
    settings: Settings, person: Held, task: str, pairs: list[TrainingPair]
) -> list[GenerationRange]:
    store = clients.registry_store(settings, task)
    manifests = (
        Manifest.from_json((store.get(name) / MANIFEST).read_bytes())
        for name in store.generations()
    )
    return learned_from(manifests, pairs, person.known_as)


def _batches(settings: Settings, first: int, end: int) -> Iterator[FollowedRecord]:
    """Every mini-batch, of all tasks."""
    codec, topic = clients.codec(settings), [topics.TRAINING_BATCHES]
    with Follower(settings.kafka, codec, topic, "streamrec-cli", from_start=True) as batches:
        while max(first, *batches.places().values()) < end:
            yield from batches.poll(1.0)
