"""The serving worker, put together. Loads torch and the language model."""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack

from redis import Redis

from streamrec.bootstrap import clients, trust
from streamrec.bootstrap.process import identity, partitions_of, patiently, stop_on_signals
from streamrec.core import topics
from streamrec.core.serving.exploration import Exploration
from streamrec.infra.clock import SystemClock
from streamrec.infra.feeds.trigger_feed import KafkaTriggerFeed
from streamrec.infra.processes.telemetry import configure_logging
from streamrec.infra.stores.explanations import RedisExplanations
from streamrec.infra.stores.fleet import RedisFleet
from streamrec.infra.stores.redis_store import RedisPartitionStore, connect_redis
from streamrec.infra.wire.kafka import partition_for
from streamrec.model.encoders.loading import load_encoder
from streamrec.model.generations.served import hot_swap
from streamrec.settings import Settings
from streamrec.stages.ingesting.raw import Edges
from streamrec.stages.releasing.attested import AttestedStore
from streamrec.stages.releasing.fleet_watch import SERVING
from streamrec.stages.serving.explain import Explainer
from streamrec.stages.serving.mirror import Mirror
from streamrec.stages.serving.obey import Obedience
from streamrec.stages.serving.serve import Server
from streamrec.stages.serving.serving_worker import Parts, ServingWorker

log = logging.getLogger(__name__)


def run(settings: Settings, worker_id: str) -> None:
    """Work until SIGTERM or SIGINT, then finish what is held and return.

    Raises:
        EncoderUnavailable, SettingsError: the language model cannot be made.
        UserError: an impossible log level.
    """
    configure_logging(settings.log_level, worker_id)
    run_serving_worker(settings, worker_id, stop_on_signals())


def run_serving_worker(settings: Settings, worker_id: str, stop: threading.Event) -> None:
    """As ``run``, until ``stop`` is set: for a thread of somebody else's process."""
    partitions = patiently(lambda: partitions_of(settings, SERVING), stop)
    publisher = patiently(lambda: clients.publisher(settings, worker_id), stop)
    if partitions is None or publisher is None:
        return
    with ExitStack() as stack:
        stack.callback(publisher.close)
        redis = stack.enter_context(connect_redis(settings.redis))
        store = RedisPartitionStore(redis, settings.redis.key_prefix)
        mirror = Mirror(store, partitions)
        swap = hot_swap(load_encoder(settings.encoder), mirror.catalogue, trust.signers(settings))
        feed = KafkaTriggerFeed(settings.kafka, clients.codec(settings), worker_id)
        stack.callback(feed.close)
        edges = Edges(
            store=store,
            publisher=publisher,
            codec=clients.codec(settings),
            clock=SystemClock(),
            partition_of=lambda user: partition_for(user, partitions[topics.EVENTS]),
        )
        attested = AttestedStore(clients.registry_store(settings))
        parts = Parts(
            feed=feed,
            control=stack.enter_context(clients.control_log(settings, attested.note)),
            fleet=RedisFleet(redis, settings.redis.key_prefix),
            clock=edges.clock,
            mirror=mirror,
            obedience=Obedience(
                attested,
                swap,
                mirror.catalogue,
                keep=settings.serving.keep_generations,
            ),
            server=Server(
                edges,
                mirror,
                worker_id=worker_id,
                k=settings.serving.k,
                exploration=Exploration(
                    settings.serving.explore, settings.serving.explore_shortlist
                ),
                explainer=explainer(settings, redis),
            ),
        )
        worker = ServingWorker(
            parts,
            identity(worker_id, SERVING, edges.clock.now_ms()),
            stop,
            batch_users=settings.serving.batch_users,
            refresh_s=settings.serving.statistics_refresh_s,
        )
        worker.run()
    log.info("stopped")


def explainer(settings: Settings, redis: Redis) -> Explainer:
    """Reasons for every item; explanations kept as long, and as many, as the settings say."""
    serving = settings.serving
    if not (serving.explain_s and serving.explain_per_s):
        return Explainer()
    kept = RedisExplanations(redis, settings.redis.key_prefix, serving.explain_s)
    return Explainer(kept, serving.explain_per_s)
