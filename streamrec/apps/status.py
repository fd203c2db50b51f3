"""One look at a running loop from outside: positions, workers, each task's champion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from streamrec.apps import clients, layouts, state
from streamrec.apps.state import Parted
from streamrec.core import topics
from streamrec.core.events import Source
from streamrec.core.release.live_report import LiveReport
from streamrec.core.release.registry import ControlRecord
from streamrec.errors import UserError
from streamrec.infra.clock import SystemClock
from streamrec.infra.stores.redis_diagnosis import stopped
from streamrec.infra.stores.redis_memory import RedisMemory, StateMemory
from streamrec.infra.wire.kafka_offsets import end_offsets, group_offsets
from streamrec.infra.wire.kafka_topics import check_visible, partition_counts
from streamrec.ports import WorkerStatus
from streamrec.settings import KafkaSettings, Settings

SERVING_GROUP = "serving"
FOLDED = (topics.EVENTS, topics.ITEMS)
ANSWERED = (topics.USER_UPDATES, topics.REQUESTS)
WRITTEN = (topics.TRAINING_BATCHES, topics.RECOMMENDATIONS, topics.REPLIES, topics.DEAD_LETTER)


@dataclass(frozen=True, slots=True)
class Flow:
    """One topic: how many messages it has had, and how many its readers have dealt with."""

    topic: str
    written: int
    read: int | None = None  # None: nobody's position is known, or there is no reader
    held: int = 0  # messages behind ``written`` that wait for the end of a transaction

    @property
    def lag(self) -> int | None:
        return None if self.read is None else max(0, self.written - self.read)


@dataclass(frozen=True, slots=True)
class ChampionStatus:
    """What answers, and how much of the stream it has not learned from."""

    record: ControlRecord
    created_at_ms: int | None = None
    events_not_learned: int | None = None
    settings_changed: tuple[str, ...] = ()  # since it was made: its shape is not the settings'


@dataclass(frozen=True, slots=True)
class TaskSnapshot:
    """What one task has released, and how that does."""

    task: str
    champion: ChampionStatus | None = None
    live: LiveReport | None = None


@dataclass(frozen=True, slots=True)
class LoopSnapshot:
    """``tasks``: ranking, then every other that somebody knows, by name.

    ``stopped``: why Redis takes no writes, or what it may lose; empty: nothing is wrong.
    """

    at_ms: int
    flows: tuple[Flow, ...]
    workers: tuple[WorkerStatus, ...]
    tasks: tuple[TaskSnapshot, ...]
    waiting: tuple[Parted, ...] = ()  # partitions whose state and log do not fit
    memory: StateMemory | None = None
    stopped: tuple[str, ...] = ()
    misfit: str | None = None  # of the number of partitions of events


class Observer:
    """Looks again and again at one loop. A context manager.

    Raises (``look``): Unavailable; UserError when the topics are not there.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._redis = clients.redis(settings)
        self._store = clients.partition_store(settings, self._redis)
        self._fleet = clients.fleet(settings, self._redis)
        self._memory = RedisMemory(self._redis, settings.redis.key_prefix)
        self._clock = SystemClock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._redis.close()

    def look(self) -> LoopSnapshot:
        """Everything, as of about now."""
        kafka = self._settings.kafka
        counts = partition_counts(kafka)
        missing = [topic.name for topic in topics.TOPICS if topic.name not in counts]
        if missing:
            check_visible(kafka, missing)
            raise UserError(f"no topic {', '.join(missing)}: `streamrec topics create`")
        ends = end_offsets(kafka, [*FOLDED, *ANSWERED, *WRITTEN])
        held = _held(kafka, ends)
        applied = {
            (topic, partition): self._store.position(Source(topic, partition))
            for topic in FOLDED
            for partition in range(counts[topic])
        }
        answered = group_offsets(kafka, SERVING_GROUP)
        bases = {place: self._store.log_of(Source(*place)).base for place in applied}
        read = {place: at - bases[place] for place, at in applied.items()}
        flows = [_flow(topic, ends, read) for topic in FOLDED]
        flows += [_flow(topic, ends, answered) for topic in ANSWERED]
        flows += [Flow(topic, _total(topic, ends)) for topic in WRITTEN]
        flows = [replace(flow, held=_total(flow.topic, held)) for flow in flows]
        applied_events = {
            partition: at for (topic, partition), at in applied.items() if topic == topics.EVENTS
        }
        names = clients.known_tasks(self._settings)
        now_ms = self._clock.now_ms()
        events = [Source(topics.EVENTS, partition) for partition in applied_events]
        return LoopSnapshot(
            now_ms,
            tuple(flows),
            tuple(self._fleet.workers()),
            tuple(self._task(name, applied_events) for name in names),
            tuple(state.parted(self._settings)),
            self._memory.look(events, now_ms),
            tuple(stopped(self._redis)),
            layouts.problem(self._settings),
        )

    def _task(self, task: str, applied: Mapping[int, int]) -> TaskSnapshot:
        """``applied``: next event not applied yet, by partition."""
        live = clients.live_board(self._settings, self._redis, task).get()
        with clients.control_log(self._settings, task=task) as control:
            record = control.latest()
        if record is None:
            return TaskSnapshot(task, None, live)
        return TaskSnapshot(task, self._champion(task, record, applied), live)

    def _champion(
        self, task: str, record: ControlRecord, applied: Mapping[int, int]
    ) -> ChampionStatus:
        generation = record.state.champion
        if generation is None:
            return ChampionStatus(record)
        manifest = clients.manifest(self._settings, generation, task)
        if manifest is None:
            return ChampionStatus(record)
        learned = manifest.trained_through
        missing = sum(
            max(0, at - learned.get(str(partition), 0)) for partition, at in applied.items()
        )
        changed = clients.changed_since(self._settings, manifest, task)
        return ChampionStatus(record, manifest.created_at_ms, missing, tuple(changed))


def _flow(
    topic: str, ends: Mapping[tuple[str, int], int], read: Mapping[tuple[str, int], int]
) -> Flow:
    """A partition whose reader has no position yet counts as unread."""
    known = any(name == topic for name, _ in read)
    return Flow(topic, _total(topic, ends), _total(topic, read) if known else None)


def _held(
    kafka: KafkaSettings, ends: Mapping[tuple[str, int], int]
) -> Mapping[tuple[str, int], int]:
    """By partition, what is written and cannot be read yet. ``ends``: of what can."""
    written = end_offsets(kafka, list({topic for topic, _ in ends}), committed=False)
    return {place: max(0, written[place] - end) for place, end in ends.items()}


def _total(topic: str, offsets: Mapping[tuple[str, int], int]) -> int:
    return sum(offset for (name, _), offset in offsets.items() if name == topic)
