"""Workers are restarted when they die, and none outlives the supervisor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from streamrec.infra.processes.server_process import free_port
from streamrec.infra.processes.supervisor import Program, Supervisor
from tests.harness.waiting import eventually

SLEEP = "import time; time.sleep(600)"
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('up', flush=True)
time.sleep(600)
"""


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(said: list[str]) -> Iterator[Supervisor]:
    supervisor = Supervisor(said.append, backoff_s=(0.0, 600.0))
    yield supervisor
    supervisor.stop(grace_s=0)


def program(tmp_path: Path, code: str, name: str = "features-1") -> Program:
    return Program(name, [sys.executable, "-c", code], tmp_path / "logs" / f"{name}.log")


def test_restarts_a_killed_worker_and_says_so(supervisor, said, tmp_path) -> None:
    supervisor.start(program(tmp_path, SLEEP))
    first = supervisor.pids()["features-1"]
    os.kill(first, signal.SIGKILL)
    eventually(lambda: supervisor.pids() == {})
    supervisor.watch()
    assert supervisor.pids()["features-1"] != first
    assert "features-1 was killed by SIGKILL" in said[0]
    assert supervisor.deaths == 1


def test_a_worker_that_keeps_dying_waits_longer_and_its_last_words_are_shown(
    supervisor, said, tmp_path
) -> None:
    supervisor.start(program(tmp_path, "raise SystemExit('no such setting')"))
    eventually(lambda: supervisor.watch() or len(said) == 2)
    assert "ended with code 1" in said[0]
    assert "last words: no such setting" in said[0]
    assert "starting it again in 600 s" in said[1]
    supervisor.watch()
    assert supervisor.pids() == {}, "still waiting"


def test_on_death_hears_the_name_before_the_restart(tmp_path) -> None:
    heard: list[str] = []
    supervisor = Supervisor(lambda _line: None, heard.append, backoff_s=(600.0,))
    supervisor.start(program(tmp_path, "pass"))
    eventually(lambda: supervisor.watch() or heard == ["features-1"])
    supervisor.stop(grace_s=0)


def test_stop_kills_what_ignores_the_request(supervisor, said, tmp_path) -> None:
    job = program(tmp_path, STUBBORN)
    supervisor.start(job)
    eventually(lambda: job.log.exists() and b"up" in job.log.read_bytes())
    pid = supervisor.pids()["features-1"]
    supervisor.stop(grace_s=0.1)
    assert not psutil.pid_exists(pid)
    assert "did not stop" in said[0]


@pytest.mark.skipif(sys.platform != "linux", reason="PDEATHSIG is Linux's")
def test_workers_die_with_a_killed_supervisor(tmp_path) -> None:
    log = tmp_path / "w.log"
    code = f"""
import sys, time
from pathlib import Path
from streamrec.infra.processes.server_process import free_port
from streamrec.infra.processes.supervisor import Program, Supervisor
from tests.harness.waiting import eventually
supervisor = Supervisor(print)
supervisor.start(Program("w", [sys.executable, "-c", {STUBBORN!r}], Path({str(log)!r})))
print(supervisor.pids()["w"], flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        eventually(lambda: b"up" in log.read_bytes())
        parent.kill()
        eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_a_port_is_given_once() -> None:
    ports = [free_port() for _ in range(300)]
    assert len(set(ports)) == len(ports)
