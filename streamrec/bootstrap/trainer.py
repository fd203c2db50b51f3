"""The trainer, put together. Loads torch and the language model."""

from __future__ import annotations

import logging
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from typing import Any

from streamrec.bootstrap import clients, trust
from streamrec.bootstrap.alarm import Categories, promotion_alarm
from streamrec.bootstrap.live import Around, live, tryout
from streamrec.bootstrap.process import identity, partitions_of, patiently, stop_on_signals
from streamrec.core import topics
from streamrec.core.events import Source
from streamrec.core.release.gate import GateRules
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.features import FEATURE_SET
from streamrec.errors import GenerationRefused, Refused, Unavailable, UserError
from streamrec.infra.clock import SystemClock
from streamrec.infra.feeds.batch_feed import KafkaBatchFeed
from streamrec.infra.processes.telemetry import configure_logging, open_scalars, peak_rss_mb
from streamrec.infra.stores.checkpoints import DirectoryCheckpoints, DirectorySnapshots
from streamrec.infra.stores.fleet import RedisFleet
from streamrec.infra.stores.lease import RedisLease
from streamrec.infra.stores.redis_store import RedisPartitionStore, connect_redis
from streamrec.infra.wire.kafka import partition_for
from streamrec.model.encoders.encoder import TextEncoder
from streamrec.model.encoders.index import ItemIndex
from streamrec.model.encoders.loading import load_encoder
from streamrec.model.generations.generation import read_generation
from streamrec.model.generations.sealing import ModelGenerations
from streamrec.model.generations.served import head_expectations
from streamrec.model.generations.signing import EVERYBODY, Signers
from streamrec.model.learning.distributed import Group, joined_group
from streamrec.model.learning.followers import Followers, follow
from streamrec.model.learning.learner import OnlineLearner
from streamrec.model.learning.recipes import recipe_for
from streamrec.ports import DeliveredBatch, RegistryStore
from streamrec.settings import Settings, TrainerSettings
from streamrec.stages.ingesting.raw import Edges, RawRecord, Refusals
from streamrec.stages.releasing.attested import AttestedStore
from streamrec.stages.releasing.release import ReleaseDesk
from streamrec.stages.releasing.release_line import ReleaseLine
from streamrec.stages.training.champion import ChampionWatch
from streamrec.stages.training.train import Trainer
from streamrec.stages.training.training_parts import Parts, Rhythm
from streamrec.stages.training.training_worker import (
    TRAINER,
    CatalogueMirror,
    TrainingWorker,
    WorkerParts,
)

log = logging.getLogger(__name__)


def run(settings: Settings, worker_id: str) -> None:
    """Work until SIGTERM or SIGINT, then write a checkpoint and return.

    Raises:
        EncoderUnavailable, SettingsError: the language model cannot be made.
        UserError: an impossible log level, TensorBoard missing, mini-batches made anew.
        LeaseLost, GenerationRefused, GroupBroken: it must not go on; the message says why.
    """
    group = joined_group()
    try:
        if group.rank > 0:
            configure_logging(settings.log_level, f"{worker_id}.{group.rank}")
            _follow(settings, group)
            return
        configure_logging(settings.log_level, worker_id)
        followers = Followers(group)
        run_trainer(settings, worker_id, stop_on_signals(), followers)
        followers.dismiss()
    finally:
        group.close()


def _follow(settings: Settings, group: Group) -> None:
    """Compute for the first process until it ends; a signal reaches that one too."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    encoder = load_encoder(settings.encoder, group.rank)
    log.info("process %d of %d: computing for the first", group.rank + 1, group.size)
    follow(group, encoder)
    log.info("dismissed")


def run_trainer(
    settings: Settings,
    worker_id: str,
    stop: threading.Event,
    followers: Followers | None = None,
) -> None:
    """As ``run``, until ``stop`` is set: for a thread of somebody else's process."""
    scalars = open_scalars(settings.trainer.tensorboard_dir)
    partitions = patiently(lambda: partitions_of(settings, TRAINER), stop)
    publisher = patiently(lambda: clients.publisher(settings, worker_id), stop)
    if partitions is None or publisher is None:
        return
    with ExitStack() as stack:
        stack.callback(scalars.close)
        stack.callback(publisher.close)
        clock, codec = SystemClock(), clients.codec(settings)
        redis = stack.enter_context(connect_redis(settings.redis))
        prefix = settings.redis.key_prefix
        fleet = RedisFleet(redis, prefix)
        feed = KafkaBatchFeed(settings.kafka, codec, worker_id)
        stack.callback(feed.close)
        state = RedisPartitionStore(redis, prefix)
        mirror = CatalogueMirror(state, partitions[topics.ITEMS])
        learner, generations = _model(settings, followers)
        stack.callback(learner.close)
        store = clients.registry_store(settings)
        attested = AttestedStore(store)
        champions = ChampionWatch(
            stack.enter_context(clients.control_log(settings, attested.note)),
            attested,
            generations,
            learner.snapshot,
        )
        pause = partial(_sleep, stop)
        around = Around(settings, stack, redis, fleet, clock, stop, pause)
        watching = live(around, worker_id, lambda: champions.state)
        categories = Categories()
        alarm, alarms = promotion_alarm(around, categories)
        desk = ReleaseDesk(
            stack.enter_context(clients.control_log(settings)),
            fleet,
            store,
            clock,
            worker_id,
            stage_timeout_s=settings.trainer.stage_timeout_s,
            sleep=pause,
            tryout=tryout(around, watching.outcomes),
        )
        releases = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="release"))
        line = ReleaseLine(desk, store, releases, stop)
        lease = RedisLease(redis, prefix, TRAINER, worker_id)
        partition_of = partial(partition_for, partitions=partitions[topics.EVENTS])
        refusals = Refusals(Edges(state, publisher, codec, clock, partition_of))
        trainer = Trainer(
            Parts(
                feed=feed,
                learner=learner,
                checkpoints=DirectoryCheckpoints(settings.state_dir / "checkpoints"),
                snapshots=DirectorySnapshots(settings.state_dir / "snapshots"),
                generations=generations,
                store=store,
                champions=champions,
                line=line,
                clock=clock,
                scalars=scalars,
                work=settings.state_dir / "candidates",
                refuse=partial(_refuse, refusals),
                mirror=categories.heard_by(mirror.refresh),
                observe=alarm.observe,
                may_train=lease.confirm,
                start_from=settings.trainer.start_from or None,
                stopping=stop.is_set,
            ),
            rhythm(settings.trainer),
        )
        parts = WorkerParts(
            trainer,
            champions,
            feed,
            lease,
            fleet,
            clock,
            scalars,
            peak_rss_mb,
            mirror.settled,
            (*watching.watchers, *alarms),
        )
        TrainingWorker(parts, identity(worker_id, TRAINER, clock.now_ms()), stop).run()
    log.info("stopped")


def rhythm(settings: TrainerSettings) -> Rhythm:
    """Settings as the stage wants them."""
    return Rhythm(
        feature_set=FEATURE_SET,
        release_examples=settings.release_examples,
        release_s=settings.release_s,
        gate_examples=settings.gate_examples,
        gate_s=settings.gate_s,
        checkpoint_s=settings.checkpoint_s,
        snapshots=settings.snapshots,
        rules=GateRules(
            ranking_limit=settings.gate_ranking_limit,
            loss_limit_ratio=settings.gate_loss_limit_ratio,
            max_update_norm=settings.gate_max_update_norm,
            max_kl=settings.gate_max_kl,
            min_coverage_ratio=settings.gate_min_coverage_ratio,
            max_calibration=settings.gate_max_calibration,
            floor_tolerance=settings.gate_floor_tolerance,
        ),
    )


def recorded(settings: Settings) -> dict[str, Any]:
    """The settings that a generation's manifest keeps: what shaped it, no secret, no host."""
    encoder, trainer = asdict(settings.encoder), asdict(settings.trainer)
    for name in ("device", "threads", "cache_mb"):
        encoder.pop(name, None)
    trainer.pop("tensorboard_dir", None)
    learning, ingest = asdict(settings.learning), asdict(settings.ingest)
    return {"encoder": encoder, "learning": learning, "trainer": trainer, "ingest": ingest}


def _model(
    settings: Settings, followers: Followers | None
) -> tuple[OnlineLearner, ModelGenerations]:
    log.info("loading the language model %s", settings.encoder.model)
    encoder = load_encoder(settings.encoder)
    index = ItemIndex(encoder)
    recipe, seed = recipe_for(settings, encoder), settings.trainer.seed
    catalogue = Catalogue()
    learner = OnlineLearner(catalogue, index, seed, recipe, encoder, followers=followers)
    signers = trust.signers(settings)
    if settings.trainer.start_from:
        store, generation = clients.registry_store(settings), settings.trainer.start_from
        start_from(learner, encoder, store, generation, signers)
    generations = ModelGenerations(
        encoder,
        catalogue,
        recorded(settings),
        learner.indexes,
        signer=trust.signer(settings),
        signers=signers,
    )
    return learner, generations


def start_from(
    learner: OnlineLearner,
    encoder: TextEncoder,
    store: RegistryStore,
    generation: str,
    signers: Signers = EVERYBODY,
) -> None:
    """Give a new learner the weights of a generation; a checkpoint, if any, replaces them.

    Raises:
        UserError: it is not in the registry, or was made for another model or version.
    """
    try:
        read = read_generation(store.get(generation), head_expectations(encoder, signers))
        learner.start_from(read)
    except GenerationRefused as error:
        raise UserError(f"STREAMREC_TRAINER_START_FROM={generation}: {error}") from error
    log.info("starting from %s, made %s", generation, read.manifest.training)


def _refuse(refusals: Refusals, delivered: DeliveredBatch, reason: Refused) -> None:
    record = RawRecord(delivered.offset, 0, delivered.key, delivered.data)
    refusals.publish(Source(topics.TRAINING_BATCHES, 0), [(record, reason)])


def _sleep(stop: threading.Event, seconds: float) -> None:
    """For the thread that releases: a stop ends its waiting at once."""
    if stop.wait(seconds):
        raise Unavailable("stopping")
