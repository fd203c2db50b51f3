"""Workers forked from a process that has imported everything: back in milliseconds.

Importing torch, transformers and peft takes ten seconds of a core, which a worker that died
would pay before it looked at its first message. The standard library's fork server pays it
once; every worker is a fork of it, and shares its memory until it writes to it.

Knows ``multiprocessing`` and how a fork becomes ``python -m MODULE``. Does not know which
modules are worth it, nor when a worker is started (``infra.processes.supervisor``).

Not where CUDA is: a driver that was touched before a fork does not work after it, and an
import may touch it. Not outside Linux, where a fork of a process with threads is not safe.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from streamrec.infra.processes.parent_death import die_with_parent
from streamrec.infra.processes.supervisor import Process, Program

PR_SET_NAME = 15
CUDA_DEVICE = Path("/dev/nvidiactl")


def possible() -> bool:
    """Whether workers of this host may be forked; see the module."""
    return sys.platform == "linux" and not CUDA_DEVICE.exists()


class WarmStart:
    """Starts programs of the form ``python -m MODULE ARGUMENT...``; see ``start``.

    One a process: the fork server is the standard library's own, and there is one.
    """

    def __init__(self, modules: Sequence[str]) -> None:
        """Begin to import ``modules``, in a process of its own; returns at once."""
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["streamrec.infra.processes.preload", *modules])
        forkserver.ensure_running()

    def start(self, program: Program) -> Process:
        """Fork a worker that becomes the program; waits for the imports to be done."""
        _python, flag, module, *arguments = program.command
        if flag != "-m":
            raise ValueError(f"not a module to run: {' '.join(program.command)}")
        process = self._context.Process(
            target=_become,
            args=(program.name, module, arguments, program.log, dict(program.environment or {})),
            name=program.name,
            daemon=True,
        )
        process.start()
        return ForkedProcess(process)


class ForkedProcess:
    """A forked worker with the face of ``subprocess.Popen``."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        assert process.pid is not None  # noqa: S101 - it was started
        self.pid = process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0.0)
        return self._process.exitcode


def _become(
    name: str, module: str, arguments: Sequence[str], log: Path, environment: Mapping[str, str]
) -> None:
    """Turn this fork into ``python -m module arguments``, with its output in ``log``."""
    die_with_parent()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # one that came is heard now
    gc.freeze()  # what was imported is no garbage, and its pages stay shared
    gc.enable()
    os.setpgid(0, 0)
    ctypes.CDLL(None).prctl(PR_SET_NAME, name.encode(), 0, 0, 0)
    with log.open("ab", buffering=0) as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    if environment:  # written, never read: what we become reads it
        os.environ.clear()  # noqa: TID251
        os.environ.update(environment)  # noqa: TID251
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
