"""What every part of a worker's process is made with: who we are, connections, the word to stop.

Knows what has to be there before a worker can be put together, and that all of it is closed when
the worker has ended.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from redis import Redis

from streamrec.apps import clients, identities, layouts
from streamrec.apps.monitoring import Monitor, WatchedFleet, monitored, new_monitor
from streamrec.apps.process import identity, partitions_of, retrying
from streamrec.apps.rights import redis_not_granted
from streamrec.core import tasks, topics
from streamrec.core.release.registry import ControlRecord
from streamrec.core.state.layout import UserLayout
from streamrec.core.tasks import RANKING
from streamrec.errors import BrokersReplaced, NotAllowed, StreamrecError, Unavailable
from streamrec.infra.clock import SystemClock
from streamrec.infra.metrics.vitals import KAFKA, Vitals
from streamrec.infra.stores.control_log import KafkaControlLog
from streamrec.infra.stores.redis_diagnosis import refuse_eviction
from streamrec.infra.stores.redis_store import RedisPartitionStore
from streamrec.infra.tracking.tracing import open_tracer
from streamrec.infra.wire.broker_watch import LOOK_S, BrokerWatch
from streamrec.infra.wire.codec import WireCodec
from streamrec.infra.wire.kafka import KafkaPublisher, partition_for
from streamrec.loop.background import Background, running
from streamrec.ports import (
    NO_TRACER,
    ExampleFormat,
    ExampleSource,
    Fleet,
    Meter,
    RegistryStore,
    Tracer,
    WorkerStatus,
)
from streamrec.ports.edges import Edges
from streamrec.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """``partitions``: of every topic there is, by short name. ``stop``: set when we must end.

    ``fleet``: the workers of our task. A features worker makes the examples of all tasks: its
    ``task`` says nothing.
    """

    settings: Settings
    worker_id: str
    role: str
    stop: threading.Event
    partitions: Mapping[str, int]
    publisher: KafkaPublisher
    redis: Redis
    fleet: Fleet
    store: RedisPartitionStore
    clock: SystemClock
    stack: ExitStack
    layout: UserLayout
    task: str = RANKING
    formats: Mapping[str, ExampleFormat] = field(default_factory=dict)  # of tasks not built in
    installation: str = ""  # ``core.identity``; empty while no trainer has named it
    monitor: Monitor = field(default_factory=Monitor)
    tracer: Tracer = NO_TRACER

    @property
    def state_dir(self) -> Path:
        """Where our task keeps its files."""
        return tasks.directory(self.settings.state_dir, self.task)

    @property
    def vitals(self) -> Vitals:
        """What is known of our health."""
        return self.monitor.vitals

    @property
    def meter(self) -> Meter:
        """What takes our measures."""
        return self.monitor.meter

    def registry_store(self) -> RegistryStore:
        """Where our task's generations are kept."""
        return clients.registry_store(self.settings, self.task)

    def control_log(
        self, observe: Callable[[ControlRecord], object] = lambda _: None
    ) -> KafkaControlLog:
        """One more reader and writer of our task's slot, for one thread."""
        log = clients.control_log(self.settings, observe, task=self.task)
        return self.stack.enter_context(log)

    def edges(self) -> Edges:
        """What the stages that take in records and answer users work with."""
        return Edges(
            self.store,
            self.publisher,
            self.codec(),
            self.clock,
            partial(partition_for, partitions=self.layout.partitions),
            layouts.former_of(self.layout),
            layouts.PartitionsNow(self.settings),
            self.meter,
            self.tracer,
        )

    def codec(self) -> WireCodec:
        """Of every topic, and of the mini-batches of every task."""
        return clients.codec(self.settings, self.formats)

    def identity(self) -> WorkerStatus:
        """The first status of this process, as a worker that started just now."""
        return identity(self.worker_id, self.role, self.clock.now_ms(), self.task)

    def pause(self, seconds: float) -> None:
        """For a thread of the worker: being told to stop ends its waiting. Raises Unavailable."""
        if self.stop.wait(seconds):
            raise Unavailable("stopping")


def _safe_redis(settings: Settings, role: str) -> Redis:
    """Raises Unavailable, NotAllowed, UserError where state would be thrown away."""
    redis = clients.redis(settings)
    try:
        if rights := redis_not_granted(settings, redis, role):
            raise NotAllowed(
                f"Redis does not allow {settings.redis.username or 'default'!r} this: "
                f"{', '.join(rights)} (docs/operating.md, Rights in Redis)"
            )
        refuse_eviction(redis)
    except StreamrecError:
        redis.close()
        raise
    return redis


def _look_at_brokers(watch: BrokerWatch, vitals: Vitals) -> None:
    """Where all have moved, end at once, as if killed: nothing here could say goodbye to a broker.

    Raises Unavailable.
    """
    try:
        watch.look()
    except BrokersReplaced as error:
        log.critical("%s", error)
        os._exit(1)
    except Unavailable as error:
        vitals.miss(KAFKA, error)
        raise
    vitals.reach(KAFKA)


@contextmanager
def worker_context(
    settings: Settings,
    worker_id: str,
    role: str,
    stop: threading.Event,
    task: str = RANKING,
    *,
    sources: Sequence[ExampleSource] = (),
    monitor: Monitor | None = None,
    tracer: Tracer | None = None,
) -> Iterator[WorkerContext | None]:
    """Waits for Kafka and Redis, and says so; None when told to stop meanwhile.

    Raises UserError when two places disagree about whose they are; nothing was changed then.

    ``sources``: whose examples this process reads or writes. ``monitor``, ``tracer``: of this
    process, where there is one already.
    """
    with ExitStack() as stack:
        monitor = monitor or new_monitor(role)
        stack.enter_context(monitored(settings.metrics, monitor))
        if tracer is None:
            tracer = open_tracer(settings, role, worker_id)
            stack.callback(tracer.close)
        partitions = retrying(lambda: partitions_of(settings, role, task), stop)
        publisher = retrying(lambda: clients.publisher(settings, worker_id), stop)
        if partitions is None or publisher is None:
            yield None
            return
        stack.callback(publisher.close)
        look = partial(_look_at_brokers, BrokerWatch(settings.kafka), monitor.vitals)
        brokers = Background("brokers", look, LOOK_S, stop)
        stack.enter_context(running(stop, brokers))
        redis = retrying(lambda: _safe_redis(settings, role), stop)
        if redis is None:
            yield None
            return
        stack.enter_context(redis)
        ours = retrying(partial(identities.confirmed, settings, role, redis, task), stop)
        if ours is None:
            yield None
            return
        count = partitions[topics.EVENTS]
        layout = retrying(lambda: layouts.of_worker(settings, redis, role, count), stop)
        if layout is None:
            yield None
            return
        stack.enter_context(layouts.watched(settings, redis, layout, stop))
        partitions |= {topics.EVENTS: layout.partitions}
        yield WorkerContext(
            settings,
            worker_id,
            role,
            stop,
            partitions,
            publisher,
            redis,
            WatchedFleet(clients.fleet(settings, redis, task), monitor.vitals),
            clients.partition_store(settings, redis),
            SystemClock(),
            stack,
            layout,
            task,
            {source.task: source.format for source in sources},
            ours.installation,
            monitor,
            tracer,
        )
