"""A short soak: everything is measured, and the exit code is the verdict.

Whether anything grows cannot be told in so short a time: the verdict has tests of its own.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamrec.lab.drill.soak_report import BOUNDS
from tests.harness.command_line import CommandLine

pytestmark = [pytest.mark.slow, pytest.mark.encoder, pytest.mark.embedded]

PATIENCE_S = 600.0
PROCESSES = ("embedded-kafka", "embedded-redis", "features-1", "serving-1", "trainer-1")


@pytest.mark.timeout(PATIENCE_S + 10)
def test_a_short_soak(tmp_path: Path) -> None:
    variables = {"STREAMREC_STATE_DIR": tmp_path / "state", "STREAMREC_ENCODER_THREADS": 1}
    shell = CommandLine(variables, tmp_path)
    options = ("--minutes", "0.25", "--items", "60", "--report", "soak.json")
    done = shell.run("drill", "soak", *options, timeout_s=PATIENCE_S)
    found = json.loads((tmp_path / "soak.json").read_text())
    assert done.returncode == (0 if found["ok"] else 1), done.stdout + done.stderr
    run, series = found["run"], found["series"]
    assert run["lists"] > 0
    assert run["items_removed"] > 0
    assert run["people"] > 1
    assert (run["died_by_themselves"], run["mixed"], run["dead_letters"]) == (0, 0, 0)
    by_chance = {"freshness", "latency, median", "latency, 95 %"}  # on a slow machine, never
    assert {f"memory of {name}" for name in PROCESSES} | set(BOUNDS) - by_chance <= set(series)
    assert "the first quarter is the warm-up" in done.stdout + done.stderr
