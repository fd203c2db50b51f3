"""The acts of the demo that plays films, in their order.

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
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from streamrec.apps import access, clients
from streamrec.apps.local_loop import LocalLoop, empty
from streamrec.core.measures.time_order import HELD_BACK_MS
from streamrec.infra.http.server import free_port
from streamrec.infra.stores.datasets import ClickStream, movielens_100k
from streamrec.infra.wire.follower import Follower
from streamrec.lab.demo.asking import asked
from streamrec.lab.demo.cleaning import remove_traces
from streamrec.lab.demo.headlines import HeadlinePlay, headline_settings, tests_to_play
from streamrec.lab.demo.panel import Panels
from streamrec.lab.demo.player import Player
from streamrec.lab.demo.screen import Screen
from streamrec.lab.demo.stage import DemoOptions, Prepared, Stage
from streamrec.lab.demo.summary import DemoFacts, summarize
from streamrec.lab.demo.waiting import wait_for
from streamrec.lab.demo.watcher import FOLLOWED, Watcher, manifest_offsets
from streamrec.settings import Settings

DRAIN_WITHIN_S = 20.0


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
    """Play films; the summary (``lab.demo.summary``).

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
    prepared = Prepared(loop, options, screen, started_s)
    return _played(given, prepared, lambda prepared: Play(prepared, stream))


def run_headlines(
    given: Settings, options: DemoOptions, screen: Screen, data: Path | None
) -> dict[str, Any]:
    """Play headline tests, of ``data`` or of the archive's home; likewise."""
    started_s = time.monotonic()
    settings = headline_settings(demo_settings(given), options)
    tests = tests_to_play(given, data, screen)
    loop = LocalLoop(settings, options.processes, screen.say)
    prepared = Prepared(loop, options, screen, started_s)
    return _played(given, prepared, lambda prepared: HeadlinePlay(prepared, tests))


def _played(
    given: Settings, prepared: Prepared, stage: Callable[[Prepared], Stage]
) -> dict[str, Any]:
    """On a loop that is started for it, and leaves nothing behind."""
    loop, options = prepared.loop, prepared.options
    empty(loop.settings.state_dir)
    page = _page(loop) if options.processes.gateway else ""
    with loop:
        try:
            with stage(prepared._replace(page=page)) as play:
                return play.perform()
        finally:
            remove_traces(given, loop.settings, prepared.screen.say)


def _page(loop: LocalLoop) -> str:
    """Its address, with a key for this demo alone in the fragment, which no server is told."""
    settings = loop.settings
    wanted = access.NewKey("demo", ("admin",))
    _, secret = access.make(settings, access.path(settings), wanted)
    return f"{loop.address}/#key={secret}"


class Play(Stage):
    """One run of the demo on a loop that has been started."""

    def __init__(self, prepared: Prepared, stream: ClickStream) -> None:
        super().__init__(prepared)
        self._stream, options = stream, prepared.options
        address = prepared.page.partition("#")[0]
        self._facts = DemoFacts(dataset=stream.name, rate=options.rate, page=address)
        wanted = int(options.seconds * options.rate)
        self._interactions = stream.interactions[:wanted]

    def open(self, stack: ExitStack) -> None:
        follower = stack.enter_context(
            Follower(self.settings.kafka, self.codec, FOLLOWED, "streamrec-demo")
        )
        offsets = manifest_offsets(clients.registry_store(self.settings))
        self._watcher = Watcher(follower, offsets)
        self._panels = Panels(self._watcher, f"streamrec demo · {self._stream.name}")
        self._player = Player(self._interactions, self.codec, self.publisher, self.options.rate)

    def watch(self, wait_s: float) -> None:
        self._watcher.poll(self.clock.now_ms(), wait_s)
        self._panels.tick(time.monotonic() - self.pressed_s)

    def picture(self) -> tuple[RenderableType, str]:
        return self._panels.panel(), self._panels.line()

    def acts(self) -> None:
        self.await_workers(self._stream.items, "films")
        with self.screen:
            self.play(self._step, self._say_act)
            self._drain()
        options = self.options
        if options.processes.replies:
            self._facts.asked = asked(self.settings, self._player_of_last())

    def summary(self, *, interrupted: bool) -> dict[str, Any]:
        self._watcher.release(self.clock.now_ms())
        facts, back = self._facts, self.rolled_back
        facts.interrupted = interrupted
        facts.played_s, facts.ready_after_s = self.played_s, self.ready_after_s
        facts.rollback_ms, facts.forward_ms = back.back_ms, back.forward_ms
        facts.rolled_back_from = back.undone
        facts.worker_restarts = self.loop.deaths
        facts.swap_pauses_ms = self.pauses.pauses_ms
        facts.freshness_parts_s = self.pauses.parts_s
        watched = self._watcher.loop
        first_ms = watched.first_recommendation_ms
        if first_ms is not None:
            facts.first_recommendation_after_s = (first_ms - self.pressed_ms) / 1000
        return summarize(watched, self.memory, facts)

    def _say_act(self, act: str) -> None:
        self._panels.act = act

    def _step(self, elapsed_s: float) -> bool:
        self._player.play(elapsed_s)
        return not self._player.finished

    def _player_of_last(self) -> str:
        """Somebody whom the loop knows."""
        played = int(self.played_s * self.options.rate)
        return self._stream.interactions[max(0, played // 2)].user_id

    def _drain(self) -> None:
        """Let the workers finish what is on the topics."""
        self._say_act("finishing")
        settled_s = time.monotonic() + 2 * HELD_BACK_MS / 1000

        def left() -> str:
            loop = self._watcher.loop
            done = loop.applied + loop.dead_letters >= loop.produced
            return "" if done and time.monotonic() > settled_s else "events"

        wait_for(left, DRAIN_WITHIN_S, self.look)
