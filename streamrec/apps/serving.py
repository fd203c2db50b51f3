"""The serving worker, put together. What it answers, with which model, is its task's to say."""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack
from dataclasses import replace

from streamrec.apps import clients
from streamrec.apps.process import stop_on_signals
from streamrec.apps.ranking import RankingTask
from streamrec.apps.worker_context import WorkerContext, worker_context
from streamrec.core.state.catalogue import Catalogue
from streamrec.infra.feeds.trigger_feed import KafkaTriggerFeed
from streamrec.infra.processes.telemetry import configure_logging
from streamrec.loop.background import running
from streamrec.loop.releasing.attested import AttestedStore
from streamrec.loop.releasing.fleet_watch import SERVING
from streamrec.loop.serving.generation_follower import GenerationFollower
from streamrec.loop.serving.serve import Server
from streamrec.loop.serving.serving_worker import ServingDependencies, ServingWorker
from streamrec.loop.serving.task_follower import TaskFollower
from streamrec.ports import HotSwap, Serving, Task
from streamrec.settings import Settings

log = logging.getLogger(__name__)

USERS_AT_ONCE = 64
STATISTICS_REFRESH_S = 1.0
KEPT_WARM = 2
"""Generations beside the active one."""


def run(
    settings: Settings, worker_id: str, task: Task[WorkerContext, Settings] | None = None
) -> None:
    """Work until SIGTERM or SIGINT, then finish what is held and return. Without ``task``: ranking.

    Raises:
        EncoderUnavailable, SettingsError: the language model cannot be made.
        UserError: an impossible log level.
    """
    configure_logging(settings.log_level, worker_id, settings.log_format, SERVING)
    run_serving_worker(settings, worker_id, stop_on_signals(), task)


def run_serving_worker(
    settings: Settings,
    worker_id: str,
    stop: threading.Event,
    task: Task[WorkerContext, Settings] | None = None,
) -> None:
    """As ``run``, until ``stop`` is set: for a thread of somebody else's process."""
    task = task or RankingTask()
    with worker_context(settings, worker_id, SERVING, stop, task.examples.task) as context:
        if context is not None:
            given = task.serving(context)
            with ExitStack() as beside:
                for name, swap in given.beside.items():
                    _follow(context, beside, name, swap, given.answerer.catalogue)
                _worker(context, given).run()
    log.info("stopped")


def _follow(
    context: WorkerContext, stack: ExitStack, task: str, swap: HotSwap, catalogue: Catalogue
) -> None:
    """Follow another task's champion for as long as ``stack`` stays open."""
    settings, stop = context.settings, context.stop
    attested = AttestedStore(clients.registry_store(settings, task))
    control = clients.control_log(settings, attested.note, task=task)
    follower = TaskFollower(
        stack.enter_context(control),
        clients.fleet(settings, context.redis, task),
        GenerationFollower(attested, swap, catalogue, keep=KEPT_WARM),
        clock=context.clock,
        identity=replace(context.identity(), task=task, worker_id=f"{context.worker_id}-{task}"),
        stop=stop,
    )
    stack.callback(follower.leave)
    stack.enter_context(running(stop, *follower.threads))


def _worker(context: WorkerContext, given: Serving) -> ServingWorker:
    settings = context.settings
    feed = KafkaTriggerFeed(
        settings.kafka, context.codec(), context.worker_id, context.task, topics=given.triggers
    )
    context.stack.callback(feed.close)
    attested = AttestedStore(context.registry_store())
    catalogue = given.answerer.catalogue
    parts = ServingDependencies(
        feed=feed,
        control=context.control_log(attested.note),
        fleet=context.fleet,
        clock=context.clock,
        answerer=given.answerer,
        follower=GenerationFollower(attested, given.swap, catalogue, keep=KEPT_WARM),
        server=Server(context.edges(), given.answerer),
        turned=context.vitals.turn,
        meter=context.meter,
        gauges=given.gauges,
    )
    return ServingWorker(
        parts,
        context.identity(),
        context.stop,
        batch_users=given.at_once or USERS_AT_ONCE,
        refresh_s=STATISTICS_REFRESH_S,
        max_age_s=0.0 if given.always else settings.serving.max_age_s,
    )
