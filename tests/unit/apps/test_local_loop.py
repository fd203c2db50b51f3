"""One loop in a directory, and never another one's things."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from streamrec.apps.local_loop import TRAINED, ProcessCounts, empty
from streamrec.errors import UserError
from streamrec.infra.processes import servers_file
from streamrec.infra.processes.servers_file import Servers


def left_in(state_dir: Path, pid: int) -> Path:
    servers_file.write(state_dir, Servers("kafka:1", "redis://redis:2", pid))
    log = state_dir / "logs" / "trainer-1.log"
    log.parent.mkdir()
    log.write_text("learning")
    return log


def test_what_an_ended_loop_left_is_removed(tmp_path: Path) -> None:
    left_in(tmp_path / "demo", pid=2**22 + 1)  # above the largest there can be
    empty(tmp_path / "demo")
    assert not (tmp_path / "demo").exists()


def test_what_a_running_loop_has_is_left_alone(tmp_path: Path) -> None:
    log = left_in(tmp_path / "demo", pid=os.getpid())
    with pytest.raises(UserError, match=r"runs in .*demo already"):
        empty(tmp_path / "demo")
    assert log.read_text() == "learning"


def test_every_role_is_a_process_and_a_module_of_its_own_name() -> None:
    every = ProcessCounts(2, 1, 1, 1, replies=1, copy_trainer=1, replies_trainer=1)
    names = every.names()
    assert ("copy_trainer", "copy-trainer-1") in names
    assert len({name for _, name in names}) == len(names) == 8
    for role, _ in names:
        assert importlib.util.find_spec(f"workers.{role}"), role
        assert importlib.util.find_spec(f"streamrec.apps.{role}"), role


def test_nothing_learns_beside_ranking_unless_it_is_asked_for() -> None:
    assert {role for role, _ in ProcessCounts().names()} & TRAINED.keys() == {"trainer"}
