"""Forked workers are processes like any other: output, environment, signals, exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path

import psutil
import pytest

from streamrec.infra.processes.supervisor import Program, Supervisor
from streamrec.infra.processes.warm_start import WarmStart
from tests.harness.waiting import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")

MODULE = """
import decimal, gc, json, os, signal, sys, time
print(json.dumps({"argv": sys.argv[1:], "home": os.environ.get("STREAMREC_HOME"),
                  "path": os.environ.get("PATH"), "group": os.getpgrp(), "name": __name__,
                  "collects": gc.isenabled(), "frozen": gc.get_freeze_count() > 1000}),
      flush=True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
time.sleep(600)
"""


@pytest.fixture(autouse=True, scope="module")
def fork_server_of_its_own() -> Iterator[None]:
    """Later tests fork from one that has imported more."""
    yield
    forkserver._forkserver._stop()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "a_worker.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return "a_worker"


def program(tmp_path: Path, module: str) -> Program:
    command = [sys.executable, "-m", module, "features-1"]
    return Program("features-1", command, tmp_path / "w.log", {"STREAMREC_HOME": "here"})


def says(log: Path) -> bool:
    return log.exists() and log.read_text().endswith("\n")


def test_a_fork_becomes_the_program(tmp_path: Path, module: str) -> None:
    process = WarmStart(["decimal"]).start(program(tmp_path, module))
    eventually(lambda: says(tmp_path / "w.log"))
    said = (tmp_path / "w.log").read_text()
    assert '"argv": ["features-1"]' in said
    assert '"home": "here"' in said
    assert '"path": null' in said, "the whole environment is the program's"
    assert f'"group": {process.pid}' in said
    assert '"name": "__main__"' in said
    assert '"collects": true' in said
    assert '"frozen": true' in said, "pages of what was imported stay shared"
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(10) == process.returncode == 7


def test_the_supervisor_restarts_a_forked_worker(tmp_path: Path, module: str) -> None:
    said: list[str] = []
    supervisor = Supervisor(said.append, backoff_s=(0.0,), start=WarmStart([]).start)
    try:
        supervisor.start(program(tmp_path, module))
        eventually(lambda: says(tmp_path / "w.log"))
        first = supervisor.pids()["features-1"]
        os.kill(first, signal.SIGKILL)
        eventually(lambda: supervisor.watch() or first not in supervisor.pids().values())
        assert "features-1 was killed by SIGKILL" in said[0]
    finally:
        supervisor.stop(grace_s=10)
    assert not any("did not stop" in line for line in said), "a fork of this moment hears SIGTERM"


def test_only_modules_can_be_forked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a module"):
        WarmStart([]).start(Program("w", [sys.executable, "-c", "1"], tmp_path / "w.log"))


def test_forked_workers_die_with_a_killed_supervisor(tmp_path: Path, module: str) -> None:
    code = textwrap.dedent(
        f"""
        import sys, time
        from pathlib import Path
        sys.path.insert(0, {str(tmp_path)!r})
        from streamrec.infra.processes.supervisor import Program
        from streamrec.infra.processes.warm_start import WarmStart
        if __name__ == "__main__":
            command = [sys.executable, "-m", {module!r}]
            process = WarmStart([]).start(Program("w", command, Path({str(tmp_path)!r}) / "w.log"))
            print(process.pid, flush=True)
            time.sleep(600)
        """
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        eventually(lambda: says(tmp_path / "w.log"))
        parent.kill()
        eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_who_tells_every_process_to_end_kills_no_worker(tmp_path: Path, module: str) -> None:
    """As systemd does: the process that workers are forked from lets them finish."""
    process = WarmStart(["decimal"]).start(program(tmp_path, module))
    eventually(lambda: says(tmp_path / "w.log"))
    os.kill(psutil.Process(process.pid).ppid(), signal.SIGTERM)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(30) == 7, "it has ended by itself"
    again = WarmStart(["decimal"]).start(program(tmp_path, module))
    eventually(lambda: (tmp_path / "w.log").read_text().count("\n") == 2)
    os.kill(again.pid, signal.SIGTERM)
    assert again.wait(30) == 7
