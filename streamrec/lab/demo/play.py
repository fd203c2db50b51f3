"""The acts of the demo, in their order.

1. Fetch the data set; start servers and workers on a fresh state directory.
2. Load the catalogue and wait until every worker is ready.
3. Play the stream at a steady rate while the loop learns.
4. Three quarters through, roll the champion back and bring it forward again, the way an
   operator does it from the command line.
5. Let the workers finish what is on the topics; ask one question, and be answered in words.
6. Write the summary, stop everything.

On configured servers the demo keeps to topics and keys of its own and removes them at the
end.
"""

from __future__ import annotations

import os
import time
import uuid
import webbrowser
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import Any

from streamrec.apps import access, clients
from streamrec.apps.local_loop import LocalLoop, ProcessCounts, empty
from streamrec.core.measures.time_order import HELD_BACK_MS
from streamrec.errors import Unavailable
from streamrec.infra.clock import SystemClock
from streamrec.infra.http.server import free_port
from streamrec.infra.stores.datasets import ClickStream, movielens_100k
from streamrec.infra.wire.follower import Follower
from streamrec.lab.demo.asking import asked
from streamrec.lab.demo.cleaning import remove_traces
from streamrec.lab.demo.memory import PeakMemory
from streamrec.lab.demo.panel import Panels
from streamrec.lab.demo.player import Player
from streamrec.lab.demo.ready import Readiness, load_catalogue
from streamrec.lab.demo.rollback import RollbackTimes, show_rollback
from streamrec.lab.demo.screen import Screen
from streamrec.lab.demo.summary import DemoFacts, summarize
from streamrec.lab.demo.swaps import SwapPauses
from streamrec.lab.demo.waiting import insist_on, wait_for
from streamrec.lab.demo.watcher import FOLLOWED, Watcher, manifest_offsets
from streamrec.settings import Settings

READY_WITHIN_S = 120.0
DRAIN_WITHIN_S = 20.0
ROLLBACK_AT = 0.75
"""Share of the play after which the champion is rolled back and brought forward."""
LOOK_S = 0.05
WAITING_LOOK_S = 0.25
"""While there is nothing to see yet: looking takes time from those who import and encode."""
TICK_S = 1.0


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What can be chosen on the command line."""

    seconds: float = 120.0
    rate: float = 100.0
    processes: ProcessCounts = ProcessCounts()
    opens_page: bool = False  # in the browser of this host, once everything is ready


def demo_settings(given: Settings) -> Settings:
    """The given settings on a fresh state directory, with names that are nobody else's."""
    threads = given.encoder.threads or max(1, (os.cpu_count() or 2) // 2)
    token = f"streamrec-demo-{uuid.uuid4().hex[:8]}"
    kafka, redis = given.kafka, given.redis
    port = free_port(given.gateway.host, given.gateway.port)
    return replace(
        given,
        state_dir=given.state_dir / "demo",
        gateway=replace(given.gateway, port=port, keys_file=""),
        encoder=replace(given.encoder, threads=threads),
        kafka=replace(kafka, topic_prefix=f"{token}.") if kafka.bootstrap else kafka,
        redis=replace(redis, key_prefix=token) if redis.url else redis,
    )


def run_demo(given: Settings, options: DemoOptions, screen: Screen) -> dict[str, Any]:
    """Play it all; the summary (``lab.demo.summary``).

    A KeyboardInterrupt during the play ends it early, with a summary of what was seen.
    Raises UserError or Unavailable when it cannot start.
    """
    started_s = time.monotonic()
    settings = demo_settings(given)
    loop = LocalLoop(settings, options.processes, screen.say)  # imports while the stream is read
    stream = movielens_100k(given.state_dir / "datasets", screen.say)
    screen.say(
        f"{stream.name} from {stream.origin}: {len(stream.items):,} films, "
        f"{len(stream.interactions):,} ratings (4 and 5 are clicks, the others views)"
    )
    empty(settings.state_dir)
    page = _page(loop) if options.processes.gateway else ""
    with loop:
        try:
            with Play(loop, stream, options, screen, started_s, page=page) as play:
                return play.perform()
        finally:
            remove_traces(given, loop.settings, screen.say)


def _page(loop: LocalLoop) -> str:
    """Its address, with a key for this demo alone in the fragment, which no server is told."""
    settings = loop.settings
    wanted = access.NewKey("demo", ("admin",))
    _, secret = access.make(settings, access.path(settings), wanted)
    return f"{loop.address}/#key={secret}"


class Play:
    """One run of the demo on a loop that has been started. A context manager."""

    def __init__(
        self,
        loop: LocalLoop,
        stream: ClickStream,
        options: DemoOptions,
        screen: Screen,
        started_s: float,
        *,
        page: str = "",
    ) -> None:
        """``started_s``: monotonic time at which the person pressed enter."""
        self._page = page
        self._loop = loop
        self._settings = loop.settings
        self._stream = stream
        self._options = options
        self._screen = screen
        self._started_s = started_s
        self._started_ms = SystemClock().now_ms() - round((time.monotonic() - started_s) * 1000)
        self._ticked_s = 0.0
        self._clock = SystemClock()
        self._codec = clients.codec(self._settings)
        self._memory = PeakMemory()
        self._pauses = SwapPauses()
        self._facts = DemoFacts(dataset=stream.name, rate=options.rate, page=page.partition("#")[0])

    def __enter__(self) -> Play:
        with ExitStack() as stack:
            self._publisher = clients.publisher(self._settings, "streamrec-demo")
            stack.callback(self._publisher.close)
            redis = stack.enter_context(clients.redis(self._settings))
            self._fleet = clients.fleet(self._settings, redis)
            follower = stack.enter_context(
                Follower(self._settings.kafka, self._codec, FOLLOWED, "streamrec-demo")
            )
            offsets = manifest_offsets(clients.registry_store(self._settings))
            self._watcher = Watcher(follower, offsets)
            self._panels = Panels(self._watcher, f"streamrec demo · {self._stream.name}")
            self._executor = stack.enter_context(ThreadPoolExecutor(1))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def perform(self) -> dict[str, Any]:
        """All acts; the summary."""
        try:
            self._load_catalogue()
            self._await_workers()
            with self._screen:
                self._play()
                self._drain()
            processes = self._options.processes
            if processes.replies:
                self._facts.asked = asked(self._settings, self._player_of_last())
        except KeyboardInterrupt:
            self._facts.interrupted = True
            self._screen.say("interrupted; stopping …")
        self._watcher.release(self._clock.now_ms())
        self._facts.worker_restarts = self._loop.deaths
        self._facts.swap_pauses_ms = self._pauses.pauses_ms
        self._facts.freshness_parts_s = self._pauses.parts_s
        first_ms = self._watcher.loop.first_recommendation_ms
        if first_ms is not None:
            self._facts.first_recommendation_after_s = (first_ms - self._started_ms) / 1000
        return summarize(self._watcher.loop, self._memory, self._facts)

    def _load_catalogue(self) -> None:
        load_catalogue(self._stream.items, self._codec, self._publisher)
        self._screen.say(f"{len(self._stream.items):,} films sent to the topic items")

    def _await_workers(self) -> None:
        """Raises Unavailable when they are not ready in time."""
        self._screen.say(f"waiting for the workers; their logs are in {self._loop.log_dir}")
        readiness = Readiness(self._settings, self._options.processes, len(self._stream.items))
        insist_on(readiness.missing, READY_WITHIN_S, self._look_seldom)
        self._facts.ready_after_s = time.monotonic() - self._started_s
        self._screen.say(f"everything is ready after {self._facts.ready_after_s:.0f} s")
        if self._page:
            self._screen.say(f"watch it, ask it and operate it here: {self._page}")
        if self._page and self._options.opens_page:
            webbrowser.open(self._page)

    def _play(self) -> None:
        options = self._options
        wanted = int(options.seconds * options.rate)
        player = Player(
            self._stream.interactions[:wanted], self._codec, self._publisher, options.rate
        )
        rollback: Future[RollbackTimes] | None = None
        begun_s = time.monotonic()
        self._panels.act = "playing"
        while (elapsed_s := time.monotonic() - begun_s) < options.seconds and not player.finished:
            player.play(elapsed_s)
            if rollback is None and elapsed_s > ROLLBACK_AT * options.seconds:
                self._panels.act = "playing; rolling the champion back and forward"
                rollback = self._executor.submit(show_rollback, self._settings, self._screen.say)
            if rollback is not None and rollback.done():
                self._panels.act = "playing"
            self._facts.played_s = time.monotonic() - begun_s
            self._look()
        if rollback is not None:
            self._note(rollback.result())

    def _player_of_last(self) -> str:
        """Somebody whom the loop knows."""
        played = int(self._facts.played_s * self._options.rate)
        return self._stream.interactions[max(0, played // 2)].user_id

    def _note(self, times: RollbackTimes) -> None:
        self._facts.rollback_ms = times.back_ms
        self._facts.forward_ms = times.forward_ms
        self._facts.rolled_back_from = times.undone

    def _drain(self) -> None:
        """Let the workers finish what is on the topics."""
        self._panels.act = "finishing"
        settled_s = time.monotonic() + 2 * HELD_BACK_MS / 1000

        def left() -> str:
            loop = self._watcher.loop
            done = loop.applied + loop.dead_letters >= loop.produced
            return "" if done and time.monotonic() > settled_s else "events"

        wait_for(left, DRAIN_WITHIN_S, self._look)

    def _look(self) -> None:
        self._tick()
        self._watch(LOOK_S)

    def _look_seldom(self) -> None:
        time.sleep(WAITING_LOOK_S)
        self._tick()
        self._watch(0.0)

    def _watch(self, wait_s: float) -> None:
        self._watcher.poll(self._clock.now_ms(), wait_s)
        elapsed_s = time.monotonic() - self._started_s
        self._panels.tick(elapsed_s)
        if self._facts.ready_after_s is not None and self._screen.due(elapsed_s):
            self._screen.show(self._panels.panel(), self._panels.line())

    def _tick(self) -> None:
        """Once a second: restarts and swaps; memory once the loop is ready."""
        if time.monotonic() - self._ticked_s < TICK_S:
            return
        self._ticked_s = time.monotonic()
        self._loop.watch()
        if self._facts.ready_after_s is not None:
            self._memory.sample({"demo": os.getpid()} | self._loop.pids())
        with suppress(Unavailable):  # Redis is away for a moment: the next look will do
            self._pauses.sample(self._fleet.workers())
