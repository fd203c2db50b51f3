"""What watches released generations in the trainer's process, put together."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from streamrec.apps import clients
from streamrec.apps.process import retrying
from streamrec.apps.rights import watches_outcomes
from streamrec.apps.worker_context import WorkerContext
from streamrec.core.release.live_metric import JoinRules, LiveMetric
from streamrec.core.release.live_report import LiveReport
from streamrec.core.release.registry import RegistryState
from streamrec.core.release.sequential_test import TestRules
from streamrec.core.release.service_levels import LevelRules
from streamrec.infra.metrics.vitals import Vitals
from streamrec.infra.stores.live_board import RedisLiveBoard
from streamrec.infra.wire.follower import Follower
from streamrec.loop.background import Background
from streamrec.loop.releasing.canary_rollout import CanaryRollout, CanaryRolloutRules
from streamrec.loop.releasing.guard import (
    ACTOR,
    CLICK_ACTOR,
    LOOK_EVERY_S,
    ClickGuard,
    Guard,
    GuardRules,
)
from streamrec.loop.releasing.live_watch import REPORT_EVERY_S, LiveWatch
from streamrec.loop.releasing.outcomes import TOPICS, Outcomes
from streamrec.loop.releasing.release import ReleaseService
from streamrec.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Live:
    """``outcomes``: None when nobody needs them. ``watchers``: threads to be started."""

    outcomes: Outcomes | None
    watchers: tuple[Background, ...]


def release_service(
    context: WorkerContext, actor: str, *, rollout: CanaryRollout | None = None
) -> ReleaseService:
    """For one more thread, with a control log of its own."""
    return ReleaseService(
        context.control_log(),
        context.fleet,
        context.registry_store(),
        context.clock,
        actor,
        stage_timeout_s=context.settings.trainer.swap_timeout_s,
        sleep=context.pause,
        rollout=rollout,
        tracer=context.tracer,
    )


def live(context: WorkerContext, state: Callable[[], RegistryState], *, clicks: bool) -> Live:
    """The watchers that these settings want. ``state``: the registry, from any thread.

    ``clicks``: whether those on recommendations tell how good our generations are.
    """
    settings, stop = context.settings, context.stop
    guarded = settings.guard
    watchers = [guard(context)] if guarded.watch_s else []
    outcomes = _outcomes(context) if clicks and watches_outcomes(settings) else None
    if outcomes is not None:
        board = clients.live_board(settings, context.redis, context.task)
        put = partial(_put, board, context.vitals)
        watch = LiveWatch(outcomes, state, put, context.clock, verdict_rules(settings))
        watchers += [
            Background("outcomes", outcomes.listen, 0.0, stop),
            Background("live", watch.report, REPORT_EVERY_S, stop),
        ]
        if guarded.click_drop:
            watchers.append(click_guard(context, outcomes))
    return Live(outcomes, tuple(watchers))


def without_canary(settings: Settings, task: str) -> str:
    """Why a task whose lists nobody counts has no canary, where one is asked for; else empty."""
    if not settings.canary.share:
        return ""
    return (
        f"STREAMREC_CANARY_SHARE is ranking's: generations of {task} have no canary, their gate "
        "alone decides (docs/canary.md)"
    )


def _put(board: RedisLiveBoard, vitals: Vitals, report: LiveReport) -> None:
    vitals.live = report
    board.put(report)


def canary_rollout(context: WorkerContext, outcomes: Outcomes | None) -> CanaryRollout | None:
    """None where canaries are not wanted."""
    settings = context.settings
    canary = settings.canary
    if outcomes is None or not canary.share:
        return None
    rules = CanaryRolloutRules(
        share=canary.share,
        max_s=canary.max_s,
        test=verdict_rules(settings),
        levels=level_rules(settings),
    )
    return CanaryRollout(
        outcomes, context.fleet, context.clock, context.pause, rules, meter=context.meter
    )


def guard(context: WorkerContext) -> Background:
    settings, service = context.settings, release_service(context, ACTOR)
    rules = GuardRules(watch_s=settings.guard.watch_s, levels=level_rules(settings))
    watching = Guard(service.state, service.rollback, context.fleet, context.clock, rules)
    return Background("guard", watching.look, LOOK_EVERY_S, context.stop)


def click_guard(context: WorkerContext, outcomes: Outcomes) -> Background:
    settings, service = context.settings, release_service(context, CLICK_ACTOR)
    given = settings.guard
    watching = ClickGuard(
        service.state,
        service.rollback,
        outcomes.rate,
        context.clock,
        replace(verdict_rules(settings), harm=given.click_drop),
        watch_s=given.watch_s,
    )
    return Background("click-guard", watching.look, LOOK_EVERY_S, context.stop)


def verdict_rules(settings: Settings) -> TestRules:
    """Settings as the test wants them."""
    canary = settings.canary
    return TestRules(harm=canary.harm, min_lists=canary.min_lists)


def level_rules(settings: Settings) -> LevelRules:
    """Settings as service levels want them."""
    guarded = settings.guard
    return LevelRules(guarded.max_latency_ms, guarded.max_empty_ratio)


def _outcomes(context: WorkerContext) -> Outcomes | None:
    """None: told to stop while Kafka was unavailable."""
    settings = context.settings
    make = partial(
        Follower, settings.kafka, clients.codec(settings), TOPICS, f"{context.worker_id}-outcomes"
    )
    follower = retrying(make, context.stop)
    if follower is None:
        return None
    context.stack.callback(follower.close)
    canary = settings.canary
    rules = JoinRules(window_ms=int(canary.window_s * 1000), shown_only=canary.shown_only)
    return Outcomes(follower.poll, LiveMetric(rules), context.clock)
