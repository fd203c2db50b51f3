"""Workers as OS processes that can be killed, frozen and read.

They are forked from a process that has imported everything, as ``streamrec up`` starts them: a
worker that is killed and started again is at work in a second, and the next kill hits it there
rather than while it imports. A ``cold`` one is ``python -m``, as a container starts it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar

from streamrec.infra.processes.supervisor import Process, Program, start_cold
from streamrec.infra.processes.warm_start import WarmStart, possible
from streamrec.settings import Settings, child_environment
from tests.harness.waiting import PATIENCE_S, eventually

ROLES = ("features", "trainer", "serving", "replies", "gateway")
Found = TypeVar("Found")


@cache
def warm_start() -> Callable[[Program], Process]:
    """Of the whole test run: the imports are paid once."""
    modules = [f"streamrec.apps.{role}" for role in ROLES]
    return WarmStart(modules).start if possible() else start_cold


class WorkerProcess:
    """``python -m workers.<role> <name>``, again and again; all its lives share one log."""

    def __init__(
        self,
        role: str,
        name: str,
        settings: Settings,
        log: Path,
        *,
        cold: bool = False,
        ranks: int = 1,
    ) -> None:
        """``ranks``: several processes that ``torchrun`` starts."""
        self.role, self.name, self._log = role, name, log
        torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
        command = [sys.executable, *(torchrun if ranks > 1 else []), "-m", f"workers.{role}", name]
        environment = child_environment(settings) | {"OMP_NUM_THREADS": "1"}
        self._program = Program(name, command, log, environment)
        self._cold = cold or ranks > 1
        log.touch()
        self._process: Process | None = None

    def start(self) -> None:
        self._process = (start_cold if self._cold else warm_start())(self._program)

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self.wait()

    def terminate(self) -> int:
        """SIGTERM; the exit status."""
        self.send(signal.SIGTERM)
        return self.wait()

    def freeze(self) -> None:
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        self.send(signal.SIGCONT)

    def send(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def wait(self) -> int:
        assert self._process is not None
        return self._process.wait(PATIENCE_S)

    def end(self) -> None:
        """Whatever it is doing, frozen or not."""
        if self.running:
            self.kill()

    def until(self, condition: Callable[[], Found]) -> Found:
        """Wait; on failure the log is shown, and a dead process is not waited for."""

        def met() -> Found:
            found = condition()
            assert found or self.running, f"{self.name} died:\n{self.log[-6000:]}"
            return found

        return eventually(met, what=lambda: f"{self.name} says\n{self.log[-6000:]}")
