"""``demo``: what cannot be played is said before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.command_line import CommandLine


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--stream", "headlines", "--data", "none.jsonl"), "none.jsonl cannot be read"),
        (("--stream", "headlines", "--data", "empty.jsonl"), "empty.jsonl holds no test"),
        (("--data", "empty.jsonl"), "--data is for --stream headlines"),
        (("--stream", "songs"), "songs"),
    ],
)
def test_is_refused_with_a_reason(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    done = CommandLine({}, tmp_path).run_here("demo", *arguments)
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / ".streamrec" / "demo").exists()
