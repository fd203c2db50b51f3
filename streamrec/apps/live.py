"""What watches released generations in the trainer's process, put together."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from streamrec.apps import clients
from streamrec.apps.process import patiently
from streamrec.apps.rights import watches_outcomes
from streamrec.apps.worker_context import Surroundings
from streamrec.core.release.live_metric import JoinRules, LiveMetric
from streamrec.core.release.registry import RegistryState
from streamrec.core.release.sequential_test import TestRules
from streamrec.core.release.service_levels import LevelRules
from streamrec.infra.stores.live_board import RedisLiveBoard
from streamrec.infra.wire.follower import Follower
from streamrec.loop.background import Background
from streamrec.loop.releasing.canary_rollout import Tryout, TryoutRules
from streamrec.loop.releasing.click_guard import ACTOR as CLICK_ACTOR
from streamrec.loop.releasing.click_guard import LOOK_EVERY_S as CLICK_EVERY_S
from streamrec.loop.releasing.click_guard import ClickGuard
from streamrec.loop.releasing.guard import ACTOR, Guard, GuardRules
from streamrec.loop.releasing.guard import LOOK_EVERY_S as GUARD_EVERY_S
from streamrec.loop.releasing.live_watch import REPORT_EVERY_S, LiveWatch
from streamrec.loop.releasing.outcomes import TOPICS, Outcomes
from streamrec.loop.releasing.release import ReleaseDesk
from streamrec.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Live:
    """``outcomes``: None when nobody needs them. ``watchers``: threads to be started."""

    outcomes: Outcomes | None
    watchers: tuple[Background, ...]


def desk_of(around: Surroundings, actor: str, *, tryout: Tryout | None = None) -> ReleaseDesk:
    """A desk for one more thread, with a control log of its own."""
    return ReleaseDesk(
        around.control_log(),
        around.fleet,
        clients.registry_store(around.settings),
        around.clock,
        actor,
        stage_timeout_s=around.settings.trainer.stage_timeout_s,
        sleep=around.pause,
        tryout=tryout,
    )


def live(around: Surroundings, state: Callable[[], RegistryState]) -> Live:
    """The watchers that these settings want. ``state``: the registry, from any thread."""
    watchers = [guard(around)] if around.settings.guard.looks else []
    outcomes = _outcomes(around) if watches_outcomes(around.settings) else None
    if outcomes is not None:
        board = RedisLiveBoard(around.redis, around.settings.redis.key_prefix)
        rules = verdict_rules(around.settings)
        watch = LiveWatch(outcomes, state, board, around.clock, rules)
        watchers += [
            Background("outcomes", outcomes.listen, 0.0, around.stop),
            Background("live", watch.report, REPORT_EVERY_S, around.stop),
        ]
        if around.settings.guard.click_drop:
            watchers.append(click_guard(around, outcomes))
    return Live(outcomes, tuple(watchers))


def tryout(around: Surroundings, outcomes: Outcomes | None) -> Tryout | None:
    """None where canaries are not wanted."""
    canary = around.settings.canary
    if outcomes is None or not canary.share:
        return None
    rules = TryoutRules(
        share=canary.share,
        min_s=canary.min_s,
        max_s=canary.max_s,
        looks=around.settings.guard.looks,
        test=verdict_rules(around.settings),
        levels=level_rules(around.settings),
    )
    return Tryout(outcomes, around.fleet, around.clock, around.pause, rules)


def guard(around: Surroundings) -> Background:
    settings, desk = around.settings, desk_of(around, ACTOR)
    rules = GuardRules(settings.guard.looks, settings.guard.watch_s, level_rules(settings))
    watching = Guard(desk.state, desk.rollback, around.fleet, around.clock, rules)
    return Background("guard", watching.look, GUARD_EVERY_S, around.stop)


def click_guard(around: Surroundings, outcomes: Outcomes) -> Background:
    settings, desk = around.settings, desk_of(around, CLICK_ACTOR)
    rules = replace(verdict_rules(settings), harm=settings.guard.click_drop)
    watching = ClickGuard(
        desk.state,
        desk.rollback,
        outcomes.rate,
        around.clock,
        rules,
        watch_s=settings.guard.watch_s,
    )
    return Background("click-guard", watching.look, CLICK_EVERY_S, around.stop)


def verdict_rules(settings: Settings) -> TestRules:
    """Settings as the test wants them."""
    canary = settings.canary
    return TestRules(alpha=canary.alpha, harm=canary.harm, least_lists=canary.min_lists)


def level_rules(settings: Settings) -> LevelRules:
    """Settings as service levels want them."""
    guarded = settings.guard
    return LevelRules(
        guarded.max_latency_ms,
        guarded.max_empty_ratio,
        guarded.max_fault_ratio,
        guarded.min_lists,
    )


def _outcomes(around: Surroundings) -> Outcomes | None:
    """None: told to stop while Kafka was away."""
    settings = around.settings
    make = partial(
        Follower, settings.kafka, clients.codec(settings), TOPICS, f"{around.worker_id}-outcomes"
    )
    follower = patiently(make, around.stop)
    if follower is None:
        return None
    around.closing(follower)
    canary = settings.canary
    rules = JoinRules(
        window_ms=int(canary.window_s * 1000),
        user_lists=canary.user_lists,
        shown_only=canary.shown_only,
    )
    return Outcomes(follower, LiveMetric(rules), around.clock)
