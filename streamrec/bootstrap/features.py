"""The feature worker: Kafka's events and items into Redis, mini-batches out.

Wires ``stages.ingesting.ingest`` to faust, kafka-python and Redis. Waits for whatever is not there
yet, and says so; loads no torch.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial

from redis import Redis

from streamrec.bootstrap import clients
from streamrec.bootstrap.process import identity, partitions_of, patiently, stop_on_signals
from streamrec.core import topics
from streamrec.core.state.batching import BatchRules
from streamrec.core.state.fold import FoldRules
from streamrec.errors import Unavailable
from streamrec.infra.clock import SystemClock
from streamrec.infra.feeds.faust_app import make_app, run_app
from streamrec.infra.feeds.feed import Feed
from streamrec.infra.processes.telemetry import configure_logging
from streamrec.infra.wire.kafka import KafkaPublisher, partition_for
from streamrec.infra.wire.kafka_offsets import log_bounds
from streamrec.ports import Fleet
from streamrec.settings import Settings
from streamrec.stages.ingesting.ingest import Ingest, IngestRules
from streamrec.stages.ingesting.ingest_events import EventsRules
from streamrec.stages.ingesting.raw import Edges

log = logging.getLogger(__name__)

FEATURES = "features"
BEAT_S = 1.0


def run(settings: Settings, worker_id: str) -> None:
    """Work until SIGTERM or SIGINT, then finish what is in hand.

    Raises SourceGap when a log no longer holds what the state needs.
    """
    configure_logging(settings.log_level, worker_id)
    stop = stop_on_signals()
    partitions = patiently(lambda: partitions_of(settings, FEATURES), stop)
    publisher = patiently(lambda: clients.publisher(settings, worker_id), stop)
    if partitions is not None and publisher is not None:
        with clients.redis(settings) as redis:
            asyncio.run(_consume(settings, worker_id, partitions, publisher, redis, stopped=stop))


def ingest_rules(settings: Settings, partitions: Mapping[str, int]) -> IngestRules:
    """Settings as the stage wants them. ``partitions`` of "items" and "events"."""
    ingest = settings.ingest
    return IngestRules(
        partitions=partitions,
        events=EventsRules(
            fold=FoldRules(
                partitions=partitions[topics.EVENTS],
                attribution_window_ms=int(ingest.attribution_window_s * 1000),
                sampled_negatives=ingest.sampled_negatives,
                repeats=ingest.repeated_clicks,
            ),
            batch=BatchRules(
                examples=ingest.batch_examples,
                bytes=settings.kafka.max_message_bytes - 1024,  # room for the batch's own fields
                age_ms=int(ingest.batch_age_s * 1000),
            ),
            future_tolerance_ms=int(ingest.future_tolerance_s * 1000),
        ),
        refresh_ms=int(ingest.statistics_refresh_s * 1000),
    )


async def _consume(
    settings: Settings,
    worker_id: str,
    partitions: Mapping[str, int],
    publisher: KafkaPublisher,
    redis: Redis,
    *,
    stopped: threading.Event,
) -> None:
    """Until a signal. ``stopped``: one that came before this loop could hear it."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if stopped.is_set():
        stop.set()
    edges = Edges(
        clients.partition_store(settings, redis),
        publisher,
        clients.codec(settings),
        SystemClock(),
        partial(partition_for, partitions=partitions[topics.EVENTS]),
    )
    ingest = Ingest(edges, ingest_rules(settings, partitions))
    feed = Feed(
        settings.kafka, ingest, settings.ingest.run_events, partial(log_bounds, settings.kafka)
    )
    app = make_app(settings.kafka, worker_id, feed, settings.state_dir / "faust" / worker_id)
    fleet = clients.fleet(settings, redis)
    beating = asyncio.ensure_future(_beat(fleet, worker_id, ingest, feed))
    try:
        await run_app(app, stop)
    finally:
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating
        await asyncio.to_thread(publisher.close)


async def _beat(fleet: Fleet, worker_id: str, ingest: Ingest, feed: Feed) -> None:
    """Say that we are alive and what we have done, until cancelled."""
    clock, silent = SystemClock(), False
    last_ms, last_applied, rate = clock.now_ms(), 0.0, 0.0
    status = identity(worker_id, FEATURES, last_ms)
    try:
        while True:
            now_ms, gauges = clock.now_ms(), ingest.counts.gauges()
            if now_ms > last_ms:
                rate = (gauges["events_applied"] - last_applied) / (now_ms - last_ms) * 1000
            last_ms, last_applied = now_ms, gauges["events_applied"]
            gauges |= {
                "rate": rate,
                "lag": float(sum(feed.lag.values())),
                "partitions": float(len(feed.lag)),
                "watermark_ms": float(ingest.watermark_ms),
            }
            status = replace(status, beat_at_ms=now_ms, gauges=gauges)
            try:
                await asyncio.to_thread(fleet.beat, status)
                silent = False
            except Unavailable as error:
                if not silent:
                    log.warning("nobody hears that this worker is alive: %s", error)
                silent = True
            await asyncio.sleep(BEAT_S)
    finally:
        with suppress(Unavailable):
            fleet.leave(worker_id)
