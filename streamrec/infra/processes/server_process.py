"""One server as a child process: start, wait until it answers, stop, kill, start again.

Knows processes, ports and log files; does not know which server it runs (subclasses say
what to start and how to ask whether it is up).
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import psutil

from streamrec.errors import Unavailable

HOST = "127.0.0.1"
PORTS = range(20_000, 32_000)
"""Below Linux's ephemeral range (32768 and up): nobody's outgoing connection can take the
port of a server that is down for a moment, and no client can connect to itself there."""

ATTEMPTS = 3
TAIL_LINES = 25
_PARENT_DEATH = Path(__file__).with_name("parent_death.py")


_given: set[int] = set()


def free_port() -> int:
    """A port nobody listens on right now, outside the ephemeral range.

    Never one that this process was given before: a server may ask for two and start later.

    Raises:
        Unavailable: when a hundred tries found none.
    """
    for port in random.SystemRandom().sample(PORTS, 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((HOST, port))
                if port not in _given:
                    _given.add(port)
                    return port
    raise Unavailable(f"no free port between {PORTS.start} and {PORTS.stop} on {HOST}")


def listens(pid: int, port: int) -> bool:
    """Whether that very process listens on the port: a foreign server there is no answer."""
    try:
        sockets = psutil.Process(pid).net_connections("tcp")
    except psutil.Error:
        return False
    return any(s.status == psutil.CONN_LISTEN and s.laddr.port == port for s in sockets)


def start_with_parent_death_signal(
    command: Sequence[str],
    log: Path,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command in its own process group, killed by the kernel when we die.

    ``environment`` replaces ours when given.

    A terminal's Ctrl-C does not reach it: stopping it is its owner's job. The tie is to
    the *thread* that calls this, so call it from one that lives as long as the server.
    """
    wrapped = [sys.executable, "-I", "-S", str(_PARENT_DEATH), str(os.getpid()), *command]
    with log.open("ab") as out:
        return subprocess.Popen(  # noqa: S603 - the command is built here, not by a user
            wrapped,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=environment,
            process_group=0,
        )


def signal_group(group: int, number: signal.Signals) -> None:
    """Signal every process of a group, if there is one left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


class ServerProcess(ABC):
    """A server with its data under one directory; a context manager.

    The port is chosen at the first start and kept, so that clients find a restarted
    server where it was; restarts keep the data.
    """

    name = "server"
    ready_s = 30.0
    stop_s = 15.0

    def __init__(self, data_dir: Path, port: int | None = None) -> None:
        self.data_dir = data_dir.absolute()
        self.log_path = self.data_dir / f"{self.name}.log"
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """The command line, program first; called at each start."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether the server does its work. Must not raise while it is coming up."""

    def prepare(self) -> None:  # noqa: B027 - most servers need nothing
        """Put on disk what the server needs before it starts; called at each start."""

    @property
    def port(self) -> int:
        if self._port is None:
            raise Unavailable(f"{self.name} was never started")
        return self._port

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """Of the running server. Raises Unavailable when it does not run."""
        if self._process is None or self._process.poll() is not None:
            raise Unavailable(f"{self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start and return when the server answers; nothing happens if it runs already.

        Raises:
            Unavailable: with the end of the log, when it does not come up in ``ready_s``.
        """
        if self.running:
            return self
        self.data_dir.mkdir(parents=True, exist_ok=True)
        chosen = self._port is not None
        for attempt in range(1, ATTEMPTS + 1):
            self._port = self._port or free_port()
            self.prepare()
            self._process = start_with_parent_death_signal(
                self.command(), self.log_path, self.data_dir
            )
            try:
                self._wait_until_ready(self._process)
            except BaseException:
                self.kill()
                if chosen or attempt == ATTEMPTS or not self._port_was_taken():
                    raise
                self._port = None
            else:
                return self
        raise AssertionError("unreachable")  # pragma: no cover

    def stop(self) -> None:
        """Ask it to stop, wait ``stop_s``, then insist."""
        if self._process is None:
            return
        signal_group(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(self.stop_s)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """SIGKILL, as a crash would; the data stays as the crash left it."""
        if self._process is None:
            return
        signal_group(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def restart(self) -> Self:
        """Stop cleanly and start on the same port and data."""
        self.stop()
        return self.start()

    def log_tail(self, lines: int = TAIL_LINES) -> str:
        try:
            text = self.log_path.read_text(errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:])

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self.ready_s
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise Unavailable(
                    f"{self.name} ended at once with status {process.returncode}; its log "
                    f"({self.log_path}) says:\n{self.log_tail()}"
                )
            if listens(process.pid, self.port) and self.answers():
                return
            time.sleep(0.02)
        raise Unavailable(
            f"{self.name} did not answer on {self.address} within {self.ready_s:g} s; its log "
            f"({self.log_path}) says:\n{self.log_tail()}"
        )

    def _port_was_taken(self) -> bool:
        return "in use" in self.log_tail().lower()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
