"""What every play needs around it: the loop looked after, the screen kept up to date.

Knows how to wait while somebody looks after the loop. Does not know what is played.
"""

from __future__ import annotations

import os
import time
import webbrowser
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from rich.console import RenderableType

from streamrec.apps import clients
from streamrec.apps.local_loop import LocalLoop, ProcessCounts
from streamrec.core.events import Item
from streamrec.core.tasks import RANKING
from streamrec.errors import Unavailable
from streamrec.infra.clock import SystemClock
from streamrec.lab.demo.memory import PeakMemory
from streamrec.lab.demo.ready import Readiness, load_catalogue
from streamrec.lab.demo.rollback import RollbackTimes, show_rollback
from streamrec.lab.demo.screen import Screen
from streamrec.lab.demo.swaps import SwapPauses
from streamrec.lab.demo.waiting import insist_on

READY_WITHIN_S = 120.0
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


class Prepared(NamedTuple):
    """A loop that has been started, and for whom.

    ``pressed_s``: monotonic time at which the person pressed enter. ``page``: where the page is.
    """

    loop: LocalLoop
    options: DemoOptions
    screen: Screen
    pressed_s: float
    page: str = ""


class Stage(ABC):
    """A play on a loop. A context manager."""

    task = RANKING
    """Whose champion is rolled back."""

    def __init__(self, prepared: Prepared) -> None:
        self.loop, self.options, self.screen, self.pressed_s, self.page = prepared
        self.settings = self.loop.settings
        self.clock = SystemClock()
        self.pressed_ms = self.clock.now_ms() - round((time.monotonic() - self.pressed_s) * 1000)
        self.codec = clients.codec(self.settings)
        self.memory, self.pauses = PeakMemory(), SwapPauses()
        self.ready_after_s: float | None = None
        self.played_s = 0.0
        self.rolled_back = RollbackTimes()
        self._ticked_s = 0.0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.publisher = clients.publisher(self.settings, "streamrec-demo")
            stack.callback(self.publisher.close)
            redis = stack.enter_context(clients.redis(self.settings))
            self._fleet = clients.fleet(self.settings, redis)
            self._executor = stack.enter_context(ThreadPoolExecutor(1))
            self.open(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @abstractmethod
    def open(self, stack: ExitStack) -> None:
        """Begin to watch; what is to be closed goes onto the stack."""

    @abstractmethod
    def watch(self, wait_s: float) -> None:
        """Look at what came, waiting at most so long for something."""

    @abstractmethod
    def picture(self) -> tuple[RenderableType, str]:
        """The panel, and all of it in one line."""

    def perform(self) -> dict[str, Any]:
        """All acts; the summary. A KeyboardInterrupt ends them early."""
        interrupted = False
        try:
            self.acts()
        except KeyboardInterrupt:
            interrupted = True
            self.screen.say("interrupted; stopping …")
        return self.summary(interrupted=interrupted)

    @abstractmethod
    def acts(self) -> None:
        """In their order."""

    @abstractmethod
    def summary(self, *, interrupted: bool) -> dict[str, Any]:
        """What is left."""

    def await_workers(self, items: Sequence[Item], what: str) -> None:
        """Send the catalogue and wait. Raises Unavailable when they are not ready in time."""
        load_catalogue(items, self.codec, self.publisher)
        self.screen.say(f"{len(items):,} {what} sent to the topic items")
        self.screen.say(f"waiting for the workers; their logs are in {self.loop.log_dir}")
        readiness = Readiness(self.settings, self.options.processes, len(items))
        insist_on(readiness.missing, READY_WITHIN_S, self.look_seldom)
        self.ready_after_s = time.monotonic() - self.pressed_s
        self.screen.say(f"everything is ready after {self.ready_after_s:.0f} s")
        if self.page:
            self.screen.say(f"watch it, ask it and operate it here: {self.page}")
        if self.page and self.options.opens_page:
            webbrowser.open(self.page)

    def play(self, step: Callable[[float], bool], say_act: Callable[[str], None]) -> None:
        """Take steps for as long as was asked for, or until one says that nothing is left.

        ``step``: is told how many seconds the play is old. A rollback comes near the end.
        """
        seconds, rollback = self.options.seconds, None
        begun_s = time.monotonic()
        say_act("playing")
        while (elapsed_s := time.monotonic() - begun_s) < seconds and step(elapsed_s):
            if rollback is None and elapsed_s > ROLLBACK_AT * seconds:
                say_act("playing; rolling the champion back and forward")
                rollback = self._rollback()
            if rollback is not None and rollback.done():
                say_act("playing")
            self.played_s = time.monotonic() - begun_s
            self.look()
        if rollback is not None:
            self.rolled_back = rollback.result()

    def look(self) -> None:
        self._tick()
        self._look(LOOK_S)

    def look_seldom(self) -> None:
        time.sleep(WAITING_LOOK_S)
        self._tick()
        self._look(0.0)

    def _rollback(self) -> Future[RollbackTimes]:
        return self._executor.submit(show_rollback, self.settings, self.screen.say, self.task)

    def _look(self, wait_s: float) -> None:
        self.watch(wait_s)
        if self.ready_after_s is not None and self.screen.due(time.monotonic() - self.pressed_s):
            self.screen.show(*self.picture())

    def _tick(self) -> None:
        """Once a second: restarts and swaps; memory once the loop is ready."""
        if time.monotonic() - self._ticked_s < TICK_S:
            return
        self._ticked_s = time.monotonic()
        self.loop.watch()
        if self.ready_after_s is not None:
            self.memory.sample({"demo": os.getpid()} | self.loop.pids())
        with suppress(Unavailable):  # Redis is away for a moment: the next look will do
            self.pauses.sample(self._fleet.workers())
