"""A short drill: everybody killed once or twice, servers included, and every promise kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.harness.command_line import CommandLine
from tests.harness.servers import KAFKA_CACHE, new_apache_kafka

pytestmark = [pytest.mark.slow, pytest.mark.encoder]

PATIENCE_S = 900.0


@pytest.fixture
def shell(tmp_path: Path) -> CommandLine:
    variables = {"STREAMREC_STATE_DIR": tmp_path / "state", "STREAMREC_ENCODER_THREADS": 1}
    return CommandLine(variables, tmp_path)


def drill(shell: CommandLine, minutes: float, *options: str) -> dict[str, object]:
    """The report of a drill that went well."""
    numbers = ("--minutes", str(minutes), "--kills", "6", "--seed", "1", "--report", "kill.json")
    done = shell.run("drill", "kill", *numbers, *options, timeout_s=PATIENCE_S)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost 0, doubled 0, mixed 0" in done.stdout
    found: dict[str, object] = json.loads((shell.directory / "kill.json").read_text())
    assert found["ok"] is True
    assert (found["lost"], found["doubled"], found["mixed"]) == (0, 0, 0)
    return found


@pytest.mark.embedded
@pytest.mark.timeout(PATIENCE_S + 10)
def test_a_short_drill_on_the_embedded_servers(shell: CommandLine) -> None:
    found = drill(shell, 0.4, "--kafka", "embedded")
    assert 1 <= int(str(found["kills"])) <= 6
    assert found["checked"]["examples"] > 100


@pytest.mark.apache_kafka
@pytest.mark.timeout(PATIENCE_S + 10)
def test_a_short_drill_on_apache_kafka(shell: CommandLine, tmp_path: Path) -> None:
    new_apache_kafka(tmp_path / "unused")  # skips where it cannot run
    cache = tmp_path / "state" / "apache-kafka"
    cache.parent.mkdir()
    cache.symlink_to(KAFKA_CACHE)
    found = drill(shell, 0.7, "--kafka", "apache")  # long enough for releases
    assert found["checked"]["events"] > 500
    assert found["checked"]["transactions_taken_back"] > 10


@pytest.mark.embedded
@pytest.mark.timeout(PATIENCE_S + 10)
def test_a_short_swap_drill(shell: CommandLine) -> None:
    numbers = ("--swaps", "6", "--items", "300", "--report", "swap.json")
    done = shell.run("drill", "swap", *numbers, timeout_s=PATIENCE_S)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 swaps, 0 not confirmed by all" in done.stdout
    found = json.loads((shell.directory / "swap.json").read_text())
    assert found["swaps"] == 6
    assert found["pauses"] >= 2
    assert found["lists"] > 0
    assert found["mixed"] == 0
