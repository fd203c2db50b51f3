"""What watches released generations in the trainer's process, put together."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from streamrec.apps import clients
from streamrec.apps.process import patiently
from streamrec.apps.rights import watches_outcomes
from streamrec.apps.worker_context import WorkerContext
from streamrec.core.release.live_metric import JoinRules, LiveMetric
from streamrec.core.release.registry import RegistryState
from streamrec.core.release.sequential_test import TestRules
from streamrec.core.release.service_levels import LevelRules
from streamrec.infra.wire.follower import Follower
from streamrec.loop.background import Background
from streamrec.loop.releasing.canary_rollout import CanaryRollout, CanaryRolloutRules
from streamrec.loop.releasing.click_guard import ACTOR as CLICK_ACTOR
from streamrec.loop.releasing.click_guard import LOOK_EVERY_S as CLICK_EVERY_S
from streamrec.loop.releasing.click_guard import ClickGuard
from streamrec.loop.releasing.guard import ACTOR, Guard, GuardRules
from streamrec.loop.releasing.guard import LOOK_EVERY_S as GUARD_EVERY_S
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


def desk_of(
    context: WorkerContext, actor: str, *, tryout: CanaryRollout | None = None
) -> ReleaseService:
    """A desk for one more thread, with a control log of its own."""
    return ReleaseService(
        context.control_log(),
        context.fleet,
        context.registry_store(),
        context.clock,
        actor,
        stage_timeout_s=context.settings.trainer.swap_timeout_s,
        sleep=context.pause,
        tryout=tryout,
    )


def live(context: WorkerContext, state: Callable[[], RegistryState]) -> Live:
    """The watchers that these settings want. ``state``: the registry, from any thread."""
    watchers = [guard(context)] if context.settings.guard.watch_s else []
    outcomes = _outcomes(context) if watches_outcomes(context.settings) else None
    if outcomes is not None:
        board = clients.live_board(context.settings, context.redis, context.task)
        rules = verdict_rules(context.settings)
        watch = LiveWatch(outcomes, state, board, context.clock, rules)
        watchers += [
            Background("outcomes", outcomes.listen, 0.0, context.stop),
            Background("live", watch.report, REPORT_EVERY_S, context.stop),
        ]
        if context.settings.guard.click_drop:
            watchers.append(click_guard(context, outcomes))
    return Live(outcomes, tuple(watchers))


def tryout(context: WorkerContext, outcomes: Outcomes | None) -> CanaryRollout | None:
    """None where canaries are not wanted."""
    canary = context.settings.canary
    if outcomes is None or not canary.share:
        return None
    rules = CanaryRolloutRules(
        share=canary.share,
        max_s=canary.max_s,
        test=verdict_rules(context.settings),
        levels=level_rules(context.settings),
    )
    return CanaryRollout(outcomes, context.fleet, context.clock, context.pause, rules)


def guard(context: WorkerContext) -> Background:
    settings, desk = context.settings, desk_of(context, ACTOR)
    rules = GuardRules(watch_s=settings.guard.watch_s, levels=level_rules(settings))
    watching = Guard(desk.state, desk.rollback, context.fleet, context.clock, rules)
    return Background("guard", watching.look, GUARD_EVERY_S, context.stop)


def click_guard(context: WorkerContext, outcomes: Outcomes) -> Background:
    settings, desk = context.settings, desk_of(context, CLICK_ACTOR)
    rules = replace(verdict_rules(settings), harm=settings.guard.click_drop)
    watching = ClickGuard(
        desk.state,
        desk.rollback,
        outcomes.rate,
        context.clock,
        rules,
        watch_s=settings.guard.watch_s,
    )
    return Background("click-guard", watching.look, CLICK_EVERY_S, context.stop)


def verdict_rules(settings: Settings) -> TestRules:
    """Settings as the test wants them."""
    canary = settings.canary
    return TestRules(harm=canary.harm, least_lists=canary.min_lists)


def level_rules(settings: Settings) -> LevelRules:
    """Settings as service levels want them."""
    guarded = settings.guard
    return LevelRules(guarded.max_latency_ms, guarded.max_empty_ratio)


def _outcomes(context: WorkerContext) -> Outcomes | None:
    """None: told to stop while Kafka was away."""
    settings = context.settings
    make = partial(
        Follower, settings.kafka, clients.codec(settings), TOPICS, f"{context.worker_id}-outcomes"
    )
    follower = patiently(make, context.stop)
    if follower is None:
        return None
    context.closing(follower)
    canary = settings.canary
    rules = JoinRules(window_ms=int(canary.window_s * 1000), shown_only=canary.shown_only)
    return Outcomes(follower, LiveMetric(rules), context.clock)
