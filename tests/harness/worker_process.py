"""Workers as OS processes that can be killed, frozen and read."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from streamrec.settings import Settings, child_environment
from tests.harness.waiting import PATIENCE_S, eventually

Found = TypeVar("Found")


class WorkerProcess:
    """``python -m workers.<role> <name>``, again and again; all its lives share one log."""

    def __init__(self, role: str, name: str, settings: Settings, log: Path) -> None:
        self.role, self.name, self._settings, self._log = role, name, settings, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"workers.{self.role}", self.name],
                env=child_environment(self._settings) | {"OMP_NUM_THREADS": "1"},
                stdout=out,
                stderr=out,
            )

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
        self._process.send_signal(number)

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
