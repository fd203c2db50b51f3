"""The trainer, put together. Loads torch and the language model.

In the order in which a mini-batch meets them:

1. The feed and the mirror of the catalogue, before anything is learned; the lease, without which
   nothing is.
2. The model, which learns it.
3. Whom a candidate is compared with, how it is sent out, and what watches it from then on.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from streamrec.apps import identities
from streamrec.apps.alarm import promotion_alarm
from streamrec.apps.champion_gauges import champion_gauges, noted
from streamrec.apps.live import canary_rollout, live, release_service, without_canary
from streamrec.apps.process import retrying, stop_on_signals
from streamrec.apps.ranking import RankingTask
from streamrec.apps.worker_context import WorkerContext, worker_context
from streamrec.core import tasks, topics
from streamrec.core.events import Source
from streamrec.core.examples import Example
from streamrec.errors import Refused
from streamrec.infra.feeds.batch_feed import KafkaBatchFeed
from streamrec.infra.processes.telemetry import configure_logging, peak_rss_mb
from streamrec.infra.stores.checkpoints import DirectoryCheckpoints, DirectorySnapshots
from streamrec.infra.stores.lease import RedisLease
from streamrec.infra.tracking.trackers import open_tracker
from streamrec.loop.background import Background
from streamrec.loop.ingesting.raw import RawRecord, Refusals
from streamrec.loop.releasing.attested import AttestedStore
from streamrec.loop.releasing.release_queue import ReleaseQueue
from streamrec.loop.training.alarm import ACT_EVERY_S
from streamrec.loop.training.champion import ChampionWatch
from streamrec.loop.training.dependencies import TrainerDependencies, TrainerSchedule
from streamrec.loop.training.train import Trainer
from streamrec.loop.training.training_worker import (
    TRAINER,
    CatalogueMirror,
    Lease,
    TrainingDependencies,
    TrainingWorker,
)
from streamrec.models.data_parallel import Ranks, joined_ranks
from streamrec.models.loading import load_encoder
from streamrec.ports import DeliveredBatch, RegistryStore, Task, Tracker, Training
from streamrec.settings import Settings, TrainerSettings
from streamrec.tasks.ranking.model.adapter_trainer import follow
from streamrec.tasks.ranking.model.config import learner_config

log = logging.getLogger(__name__)


AnyTask = Task[WorkerContext, Settings]


def run(settings: Settings, worker_id: str, task: AnyTask | None = None) -> None:
    """Work until SIGTERM or SIGINT, then write a checkpoint and return. Without ``task``: ranking.

    Raises:
        EncoderUnavailable, SettingsError: the language model cannot be made.
        UserError: an impossible log level, a tracker's package missing, mini-batches made anew.
        LeaseLost, GenerationRefused, GroupBroken: it must not go on; the message says why.
    """
    ranks = joined_ranks()
    try:
        if ranks.rank > 0:
            name = f"{worker_id}.{ranks.rank}"
            configure_logging(settings.log_level, name, settings.log_format, TRAINER)
            _follow(settings, ranks)
            return
        configure_logging(settings.log_level, worker_id, settings.log_format, TRAINER)
        _lead(settings, worker_id, task or RankingTask(ranks))
        ranks.shutdown()
    finally:
        ranks.close()


def _lead(settings: Settings, worker_id: str, task: AnyTask) -> None:
    stop, source = stop_on_signals(), task.examples
    with (
        closing(open_tracker(settings)) as tracker,
        worker_context(
            settings, worker_id, TRAINER, stop, source.task, sources=[source]
        ) as context,
    ):
        if context is not None:
            abreast = partial(
                identities.wait_until_abreast, settings, context.redis, stop, source.task
            )
            retrying(abreast, stop)
            _worker(context, tracker, task).run()
    log.info("stopped")


def _follow(settings: Settings, ranks: Ranks) -> None:
    """Take the first process' steps with it until it ends; a signal reaches that one too."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    encoder = load_encoder(settings.encoder, ranks.rank)
    config = learner_config(settings, encoder).adapter
    log.info("process %d of %d: learning with the first", ranks.rank + 1, ranks.size)
    if config is not None:
        follow(encoder, config, ranks)
    log.info("shut down")


def _worker(context: WorkerContext, tracker: Tracker, task: AnyTask) -> TrainingWorker:
    settings = context.settings
    feed = KafkaBatchFeed(
        settings.kafka,
        context.codec(),
        context.worker_id,
        context.task,
        origins=context.store,
    )
    context.stack.callback(feed.close)
    mirror = CatalogueMirror(context.store, context.partitions[topics.ITEMS])
    name = tasks.key(TRAINER, context.task)
    lease = RedisLease(context.redis, settings.redis.key_prefix, name, context.worker_id)
    learned = task.training(context)
    released = _release_pipeline(context, learned)
    parts = TrainerDependencies(
        feed=feed,
        learner=learned.learner,
        checkpoints=DirectoryCheckpoints(
            context.state_dir / "checkpoints", installation=context.installation
        ),
        snapshots=DirectorySnapshots(context.state_dir / "snapshots"),
        generations=learned.generations,
        store=released.store,
        champions=released.champions,
        release_queue=released.queue,
        clock=context.clock,
        tracker=tracker,
        work=context.state_dir / "candidates",
        judge=learned.judge,
        check=learned.check,
        refuse=partial(_refuse, Refusals(context.edges())),
        mirror=mirror.refresh,
        observe=released.observe,
        may_train=lease.confirm,
        new_start=learned.new_start,
        start_from=learned.start_from,
        stopping=context.stop.is_set,
        tracer=context.tracer,
        meter=context.meter,
    )
    trainer = Trainer(parts, schedule(settings.trainer))
    right = Lease(lease.try_acquire, lease.confirm, lease.release)
    running = TrainingDependencies(
        trainer,
        right,
        context.fleet,
        peak_rss_mb,
        mirror.settled,
        released.watchers,
        context.vitals.turn,
        learned.gauges,
    )
    return TrainingWorker(running, context.identity(), context.stop)


@dataclass(frozen=True, slots=True)
class ReleasePipeline:
    """From a candidate to the fleet. ``observe``: shown what is about to be learned."""

    store: RegistryStore
    champions: ChampionWatch
    queue: ReleaseQueue
    observe: Callable[[Sequence[Example]], object]
    watchers: tuple[Background, ...]


def _release_pipeline(context: WorkerContext, learned: Training) -> ReleasePipeline:
    store = context.registry_store()
    attested = AttestedStore(store)
    champions = ChampionWatch(
        context.control_log(noted(attested.note, context)),
        attested,
        learned.generations,
        learned.learner.snapshot,
    )
    if not learned.clicks and (said := without_canary(context.settings, context.task)):
        log.warning("%s", said)
    watching = live(context, lambda: champions.state, clicks=learned.clicks)
    rollout = canary_rollout(context, watching.outcomes)
    service = release_service(context, context.worker_id, rollout=rollout)
    thread = ThreadPoolExecutor(1, thread_name_prefix="release")
    context.stack.enter_context(thread)  # a release ends before what it needs is closed
    queue = ReleaseQueue(service, store, thread, context.stop)
    watchers = (*watching.watchers, champion_gauges(context, lambda: champions.generation))
    if learned.watch is None:
        return ReleasePipeline(store, champions, queue, lambda _: None, watchers)
    alarm = promotion_alarm(context, learned.watch)
    watchers = (*watchers, Background("alarm", alarm.act, ACT_EVERY_S, context.stop))
    return ReleasePipeline(store, champions, queue, alarm.observe, watchers)


def schedule(settings: TrainerSettings) -> TrainerSchedule:
    """Settings as the stage wants them."""
    return TrainerSchedule(
        release_examples=settings.release_examples,
        release_s=settings.release_s,
        gate_examples=settings.gate_examples,
        gate_s=settings.gate_s,
        checkpoint_s=settings.checkpoint_s,
        snapshots=settings.snapshots,
    )


def _refuse(refusals: Refusals, delivered: DeliveredBatch, reason: Refused) -> None:
    record = RawRecord(delivered.offset, 0, delivered.key, delivered.data)
    refusals.publish(Source(topics.TRAINING_BATCHES, 0), [(record, reason)])
