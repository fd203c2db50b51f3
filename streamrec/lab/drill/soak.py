"""The soak drill in its order: does anything grow that should stand still?

1. Start servers and workers on a fresh state directory; load the catalogue.
2. Send a steady stream in which items and people come and go (``lab.drill.soak_world``). A day of
   event time passes in a quarter of an hour: users, statistics and ids of events that are kept for
   so long are let go of while it runs.
3. Meanwhile measure: memory of every process and of Redis, latency, freshness, what waits.
4. Compare the time after a warm-up with the end (``lab.measures.soak_check``).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from streamrec.apps import clients
from streamrec.apps.local_loop import LocalLoop, ProcessCounts
from streamrec.apps.status import Observer
from streamrec.core import topics
from streamrec.errors import Unavailable
from streamrec.infra.clock import SystemClock
from streamrec.infra.wire.follower import Follower
from streamrec.lab.demo.memory import MEGABYTE, memory_mb
from streamrec.lab.demo.ready import Readiness
from streamrec.lab.demo.waiting import insist_on, wait_for
from streamrec.lab.demo.watcher import FOLLOWED, Watcher, manifest_offsets
from streamrec.lab.drill.own_loop import drill_loop, drill_settings
from streamrec.lab.drill.sender import Sender
from streamrec.lab.drill.soak_report import SoakFacts, progress, report
from streamrec.lab.drill.soak_world import SoakWorld, WorldSize
from streamrec.lab.measures.soak_check import SoakSample
from streamrec.settings import Settings

READY_WITHIN_S = 600.0
DAY_MS = 86_400_000
SPEED = 96
"""Event time passes so much faster than ours: a day in a quarter of an hour."""
REPEAT_DAYS = 1.0
"""Ids of events are kept for so long; less cannot be set."""
LIVES = 16
"""So many items stand in each place of the catalogue, one after the other."""
SHORTEST_LIFE_S = 60.0
KEPT_LIVES = 2.0
"""A person of whom nothing is heard for so long is forgotten."""
WINDOW_S = 10.0
"""Time, ours, that a view waits for its click."""
SAMPLES = 240
SAYINGS = 30
"""Lines of progress in all; not more than one in ten seconds."""
SHORTEST_SAMPLE_S, SHORTEST_SAY_S = 1.0, 10.0
LOOK_S = 0.2
LAST_S = 60.0
"""So long is waited for a first list, where there was none."""


@dataclass(frozen=True, slots=True)
class SoakOptions:
    """What can be chosen on the command line."""

    minutes: float = 60.0
    rate: float = 20.0
    seed: int = 0
    items: int = 400
    processes: ProcessCounts = ProcessCounts()


class FastClock:
    """Event time: it passes at ``SPEED``, and arrives at ours after so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._begun_s = time.monotonic()
        self._begin_ms = SystemClock().now_ms() - round(seconds * 1000 * SPEED)

    def start(self) -> None:
        self._begun_s = time.monotonic()

    def now_ms(self) -> int:
        return self._begin_ms + round((time.monotonic() - self._begun_s) * 1000 * SPEED)


def life_ms(minutes: float) -> int:
    """How long an item and a person stay in a drill of so many minutes, in event time."""
    return round(max(SHORTEST_LIFE_S, minutes * 60 / LIVES) * 1000 * SPEED)


def soak_settings(given: Settings, minutes: float) -> Settings:
    """As for other drills; what is kept for days goes within the drill."""
    settings = drill_settings(given)
    keep_days = KEPT_LIVES * life_ms(minutes) / DAY_MS
    explain_s = min(settings.serving.explain_s, minutes * 60 / LIVES)
    return replace(
        settings,
        state=replace(settings.state, repeat_days=REPEAT_DAYS, keep_days=keep_days),
        ingest=replace(settings.ingest, attribution_window_s=WINDOW_S * SPEED),
        serving=replace(settings.serving, explain_s=explain_s),
    )


def files_mb(state_dir: Path) -> float:
    """On disk, of all but logs and embedded servers; files and folders go while they are read."""
    size = 0
    for folder, inner, names in os.walk(state_dir):
        inner[:] = [name for name in inner if name not in {"logs", "embedded"}]
        for name in names:
            with suppress(OSError):
                size += Path(folder, name).stat().st_size
    return size / MEGABYTE


def run_soak_drill(
    given: Settings, options: SoakOptions, say: Callable[[str], None]
) -> dict[str, Any]:
    """Do it all; the report, JSON-able.

    Raises UserError or Unavailable when it cannot start.
    """
    settings = soak_settings(given, options.minutes)
    with drill_loop(given, settings, options.processes, say) as (loop, stack):
        return SoakDrill(loop, options, say, stack).perform()


class SoakDrill:
    """One drill on a loop that has been started."""

    def __init__(
        self, loop: LocalLoop, options: SoakOptions, say: Callable[[str], None], stack: ExitStack
    ) -> None:
        """``stack`` closes what the drill looks with, before the loop is stopped."""
        self._loop, self._options, self._say = loop, options, say
        self._settings, self._seconds = loop.settings, options.minutes * 60
        self._clock, self._event_clock = SystemClock(), FastClock(self._seconds)
        codec = clients.codec(self._settings)
        size = WorldSize(items=options.items, life_ms=life_ms(options.minutes))
        self._world = SoakWorld(options.seed, codec, size, self._event_clock.now_ms)
        self._publisher = clients.publisher(self._settings, "streamrec-drill")
        stack.callback(self._publisher.close)
        self._sender = Sender(self._world, self._publisher, options.rate)
        self._observer = stack.enter_context(Observer(self._settings))
        follower = stack.enter_context(
            Follower(self._settings.kafka, codec, FOLLOWED, "streamrec-drill")
        )
        self._watcher = Watcher(follower, manifest_offsets(clients.registry_store(self._settings)))
        self._samples: list[SoakSample] = []
        self._latencies = self._freshnesses = 0  # seen so far
        self._begun_s = time.monotonic()
        self._facts = SoakFacts(options.minutes, options.rate, options.seed, options.items)

    def perform(self) -> dict[str, Any]:
        """All of it; the report. A KeyboardInterrupt ends it early; what was seen is judged."""
        self._make_ready()
        try:
            self._soak()
        except KeyboardInterrupt:
            self._facts.interrupted = True
            self._say("interrupted; judging what was seen so far …")
        self._sender.stop()
        if not self._samples:  # a machine so busy that the time was over before the first
            self._sample()
        seen = self._watcher.loop
        wait_for(lambda: "" if seen.published else "lists", LAST_S, self._turn)
        self._note_facts()
        return report(self._samples, self._facts)

    def _make_ready(self) -> None:
        self._sender.send_now(self._world.catalogue())
        self._say(f"waiting for the workers; their logs are in {self._loop.log_dir}")
        readiness = Readiness(self._settings, self._options.processes, self._options.items)
        insist_on(readiness.missing, READY_WITHIN_S, self._turn)

    def _soak(self) -> None:
        self._say(
            f"{self._options.rate:g} messages a second for {self._options.minutes:g} minutes; a "
            f"day of event time passes in {DAY_MS / 60_000 / SPEED:g}; the first quarter is the "
            "warm-up"
        )
        self._event_clock.start()
        self._begun_s = time.monotonic()
        self._sender.start()
        sample_s = max(SHORTEST_SAMPLE_S, self._seconds / SAMPLES)
        say_s = max(SHORTEST_SAY_S, self._seconds / SAYINGS)
        sampled = said = 0
        while self._elapsed_s < self._seconds:
            self._turn()
            if self._elapsed_s >= (sampled + 1) * sample_s:
                sampled = int(self._elapsed_s // sample_s)
                self._sample()
            if self._samples and self._elapsed_s >= (said + 1) * say_s:
                said = int(self._elapsed_s // say_s)
                self._note_facts()
                self._say(progress(self._samples[-1], self._facts))

    def _turn(self) -> None:
        self._loop.watch()
        with suppress(Unavailable):
            self._watcher.poll(self._clock.now_ms(), LOOK_S)

    # -- measuring --------------------------------------------------------------------

    def _sample(self) -> None:
        """What can be measured now; of a server that is away for a moment, nothing."""
        values = {f"memory of {name}": memory_mb(pid) for name, pid in self._loop.pids().items()}
        values["files of registry and trainer"] = files_mb(self._settings.state_dir)
        with suppress(Unavailable):
            values |= self._outside()
        loop = self._watcher.loop
        latencies = loop.latency_ms[self._latencies :]
        freshnesses = loop.freshness_s[self._freshnesses :]
        self._latencies, self._freshnesses = len(loop.latency_ms), len(loop.freshness_s)
        if latencies:
            half, nearly_all = np.percentile(latencies, (50, 95))
            values |= {"latency, median": float(half), "latency, 95 %": float(nearly_all)}
        if freshnesses:
            values["freshness"] = median(freshnesses)
        self._samples.append(SoakSample(self._elapsed_s, values))

    def _outside(self) -> dict[str, float]:
        """Of Redis and of what waits. Raises Unavailable."""
        look = self._observer.look()
        behind = next(flow.lag for flow in look.flows if flow.topic == topics.EVENTS)
        values = {"events not applied yet": float(behind or 0)}
        if look.memory is not None:
            values["used by Redis"] = look.memory.used_bytes / MEGABYTE
            values["users in Redis"] = float(look.memory.users)
        return values

    def _note_facts(self) -> None:
        facts, loop, world = self._facts, self._watcher.loop, self._world
        facts.seconds = round(self._elapsed_s, 1)
        facts.sent = self._sender.sent.messages
        facts.items_removed, facts.people = world.gone, world.visitors
        facts.lists, facts.mixed = loop.published, loop.walk.mixed
        facts.dead_letters = loop.dead_letters
        facts.activated = len(loop.generations.activated)
        facts.died_by_themselves = self._loop.deaths

    @property
    def _elapsed_s(self) -> float:
        return time.monotonic() - self._begun_s


__all__ = ["SoakDrill", "SoakOptions", "run_soak_drill", "soak_settings"]
