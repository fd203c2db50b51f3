"""The serving worker, put together. Loads torch and the language model."""

from __future__ import annotations

import logging
import threading

from redis import Redis

from streamrec.apps import clients, trust
from streamrec.apps.process import stop_on_signals
from streamrec.apps.worker_context import WorkerContext, worker_context
from streamrec.core.tasks import RANKING
from streamrec.infra.feeds.trigger_feed import KafkaTriggerFeed
from streamrec.infra.processes.telemetry import configure_logging
from streamrec.loop.releasing.attested import AttestedStore
from streamrec.loop.releasing.fleet_watch import SERVING
from streamrec.loop.serving.generation_follower import GenerationFollower
from streamrec.loop.serving.serve import Server
from streamrec.loop.serving.serving_worker import ServingDependencies, ServingWorker
from streamrec.models.loading import load_encoder
from streamrec.settings import Settings
from streamrec.tasks.ranking.lists.explainer import Explainer
from streamrec.tasks.ranking.lists.exploration import Exploration
from streamrec.tasks.ranking.lists.lists import ListAnswerer
from streamrec.tasks.ranking.lists.state_mirror import Mirror
from streamrec.tasks.ranking.model.served import hot_swap

log = logging.getLogger(__name__)

USERS_AT_ONCE = 64
STATISTICS_REFRESH_S = 1.0
KEPT_WARM = 2
"""Generations beside the active one."""


def run(settings: Settings, worker_id: str, task: str = RANKING) -> None:
    """Work until SIGTERM or SIGINT, then finish what is held and return.

    Raises:
        EncoderUnavailable, SettingsError: the language model cannot be made.
        UserError: an impossible log level.
    """
    configure_logging(settings.log_level, worker_id)
    run_serving_worker(settings, worker_id, stop_on_signals(), task)


def run_serving_worker(
    settings: Settings, worker_id: str, stop: threading.Event, task: str = RANKING
) -> None:
    """As ``run``, until ``stop`` is set: for a thread of somebody else's process."""
    with worker_context(settings, worker_id, SERVING, stop, task) as context:
        if context is not None:
            _worker(context).run()
    log.info("stopped")


def _worker(context: WorkerContext) -> ServingWorker:
    settings = context.settings
    answerer = list_answerer(context)
    catalogue = answerer.catalogue
    swap = hot_swap(load_encoder(settings.encoder), catalogue, trust.signers(settings))
    feed = KafkaTriggerFeed(
        settings.kafka, clients.codec(settings), context.worker_id, context.task
    )
    attested = AttestedStore(context.registry_store())
    parts = ServingDependencies(
        feed=context.closing(feed),
        control=context.control_log(attested.note),
        fleet=context.fleet,
        clock=context.clock,
        answerer=answerer,
        follower=GenerationFollower(attested, swap, catalogue, keep=KEPT_WARM),
        server=Server(context.edges(), answerer),
    )
    return ServingWorker(
        parts,
        context.identity(),
        context.stop,
        batch_users=USERS_AT_ONCE,
        refresh_s=STATISTICS_REFRESH_S,
    )


def list_answerer(context: WorkerContext) -> ListAnswerer:
    """What makes ranking's lists, by the settings."""
    serving = context.settings.serving
    return ListAnswerer(
        context.edges(),
        Mirror(context.store, context.partitions),
        worker_id=context.worker_id,
        k=serving.k,
        exploration=Exploration(serving.explore),
        explainer=explainer(context.settings, context.redis),
    )


def explainer(settings: Settings, redis: Redis) -> Explainer:
    """Reasons for every item; explanations kept as long, and as many, as the settings say."""
    keep_s = settings.serving.explain_s
    if not keep_s:
        return Explainer()
    return Explainer(clients.explanations(settings, redis))
