"""A short poison drill: the whole system lied to, on the embedded servers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.harness.command_line import CommandLine

pytestmark = [pytest.mark.slow, pytest.mark.encoder, pytest.mark.embedded, pytest.mark.alone]

PATIENCE_S = 600.0


@pytest.mark.timeout(PATIENCE_S + 10)
def test_a_bad_generation_past_the_gate_is_rolled_back_unattended(tmp_path: Path) -> None:
    variables = {"STREAMREC_STATE_DIR": tmp_path / "state", "STREAMREC_ENCODER_THREADS": 1}
    shell = CommandLine(variables, tmp_path)
    options = ("--seed", "1", "--phase-s", "10", "--report", "poison.json")
    done = shell.run("drill", "poison", *options, timeout_s=PATIENCE_S)
    found = json.loads((shell.directory / "poison.json").read_text())
    assert found["detection_s"] is not None, done.stdout + done.stderr
    assert found["rolled_back_unattended"] == 1, done.stdout + done.stderr
    assert found["rollback_after_s"] <= 60
    assert found["quality"]["worst_when_fooled"] < 0.5 * found["quality"]["before"]
    assert found["quality"]["after"] > found["quality"]["worst_when_fooled"]
    assert "undone by click-guard" in done.stdout
