"""The feature worker: Kafka's events and items into Redis, mini-batches out.

Wires ``loop.ingesting.ingest`` to faust, kafka-python and Redis. Waits for whatever is not there
yet, and says so; loads no torch.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from streamrec.apps.copy import wording_rules
from streamrec.apps.process import stop_on_signals
from streamrec.apps.worker_context import WorkerContext, worker_context
from streamrec.core import topics
from streamrec.core.state.batching import BatchRules
from streamrec.core.state.fold import FoldRules
from streamrec.errors import Unavailable
from streamrec.infra.feeds.faust_app import make_app, run_app
from streamrec.infra.feeds.feed import Feed
from streamrec.infra.processes.telemetry import configure_logging
from streamrec.infra.stores.redis_memory import RedisMemory
from streamrec.infra.wire.kafka_offsets import logs
from streamrec.loop.ingesting.admissible import FUTURE_TOLERANCE_MS
from streamrec.loop.ingesting.ingest import Ingest, IngestRules
from streamrec.loop.ingesting.ingest_events import EventsRules
from streamrec.ports import LAG, ExampleSource
from streamrec.settings import Settings
from streamrec.tasks.copy.example_maker import example_source as copy_source
from streamrec.tasks.ranking.example_maker import example_source as ranking_source
from streamrec.tasks.replies.example_maker import example_source as replies_source

log = logging.getLogger(__name__)

FEATURES = "features"
BEAT_S = 1.0
RUN_EVENTS = 500  # folded and committed at once, at most
BATCH_EXAMPLES, BATCH_AGE_MS = 64, 500  # a mini-batch is sent when it is this large, or this old
DAY_MS = 86_400_000


def built_in_sources(settings: Settings) -> Sequence[ExampleSource]:
    """Who makes the examples of the tasks that are built in; ranking's comes first."""
    return ranking_source(), copy_source(), replies_source(settings.replies.implicit_weight)


def run(settings: Settings, worker_id: str, sources: Sequence[ExampleSource] | None = None) -> None:
    """Work until SIGTERM or SIGINT, then finish what is in hand.

    ``sources``: who makes the examples of each task; ranking's comes first. None: of those that
    are built in.
    """
    sources = built_in_sources(settings) if sources is None else sources
    configure_logging(settings.log_level, worker_id, settings.log_format, FEATURES)
    stop = stop_on_signals()
    with worker_context(settings, worker_id, FEATURES, stop, sources=sources) as context:
        if context is not None:
            asyncio.run(_consume(context, sources))


def ingest_rules(settings: Settings, partitions: Mapping[str, int]) -> IngestRules:
    """Settings as the stage wants them. ``partitions`` of "items" and "events"."""
    ingest = settings.ingest
    return IngestRules(
        partitions=partitions,
        wordings=wording_rules(settings.copy),
        events=EventsRules(
            fold=FoldRules(
                partitions=partitions[topics.EVENTS],
                attribution_window_ms=int(ingest.attribution_window_s * 1000),
                remember_ms=int(settings.state.repeat_days * DAY_MS),
                keep_ms=int(settings.state.keep_days * DAY_MS),
            ),
            batch=BatchRules(
                examples=BATCH_EXAMPLES,
                bytes=settings.kafka.max_message_bytes - 1024,  # room for the batch's own fields
                age_ms=BATCH_AGE_MS,
            ),
            future_tolerance_ms=FUTURE_TOLERANCE_MS,
        ),
    )


async def _consume(context: WorkerContext, sources: Sequence[ExampleSource]) -> None:
    """Until a signal: from here on this loop hears them."""
    settings, stop = context.settings, asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if context.stop.is_set():  # one came before
        stop.set()
    rules = ingest_rules(settings, context.partitions)
    ingest = Ingest(context.edges(), rules, sources)
    asks = partial(logs, settings.kafka)
    laid_out = context.layout.partitions
    feed = Feed(settings.kafka, ingest, RUN_EVENTS, asks, events_partitions=laid_out)
    scratch = settings.state_dir / "faust" / context.worker_id
    app = make_app(settings.kafka, context.worker_id, feed, scratch)
    beating = asyncio.gather(_beat(context, ingest, feed, stop), _turn(context, feed))
    try:
        await run_app(app, stop)
    finally:
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating


async def _turn(context: WorkerContext, feed: Feed) -> None:
    """Note that this loop, and the thread that it feeds, come round; until cancelled."""
    while True:
        await feed.come_round()
        context.vitals.turn()
        await asyncio.sleep(BEAT_S)


def _lag_by_topic(feed: Feed) -> dict[str, float]:
    behind = dict.fromkeys((f"{LAG}{topics.ITEMS}", f"{LAG}{topics.EVENTS}"), 0.0)
    for source, records in feed.lag.items():
        behind[f"{LAG}{source.topic}"] += records
    return behind


async def _beat(context: WorkerContext, ingest: Ingest, feed: Feed, stop: asyncio.Event) -> None:
    """Say that we are alive and what we have done, until cancelled; pass on the word to stop."""
    clock, silent = context.clock, False
    last_ms, last_applied, rate = clock.now_ms(), 0.0, 0.0
    status = context.identity()
    memory = RedisMemory(context.redis, context.settings.redis.key_prefix)
    try:
        while True:
            if context.stop.is_set():
                stop.set()
            now_ms, gauges = clock.now_ms(), ingest.counts.gauges()
            if now_ms > last_ms:
                rate = (gauges["events_applied"] - last_applied) / (now_ms - last_ms) * 1000
            last_ms, last_applied = now_ms, gauges["events_applied"]
            gauges |= {
                "rate": rate,
                "lag": float(sum(feed.lag.values())),
                **_lag_by_topic(feed),
                **await asyncio.to_thread(memory.gauges, now_ms),
                "partitions": float(len(feed.lag)),
                "parked_partitions": float(len(feed.parked)),
                "watermark_ms": float(ingest.watermark_ms),
                **ingest.clocks(),
            }
            status = replace(status, beat_at_ms=now_ms, gauges=gauges)
            try:
                await asyncio.to_thread(context.fleet.beat, status)
                await asyncio.to_thread(memory.note, now_ms)
                silent = False
            except Unavailable as error:
                if not silent:
                    log.warning("nobody hears that this worker is alive: %s", error)
                silent = True
            await asyncio.sleep(BEAT_S)
    finally:
        context.fleet.leave(context.worker_id)
