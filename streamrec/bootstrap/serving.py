"""The serving worker, put together. Loads torch and the language model."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TypeVar

from streamrec.bootstrap import clients
from streamrec.core import topics
from streamrec.errors import Unavailable
from streamrec.infra.clock import SystemClock
from streamrec.infra.fleet import RedisFleet
from streamrec.infra.kafka import full_name, partition_counts, partition_for
from streamrec.infra.redis_store import RedisPartitionStore, connect_redis
from streamrec.infra.telemetry import configure_logging
from streamrec.infra.trigger_feed import KafkaTriggerFeed
from streamrec.model.encoder import load_encoder
from streamrec.model.served import hot_swap
from streamrec.ports import WorkerStatus
from streamrec.settings import Settings
from streamrec.stages.fleet_watch import SERVING
from streamrec.stages.mirror import Mirror
from streamrec.stages.obey import Obedience
from streamrec.stages.raw import Edges
from streamrec.stages.serve import Server
from streamrec.stages.serving_worker import Parts, ServingWorker

log = logging.getLogger(__name__)

NEEDED = (topics.EVENTS, topics.ITEMS, topics.USER_UPDATES, topics.REQUESTS, topics.ADAPTERS)
RETRY_S = 2.0

Made = TypeVar("Made")


def run(settings: Settings, worker_id: str) -> None:
    """Work until SIGTERM or SIGINT, then finish what is held and return.

    Raises:
        EncoderUnavailable, SettingsError: the language model cannot be made.
        UserError: an impossible log level.
    """
    configure_logging(settings.log_level, worker_id)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    run_serving_worker(settings, worker_id, stop)


def run_serving_worker(settings: Settings, worker_id: str, stop: threading.Event) -> None:
    """As ``run``, until ``stop`` is set: for a thread of somebody else's process."""
    partitions = _patiently(lambda: _partitions(settings), stop)
    publisher = _patiently(lambda: clients.publisher(settings, worker_id), stop)
    if partitions is None or publisher is None:
        return
    with ExitStack() as stack:
        stack.callback(publisher.close)
        redis = stack.enter_context(connect_redis(settings.redis))
        store = RedisPartitionStore(redis, settings.redis.key_prefix)
        mirror = Mirror(store, partitions)
        swap = hot_swap(load_encoder(settings.encoder), mirror.catalogue)
        feed = KafkaTriggerFeed(settings.kafka, clients.codec(settings), worker_id)
        stack.callback(feed.close)
        edges = Edges(
            store=store,
            publisher=publisher,
            codec=clients.codec(settings),
            clock=SystemClock(),
            partition_of=lambda user: partition_for(user, partitions[topics.EVENTS]),
        )
        parts = Parts(
            feed=feed,
            control=stack.enter_context(clients.control_log(settings)),
            fleet=RedisFleet(redis, settings.redis.key_prefix),
            clock=edges.clock,
            mirror=mirror,
            obedience=Obedience(
                clients.registry_store(settings),
                swap,
                mirror.catalogue,
                keep=settings.serving.keep_generations,
            ),
            server=Server(edges, mirror, worker_id=worker_id, k=settings.serving.k),
        )
        worker = ServingWorker(
            parts,
            _identity(worker_id, edges.clock.now_ms()),
            stop,
            batch_users=settings.serving.batch_users,
            refresh_s=settings.serving.statistics_refresh_s,
        )
        worker.run()
    log.info("stopped")


def _identity(worker_id: str, now_ms: int) -> WorkerStatus:
    return WorkerStatus(
        worker_id=worker_id,
        role=SERVING,
        host=socket.gethostname(),
        pid=os.getpid(),
        started_at_ms=now_ms,
        beat_at_ms=now_ms,
    )


def _partitions(settings: Settings) -> Mapping[str, int]:
    counts = partition_counts(settings.kafka)
    missing = [full_name(settings.kafka, name) for name in NEEDED if name not in counts]
    if missing:
        raise Unavailable(
            f"no topic {', '.join(missing)}: `streamrec topics create` makes them", RETRY_S
        )
    return counts


def _patiently(make: Callable[[], Made], stop: threading.Event) -> Made | None:
    """Make it, waiting for what is away; None when told to stop meanwhile."""
    while not stop.is_set():
        try:
            return make()
        except Unavailable as error:
            log.warning("%s; trying until it is there", error)
            stop.wait(max(RETRY_S, error.retry_after_s))
    return None
