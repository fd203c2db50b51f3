"""The serving worker: answers triggers, follows the control log, tells the fleet.

Knows what happens in which thread and what waits for what. Does not know Kafka, Redis or
torch; every part it is made of can be a fake.

    this thread   flip if due, poll, answer, commit: the only one that swaps or answers
    control       follows the control log
    loader        loads generations, encodes new and changed items
    mirror        catalogue and statistics
    beat          tells the fleet, about once a second and at every change

Until there is a catalogue mirror and a first generation, nothing is polled and so nothing
can be lost. A micro-batch that fails because Kafka or Redis is away is answered again. So is one
that the champion fails at, whoever asks: that counts against its service level, and is retried
until the guard or a person has taken the champion back. After ``MAX_FAILURE_S`` the worker ends.

With more to do than time, requests come before updates, an update that a later one of its user
stands for is passed over, and what is older than ``max_age_s`` is counted and not answered
(docs/adr/0159).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from streamrec.errors import GenerationFailed, Unavailable
from streamrec.loop.background import Background, running
from streamrec.loop.releasing.levels import LevelGauge
from streamrec.loop.serving.gauges import ServingGauges
from streamrec.loop.serving.generation_follower import GenerationFollower
from streamrec.loop.serving.poison_pill import PoisonMessageIsolation
from streamrec.loop.serving.serve import Server
from streamrec.loop.serving.staleness import StaleTriggers
from streamrec.ports import (
    LAG,
    Answerer,
    Clock,
    ControlLog,
    Counted,
    Delivered,
    Fleet,
    Meter,
    TriggerFeed,
    WorkerStatus,
)

log = logging.getLogger(__name__)

POLL_S = 0.05
"""A flip waits for this poll to end when nothing comes in."""
CONTROL_POLL_S = 0.2
LOAD_EVERY_S = 0.5
BEAT_EVERY_S = 1.0
SAY_EVERY_S = 30.0
MAX_FAILURE_S = 60.0
FAILED_RETRY_S = 0.25
"""Also with one message at a time there are enough faults for a guard to act on."""


@dataclass(frozen=True, slots=True)
class ServingDependencies:
    """What a serving worker is made of."""

    feed: TriggerFeed
    control: ControlLog
    fleet: Fleet
    clock: Clock
    answerer: Answerer
    follower: GenerationFollower
    server: Server
    turned: Callable[[], object] = lambda: None  # called whenever the main loop comes round
    meter: Meter = Meter()
    gauges: Callable[[], Mapping[str, float]] = dict  # what more is told


class ServingWorker:
    """Runs until ``stop`` is set. ``identity``: id, role, host, pid and start, for the fleet."""

    def __init__(
        self,
        parts: ServingDependencies,
        identity: WorkerStatus,
        stop: threading.Event,
        *,
        batch_users: int,
        refresh_s: float,
        max_age_s: float = 0.0,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._feed, self._control, self._fleet = parts.feed, parts.control, parts.fleet
        self._clock, self._answerer = parts.clock, parts.answerer
        self._follower, self._turned = parts.follower, parts.turned
        self._identity = identity
        self._stop = stop
        self._isolation = PoisonMessageIsolation(parts.server)
        self._batch_users = batch_users
        self._stale = StaleTriggers(max_age_s, batch_users)
        self._timer = timer
        self._meter, self._more = parts.meter, parts.gauges
        self._gauges = ServingGauges(identity.started_at_ms, parts.meter)
        self._levels = LevelGauge()
        self._lag: Mapping[str, int] = {}
        self._refreshed_ms = identity.started_at_ms
        self._said_s = -SAY_EVERY_S
        self._failing: tuple[str, float] | None = None  # generation, since when (s)
        self._mirrored = threading.Event()
        self._beat_thread = Background("beat", self._beat, BEAT_EVERY_S, stop)
        self._loader = Background("loader", self._load, LOAD_EVERY_S, stop)
        self._follower.on_change(self._beat_thread.wake)
        self._threads = (
            self._beat_thread,
            self._loader,
            Background("mirror", self._refresh, refresh_s, stop),
            Background("control", self._follow, 0.0, stop),
        )

    def run(self) -> None:
        """Serve until told to stop, then leave the fleet. Raises what ended a thread early."""
        try:
            with running(self._stop, *self._threads):
                while not self._stop.is_set():
                    self._turn()
        finally:
            self._fleet.leave(self._identity.worker_id)

    def _turn(self) -> None:
        """Flip if due, then one micro-batch, or a short wait for one."""
        self._turned()
        self._flip()
        try:
            if self._follower.active is None:
                self._wait_for_generation()
                return
            batch = self._feed.poll(POLL_S, self._batch_users)
        except Unavailable as error:
            log.warning("%s; waiting", error)
            self._stop.wait(error.retry_after_s)
            return
        if batch:  # from here on it is ours to answer, whatever else fails
            fresh, stale = self._stale.split(batch, self._clock.now_ms())
            self._gauges.too_old(stale)
            self._answer(fresh)
        self._measure_lag()

    def _answer(self, batch: list[Delivered]) -> None:
        """Answer and commit, again and again until that works. Raises GenerationFailed."""
        away = False
        while not self._stop.is_set():
            self._turned()
            self._flip()
            model = self._follower.active
            assert model is not None  # noqa: S101 - polled only once there is one
            try:
                with self._meter.timed("list"):
                    served = self._isolation.serve(batch, model, self._follower.canary)
                now_ms = self._clock.now_ms()
                self._gauges.served(served, now_ms)
                self._levels.served(served, now_ms)
                self._feed.commit()
            except Unavailable as error:
                if not away:
                    log.warning("%s; %d messages wait for it", error, len(batch))
                away = True
                self._stay(error.retry_after_s)
            except GenerationFailed as error:
                self._retry_later(error, len(batch))
            else:
                self._failing = None
                if away:
                    log.info("back; %d messages answered", len(batch))
                return

    def _retry_later(self, error: GenerationFailed, lists: int) -> None:
        """Count it and wait a little; raises ``error`` when that has gone on for too long."""
        now_s = self._timer()
        if self._failing is None or self._failing[0] != error.generation:
            self._failing = error.generation, now_s
            log.error("%s; %d messages wait for another champion", error, lists, exc_info=error)
        if now_s - self._failing[1] > MAX_FAILURE_S:
            raise error
        self._levels.failed(error.generation, lists, self._clock.now_ms())
        self._meter.count(Counted.FAULTS, lists)
        self._stay(FAILED_RETRY_S)

    def _measure_lag(self) -> None:
        try:
            self._lag = self._feed.lag()
        except Unavailable as error:
            log.debug("lag: %s", error)

    def _stay(self, seconds: float) -> None:
        """Wait without falling out of the group, if Kafka can be reached at all."""
        try:
            self._feed.stay(seconds)
        except Unavailable:
            self._stop.wait(seconds)

    def _flip(self) -> None:
        start = self._timer()
        if self._follower.flip():
            self._gauges.swapped((self._timer() - start) * 1000)

    def _wait_for_generation(self) -> None:
        if self._timer() - self._said_s >= SAY_EVERY_S:
            self._said_s = self._timer()
            wanted = self._follower.wanted
            log.info(
                "waiting for %s; requests are kept until then",
                f"{wanted.champion} to be loaded" if wanted.champion else "a first generation",
            )
        self._feed.stay(POLL_S)

    def _follow(self) -> None:
        record = self._control.poll(CONTROL_POLL_S)
        if record is not None:
            self._follower.follow(record)
            self._loader.wake()

    def _load(self) -> None:
        if self._mirrored.is_set():
            self._follower.prepare()

    def _refresh(self) -> None:
        changed = self._answerer.refresh()
        first = not self._mirrored.is_set()
        self._refreshed_ms = self._clock.now_ms()
        self._mirrored.set()
        if changed or first:
            self._loader.wake()

    def _beat(self) -> None:
        now_ms = self._clock.now_ms()
        status = replace(
            self._identity,
            beat_at_ms=now_ms,
            gauges=self._measured(now_ms),
            levels=self._levels.read(now_ms),
            **self._follower.report(),
        )
        self._fleet.beat(status)

    def _measured(self, now_ms: int) -> Mapping[str, float]:
        return {
            **self._gauges.read(now_ms),
            "lag": sum(self._lag.values()),
            **{f"{LAG}{topic}": behind for topic, behind in self._lag.items()},
            "superseded": self._feed.superseded,
            "items": self._answerer.catalogue.live,
            "statistics_age_ms": now_ms - self._refreshed_ms,
            **self._more(),
        }
