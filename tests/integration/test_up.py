"""``streamrec up`` on its own servers: found by other commands, stopped without a trace."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import psutil
import pytest

from tests.harness.command_line import CommandLine, descendants, gone
from tests.harness.waiting import PATIENCE_S, eventually

pytestmark = [pytest.mark.embedded, pytest.mark.slow]

CREW = (
    *("up", "--no-trainer", "--no-gateway"),
    *("--serving", "0", "--replies", "0", "--features", "2"),
)
CLICK = (
    '{"event_id": "1", "user_id": "ann", "item_id": "42", "kind": "click", '
    '"occurred_at": "2026-03-01T12:00:00Z"}\n'
)


@pytest.fixture
def shell(tmp_path: Path) -> CommandLine:
    return CommandLine({}, tmp_path)


def workers(shell: CommandLine) -> list[str]:
    done = shell.run_here("status", "--json")
    return [] if done.returncode else [w["worker_id"] for w in json.loads(done.stdout)["workers"]]


def both_up(shell: CommandLine) -> bool:
    """Beats of a loop that was killed are heard for some seconds more: ``up`` must have said so."""
    said = (shell.directory / "up.out").read_text()
    return "started features-1" in said and workers(shell) == ["features-1", "features-2"]


def named(up: int, worker: str) -> list[psutil.Process]:
    """A forked worker has its name; one started from nothing has it on its command line."""
    return [p for p in descendants(up) if worker in (p.name(), *p.cmdline())]


def applied(shell: CommandLine) -> bool:
    flows = {flow["topic"]: flow for flow in shell.json("status", here=True)["topics"]}
    written = flows["user-updates"]["written"]  # again where a partition moves meanwhile
    return flows["events"]["lag"] == 0 and written >= 1


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=lambda s: s.name)
def test_other_commands_find_it_and_it_stops_cleanly(shell: CommandLine, how) -> None:
    with shell.started(*CREW) as up:
        eventually(lambda: both_up(shell), what="two feature workers")
        started = descendants(up.pid)
        assert shell.run("events", "send", "-", stdin=CLICK).returncode == 0
        eventually(lambda: applied(shell), what="the click is folded")
        second = shell.run("up")
        assert second.returncode == 1
        assert "runs in .streamrec already" in second.stderr
        up.send_signal(how)
        assert up.wait(PATIENCE_S) == 0
        eventually(lambda: gone(started))  # the fork server ends when it hears that we have
    assert not (shell.directory / ".streamrec" / "servers.json").exists()
    assert shell.run("status").returncode == 1


def test_killed_outright_it_leaves_nothing_and_keeps_the_data(shell: CommandLine) -> None:
    with shell.started(*CREW) as up:
        eventually(lambda: both_up(shell), what="two feature workers")
        assert shell.run("events", "send", "-", stdin=CLICK).returncode == 0
        eventually(lambda: applied(shell), what="the click is folded")
        started = descendants(up.pid)
        assert len(started) >= 4, "two servers, two workers"
        up.kill()
        eventually(lambda: gone(started), what="the kernel has killed the rest")
    with shell.started(*CREW) as up:
        eventually(lambda: both_up(shell), what="two feature workers again")
        flows = {flow["topic"]: flow for flow in shell.json("status", here=True)["topics"]}
        assert flows["events"]["read"] == 1
        up.send_signal(signal.SIGTERM)
        assert up.wait(PATIENCE_S) == 0


def test_a_killed_worker_is_started_again_and_its_partitions_are_taken_over(shell) -> None:
    with shell.started(*CREW) as up:
        eventually(lambda: both_up(shell), what="two feature workers")
        (victim,) = named(up.pid, "features-1")
        victim.send_signal(signal.SIGKILL)
        said = shell.directory / "up.out"
        eventually(lambda: "features-1 was killed by SIGKILL" in said.read_text())
        eventually(lambda: [p for p in named(up.pid, "features-1") if p.pid != victim.pid])
        assert shell.run("events", "send", "-", stdin=CLICK).returncode == 0
        eventually(lambda: applied(shell), what="the click is folded")
        up.send_signal(signal.SIGTERM)
        assert up.wait(PATIENCE_S) == 0
    assert psutil.pid_exists(up.pid) is False
