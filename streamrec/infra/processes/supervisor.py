"""Worker processes of one host: started, restarted when they die, stopped together.

Knows processes, log files and back-off. Does not know what the workers do, nor that a
process may begin as a fork (``infra.processes.warm_start``).

A worker runs in its own process group, so that a Ctrl-C in the terminal reaches only the
supervisor, which then stops the workers in order:

1. ``SIGTERM`` to every worker: each finishes what it holds and leaves its groups.
2. After a grace period ``SIGKILL`` to what is left, with everything it started.

If the supervisor itself is killed, the kernel kills the workers
(``start_with_parent_death_signal``). That is
tied to the *thread* that started them, so ``start`` and ``watch`` belong to the thread that
lives longest.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from streamrec.infra.processes.server_process import signal_group, start_with_parent_death_signal

if TYPE_CHECKING:
    from streamrec.infra.processes.warm_start import ForkedProcess

BACKOFF_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
SETTLED_S = 60.0
"""A worker that lived this long starts over with the shortest back-off."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to run, under which name; ``environment`` None: ours."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] | None = None


Process: TypeAlias = "subprocess.Popen[bytes] | ForkedProcess"
"""Its pid is also the id of its process group."""


def start_cold(program: Program) -> Process:
    """A new process, from nothing."""
    return start_with_parent_death_signal(
        program.command, program.log, Path.cwd(), program.environment
    )


@dataclass(slots=True)
class _Running:
    program: Program
    process: Process
    started_s: float
    deaths_in_a_row: int = 0
    restart_at_s: float | None = None


class Supervisor:
    """Owns worker processes by name.

    ``say`` gets one line per start and per death; ``on_death`` gets the name of a worker
    that died without being asked to, before it is started again.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        on_death: Callable[[str], None] = lambda _name: None,
        backoff_s: Sequence[float] = BACKOFF_S,
        start: Callable[[Program], Process] = start_cold,
    ) -> None:
        self._say = say
        self._start = start
        self._on_death = on_death
        self._backoff_s = backoff_s
        self._workers: dict[str, _Running] = {}
        self.deaths = 0  # of workers that were not asked to stop

    def start(self, program: Program) -> None:
        process = self._spawn(program)
        self._workers[program.name] = _Running(program, process, time.monotonic())

    def pids(self) -> dict[str, int]:
        """Process ids of the workers that run now."""
        return {n: w.process.pid for n, w in self._workers.items() if w.process.poll() is None}

    def watch(self) -> None:
        """Notice deaths, and restart what has waited long enough. Call about once a second."""
        now_s = time.monotonic()
        for worker in self._workers.values():
            if worker.restart_at_s is None and worker.process.poll() is not None:
                self._note_death(worker, now_s)
            if worker.restart_at_s is not None and worker.restart_at_s <= now_s:
                worker.process = self._spawn(worker.program)
                worker.started_s, worker.restart_at_s = now_s, None

    def _spawn(self, program: Program) -> Process:
        program.log.parent.mkdir(parents=True, exist_ok=True)
        return self._start(program)

    def _note_death(self, worker: _Running, now_s: float) -> None:
        lived_s = now_s - worker.started_s
        self.deaths += 1
        worker.deaths_in_a_row = 1 if lived_s > SETTLED_S else worker.deaths_in_a_row + 1
        wait_s = self._backoff_s[min(worker.deaths_in_a_row, len(self._backoff_s)) - 1]
        worker.restart_at_s = now_s + wait_s
        self._say(
            f"{worker.program.name} {_cause(worker.process.returncode)} after {lived_s:.1f} s; "
            f"starting it again in {wait_s:g} s{_last_words(worker.program.log)}"
        )
        self._on_death(worker.program.name)

    def stop(self, grace_s: float = 30.0) -> None:
        """Stop every worker; returns when all are gone."""
        alive = [w.process for w in self._workers.values() if w.process.poll() is None]
        for process in alive:
            _terminate(process.pid)
        deadline_s = time.monotonic() + grace_s
        for process in alive:
            try:
                process.wait(max(0.0, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._say(f"process {process.pid} did not stop in {grace_s:g} s and is killed")
        for worker in self._workers.values():
            signal_group(worker.process.pid, signal.SIGKILL)
            worker.process.wait()
        self._workers.clear()


def _terminate(pid: int) -> None:
    """SIGTERM to a worker's group; to a fork that does not lead one yet, alone."""
    with suppress(ProcessLookupError, PermissionError):
        try:
            os.killpg(pid, signal.SIGTERM)
        except ProcessLookupError:
            os.kill(pid, signal.SIGTERM)


def _cause(code: int | None) -> str:
    if code is None or code >= 0:
        return f"ended with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def _last_words(log: Path) -> str:
    """The last line of the log, which mostly says why."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 2000))
        lines = file.read().decode(errors="replace").strip().splitlines()
    return f" (last words: {lines[-1].strip()[:200]}; all of them: {log})" if lines else ""
