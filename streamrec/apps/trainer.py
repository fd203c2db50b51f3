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

from streamrec.apps import clients
from streamrec.apps.alarm import promotion_alarm
from streamrec.apps.live import canary_rollout, live, release_service
from streamrec.apps.model import Model, load_model
from streamrec.apps.process import stop_on_signals
from streamrec.apps.worker_context import WorkerContext, worker_context
from streamrec.core import tasks, topics
from streamrec.core.events import Source
from streamrec.core.examples import Example
from streamrec.core.tasks import RANKING
from streamrec.errors import Refused
from streamrec.infra.feeds.batch_feed import KafkaBatchFeed
from streamrec.infra.processes.telemetry import configure_logging, open_scalars, peak_rss_mb
from streamrec.infra.stores.checkpoints import DirectoryCheckpoints, DirectorySnapshots
from streamrec.infra.stores.lease import RedisLease
from streamrec.loop.background import Background
from streamrec.loop.ingesting.raw import RawRecord, Refusals
from streamrec.loop.releasing.attested import AttestedStore
from streamrec.loop.releasing.release_queue import ReleaseQueue
from streamrec.loop.training.champion import ChampionWatch
from streamrec.loop.training.dependencies import TrainerDependencies, TrainerSchedule
from streamrec.loop.training.train import Trainer
from streamrec.loop.training.training_worker import (
    TRAINER,
    CatalogueMirror,
    TrainingDependencies,
    TrainingWorker,
)
from streamrec.models.data_parallel import Ranks, joined_ranks
from streamrec.models.loading import load_encoder
from streamrec.ports import DeliveredBatch, RegistryStore, Scalars
from streamrec.settings import Settings, TrainerSettings
from streamrec.tasks.ranking.examples import check
from streamrec.tasks.ranking.gate_metrics import RankingGateRules, RankingJudge
from streamrec.tasks.ranking.model.adapter_trainer import follow
from streamrec.tasks.ranking.model.config import learner_config
from streamrec.tasks.ranking.model.generations import ModelGenerations

log = logging.getLogger(__name__)


def run(settings: Settings, worker_id: str, task: str = RANKING) -> None:
    """Work until SIGTERM or SIGINT, then write a checkpoint and return.

    Raises:
        EncoderUnavailable, SettingsError: the language model cannot be made.
        UserError: an impossible log level, TensorBoard missing, mini-batches made anew.
        LeaseLost, GenerationRefused, GroupBroken: it must not go on; the message says why.
    """
    ranks = joined_ranks()
    try:
        if ranks.rank > 0:
            configure_logging(settings.log_level, f"{worker_id}.{ranks.rank}")
            _follow(settings, ranks)
            return
        configure_logging(settings.log_level, worker_id)
        _lead(settings, worker_id, ranks, task)
        ranks.shutdown()
    finally:
        ranks.close()


def _lead(settings: Settings, worker_id: str, ranks: Ranks, task: str) -> None:
    stop = stop_on_signals()
    with (
        closing(open_scalars(settings.trainer.tensorboard_dir)) as scalars,
        worker_context(settings, worker_id, TRAINER, stop, task) as context,
    ):
        if context is not None:
            _worker(context, scalars, ranks).run()
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


def _worker(context: WorkerContext, scalars: Scalars, ranks: Ranks) -> TrainingWorker:
    settings = context.settings
    feed = context.closing(
        KafkaBatchFeed(settings.kafka, clients.codec(settings), context.worker_id, context.task)
    )
    mirror = CatalogueMirror(context.store, context.partitions[topics.ITEMS])
    name = tasks.key(TRAINER, context.task)
    lease = RedisLease(context.redis, settings.redis.key_prefix, name, context.worker_id)
    model = _model(context, ranks)
    way_out = _way_out(context, model)
    parts = TrainerDependencies(
        feed=feed,
        learner=model.learner,
        checkpoints=DirectoryCheckpoints(context.state_dir / "checkpoints"),
        snapshots=DirectorySnapshots(context.state_dir / "snapshots"),
        generations=way_out.generations,
        store=way_out.store,
        champions=way_out.champions,
        release_queue=way_out.line,
        clock=context.clock,
        scalars=scalars,
        work=context.state_dir / "candidates",
        judge=RankingJudge(RankingGateRules()),
        check=check,
        refuse=partial(_refuse, Refusals(context.edges())),
        mirror=mirror.refresh,
        observe=way_out.observe,
        may_train=lease.confirm,
        start_from=settings.trainer.start_from or None,
        stopping=context.stop.is_set,
    )
    trainer = Trainer(parts, schedule(settings.trainer))
    running = TrainingDependencies(
        trainer, lease, context.fleet, peak_rss_mb, mirror.settled, way_out.watchers
    )
    return TrainingWorker(running, context.identity(), context.stop)


def _model(context: WorkerContext, ranks: Ranks) -> Model:
    """The model, closed in the end, on the weights that the settings want to start from."""
    settings = context.settings
    model = load_model(settings, ranks)
    context.closing(model.learner)
    if settings.trainer.start_from:
        model.start_from(context.registry_store(), settings.trainer.start_from)
    return model


@dataclass(frozen=True, slots=True)
class _WayOut:
    """From a candidate to the fleet. ``observe``: shown what is about to be learned."""

    generations: ModelGenerations
    store: RegistryStore
    champions: ChampionWatch
    line: ReleaseQueue
    observe: Callable[[Sequence[Example]], object]
    watchers: tuple[Background, ...]


def _way_out(context: WorkerContext, model: Model) -> _WayOut:
    store, generations = context.registry_store(), model.generations()
    attested = AttestedStore(store)
    champions = ChampionWatch(
        context.control_log(attested.note), attested, generations, model.learner.snapshot
    )
    watching = live(context, lambda: champions.state)
    alarm, alarms = promotion_alarm(context, model.catalogue.categories_of)
    rollout = canary_rollout(context, watching.outcomes)
    service = release_service(context, context.worker_id, rollout=rollout)
    thread = ThreadPoolExecutor(1, thread_name_prefix="release")
    context.stack.enter_context(thread)  # a release ends before what it needs is closed
    line = ReleaseQueue(service, store, thread, context.stop)
    watchers = (*watching.watchers, *alarms)
    return _WayOut(generations, store, champions, line, alarm.observe, watchers)


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
