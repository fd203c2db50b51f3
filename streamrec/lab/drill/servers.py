"""Killing Redis and the broker, as far as what each of them promises allows.

Knows how each is killed, what it may lose by it, and how that loss is made to happen.

Redis with ``appendfsync everysec`` promises all but the last second or so. SIGKILL alone
would lose nothing, since the kernel still has what was written; so the end of its file is
cut off where it was a second before, as a machine that loses power would have left it.

Apache Kafka loses nothing acknowledged when its process is killed: the kernel has it. The
embedded broker may lose what it acknowledged in the last half second; nothing downstream
can repair that, so it is killed only after a moment of silence.
"""

from __future__ import annotations

import os
import signal
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from streamrec.apps.local_loop import LocalLoop
from streamrec.errors import UserError
from streamrec.infra.processes.apache_kafka import ApacheKafka, resolve_jars, why_not
from streamrec.lab.demo.waiting import insist_on
from streamrec.ports import Clock
from streamrec.settings import Settings

CUT_MS = 1_000
SILENCE_S = 1.5
RESTART_S = 300.0
"""A busy machine makes everything slow; that is no broken promise."""


def start_apache(
    given: Settings,
    used: Settings,
    stack: ExitStack,
    say: Callable[[str], None],
    properties: Mapping[str, str] | None = None,
) -> ApacheKafka:
    """A broker of our own in the state directory ``used``, stopped with ``stack``.

    Raises UserError where it cannot run here.
    """
    cache = given.state_dir / "apache-kafka"
    lacking = why_not(cache)
    if lacking is not None:
        raise UserError(f"{lacking}: this drill starts Apache Kafka")
    say("starting Apache Kafka")
    resolve_jars(cache)
    directory = used.state_dir / "apache-kafka"
    return stack.enter_context(ApacheKafka(directory, cache, properties=properties))


class Target(ABC):
    """A server that can be killed. ``promise``: what it may lose by it."""

    name: str
    promise: str

    def watch(self, now_ms: int) -> None:  # noqa: B027 - most have nothing to remember
        """Call often."""

    @abstractmethod
    def strike(self, clock: Clock) -> int:
        """SIGKILL it, start it again on the same data; when it answers: the time of the kill."""


class ApacheTarget(Target):
    name = "apache-kafka"
    promise = (
        "SIGKILL of the broker loses nothing it acknowledged (the kernel has it); "
        "losing the machine could, with one replica: killed without warning"
    )

    def __init__(self, server: ApacheKafka) -> None:
        self._server = server
        self._server.ready_s = RESTART_S

    def strike(self, clock: Clock) -> int:
        killed_ms = clock.now_ms()
        self._server.kill()
        self._server.start()
        return killed_ms


class EmbeddedBrokerTarget(Target):
    name = "embedded-kafka"
    promise = (
        "the embedded broker may lose what it acknowledged in the last half second: "
        f"killed after {SILENCE_S:g} s of silence"
    )

    def __init__(self, loop: LocalLoop, silence: Callable[[], None]) -> None:
        """``silence``: stop sending, and return when the loop has nothing left to do."""
        self._loop = loop
        self._silence = silence

    def strike(self, clock: Clock) -> int:
        self._silence()
        time.sleep(SILENCE_S)
        killed_ms = clock.now_ms()
        _kill(self._loop, self.name)
        _await_restart(self._loop, self.name)
        return killed_ms


class EmbeddedRedisTarget(Target):
    name = "embedded-redis"
    promise = (
        "Redis with appendfsync everysec may lose its last second; SIGKILL alone would not, so "
        f"the last {CUT_MS / 1000:g} s of its file are cut off: state and positions go back "
        "together, and the workers fold on from there"
    )

    def __init__(self, loop: LocalLoop, data_dir: Path) -> None:
        self._loop = loop
        self._files = data_dir / "appendonlydir"
        self._sizes: deque[tuple[int, Path, int]] = deque()
        self.bytes_cut = 0

    def watch(self, now_ms: int) -> None:
        """Remember how long the file was."""
        file = max(self._files.glob("*.incr.aof"), key=lambda f: f.stat().st_mtime, default=None)
        if file is None:
            return
        self._sizes.append((now_ms, file, file.stat().st_size))
        while len(self._sizes) > 1 and self._sizes[1][0] <= now_ms - CUT_MS:
            self._sizes.popleft()

    def strike(self, clock: Clock) -> int:
        killed_ms = clock.now_ms()
        _kill(self._loop, self.name)
        self._cut()
        _await_restart(self._loop, self.name)
        return killed_ms

    def _cut(self) -> None:
        if not self._sizes:
            return
        _, file, size = self._sizes[0]
        newest = max(self._files.glob("*.incr.aof"), key=lambda f: f.stat().st_mtime)
        if file != newest:  # just rewritten: the older one no longer counts
            return
        self.bytes_cut += file.stat().st_size - size
        os.truncate(file, size)
        self._sizes.clear()


def _kill(loop: LocalLoop, name: str) -> None:
    os.killpg(loop.pids()[name], signal.SIGKILL)
    while name in loop.pids():
        time.sleep(0.01)


def _await_restart(loop: LocalLoop, name: str) -> None:
    """``LocalLoop.watch`` starts a server that died. Raises Unavailable."""
    insist_on(
        lambda: "" if name in loop.pids() else f"{name} is not there again", RESTART_S, loop.watch
    )
