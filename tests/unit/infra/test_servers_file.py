"""Commands in another terminal find the servers of a running ``up``, and only those."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from streamrec.infra.processes import servers_file
from streamrec.infra.processes.servers_file import Servers

MINE = Servers("127.0.0.1:9", "redis://127.0.0.1:8/0", os.getpid())


def test_reads_back_what_was_written(tmp_path: Path) -> None:
    servers_file.write(tmp_path / "state", MINE)
    assert servers_file.read(tmp_path / "state") == MINE
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["servers.json"]


def test_nothing_there(tmp_path: Path) -> None:
    assert servers_file.read(tmp_path) is None


def test_a_file_left_by_a_dead_process_is_ignored(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        process.wait()
    servers_file.write(tmp_path, Servers("a:1", "redis://b", process.pid))
    assert servers_file.read(tmp_path) is None


def test_half_a_file_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "servers.json").write_text('{"pid": 1')
    assert servers_file.read(tmp_path) is None


def test_removes_only_its_own(tmp_path: Path) -> None:
    servers_file.write(tmp_path, MINE)
    servers_file.remove(tmp_path, pid=MINE.pid + 1)
    assert servers_file.read(tmp_path) == MINE
    servers_file.remove(tmp_path, pid=MINE.pid)
    assert servers_file.read(tmp_path) is None
