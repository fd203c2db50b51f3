"""A crash at any point of a save leaves a loadable checkpoint: the new one or the one before."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamrec.infra.stores.checkpoints import LEARNER, RECORD, DirectoryCheckpoints


class Crash(BaseException):
    """The process is gone: nothing catches it, nothing runs after it."""


def writer(text: str) -> Callable[[Path], None]:
    def write(directory: Path) -> None:
        (directory / "head.safetensors").write_bytes(text.encode())
        (directory / "replay").mkdir()
        (directory / "replay" / "memory.json").write_text(f'"{text}"')

    return write


def read(checkpoints: DirectoryCheckpoints) -> tuple[Any, str] | None:
    found = checkpoints.newest()
    if found is None:
        return None
    return found.record, (found.directory / "head.safetensors").read_text()


def test_nothing_is_there_at_first(tmp_path: Path) -> None:
    assert DirectoryCheckpoints(tmp_path / "never").newest() is None


def test_what_is_saved_is_found_again_and_old_ones_go(tmp_path: Path) -> None:
    checkpoints = DirectoryCheckpoints(tmp_path, keep=2)
    for number in range(5):
        checkpoints.save({"next": number}, writer(str(number)))
        assert read(DirectoryCheckpoints(tmp_path)) == ({"next": number}, str(number))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c000000000004", "c000000000005"]


class Saboteur:
    """Kills the process at the nth thing it does to the disk."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int) -> None:
        self.left = at
        for owner, name in (
            (Path, "mkdir"), (Path, "write_bytes"), (Path, "rename"), (os, "fsync"),
            (shutil, "rmtree"),
        ):  # fmt: skip
            patch.setattr(owner, name, self.wrapped(getattr(owner, name)))

    def wrapped(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self.left == 0:
                raise Crash
            self.left -= 1
            return real(*args, **kwargs)

        return call


def test_a_crash_at_any_point_leaves_this_one_or_the_one_before(tmp_path: Path) -> None:
    outcomes, at = [], 0
    while True:
        root = tmp_path / str(at)
        DirectoryCheckpoints(root).save({"n": 1}, writer("one"))
        DirectoryCheckpoints(root).save({"n": 2}, writer("two"))
        with pytest.MonkeyPatch.context() as patch:
            Saboteur(patch, at)
            try:
                DirectoryCheckpoints(root).save({"n": 3}, writer("three"))
                crashed = False
            except Crash:
                crashed = True
        found = read(DirectoryCheckpoints(root))
        outcomes.append(found)
        DirectoryCheckpoints(root).save({"n": 4}, writer("four"))  # and life goes on
        assert read(DirectoryCheckpoints(root)) == ({"n": 4}, "four")
        assert not list(root.glob(".writing*"))
        if not crashed:
            break
        at += 1
    before, after = ({"n": 2}, "two"), ({"n": 3}, "three")
    turn = outcomes.index(after)
    assert turn > 5  # there were points before the rename ...
    assert outcomes[:turn] == [before] * turn
    assert outcomes[turn:] == [after] * (len(outcomes) - turn)
    assert len(outcomes) > turn + 1  # ... and after it


@given(cut=st.integers(0, 400), which=st.sampled_from(["record", "weights", "memory", "extra"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # each in a new directory
def test_a_damaged_one_is_passed_over_aloud(worlds: Path, cut: int, which: str) -> None:
    root = Path(mkdtemp(dir=worlds))
    checkpoints = DirectoryCheckpoints(root)
    checkpoints.save({"n": 1}, writer("one"))
    checkpoints.save({"n": 2}, writer("two"))
    newest = max(root.iterdir())
    victim = {
        "record": newest / RECORD,
        "weights": newest / LEARNER / "head.safetensors",
        "memory": newest / LEARNER / "replay" / "memory.json",
        "extra": newest / LEARNER / "extra.bin",
    }[which]
    whole = victim.read_bytes() if victim.exists() else b""
    victim.write_bytes(whole[:cut] if cut < len(whole) else whole + b"x")
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = logging.getLogger("streamrec.infra.stores.checkpoints")
    logger.addHandler(handler)
    try:
        assert read(checkpoints) == ({"n": 1}, "one")
    finally:
        logger.removeHandler(handler)
    assert any(newest.name in line and "ignored" in line for line in lines)


def test_a_write_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    def fails(directory: Path) -> None:
        (directory / "half").write_text("…")
        raise OSError(28, "No space left on device")

    checkpoints = DirectoryCheckpoints(tmp_path)
    checkpoints.save({"n": 1}, writer("one"))
    with pytest.raises(OSError, match="No space"):
        checkpoints.save({"n": 2}, fails)
    assert read(checkpoints) == ({"n": 1}, "one")
