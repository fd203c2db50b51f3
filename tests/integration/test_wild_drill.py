"""A short drill of producers as they are: nothing lost, doubled, mislabelled or untold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamrec.lab.drill.wild_world import POPULATION
from tests.harness.command_line import CommandLine
from tests.harness.servers import KAFKA_CACHE, new_apache_kafka

pytestmark = [pytest.mark.slow, pytest.mark.encoder, pytest.mark.apache_kafka]

PATIENCE_S = 900.0


@pytest.mark.timeout(PATIENCE_S + 10)
def test_a_short_drill(tmp_path: Path) -> None:
    new_apache_kafka(tmp_path / "unused")  # skips where it cannot run
    cache = tmp_path / "state" / "apache-kafka"
    cache.parent.mkdir()
    cache.symlink_to(KAFKA_CACHE)
    variables = {"STREAMREC_STATE_DIR": tmp_path / "state", "STREAMREC_ENCODER_THREADS": 1}
    shell = CommandLine(variables, tmp_path)
    options = ("--seed", "3", "--seconds", "12", "--report", "wild.json")
    done = shell.run("drill", "wild", *options, timeout_s=PATIENCE_S)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "wild.json").read_text())
    sums = {name: found[name] for name in ("lost", "doubled", "wrong_labels", "silent")}
    assert sums == dict.fromkeys(sums, 0)
    names = {producer.name for producer in POPULATION}
    assert names <= found["producers"].keys()
    assert all(found["producers"][name]["counted"] > 20 for name in names)
    assert found["run"]["requests"] > 5
    (added,) = found["conditions"]
    assert {"features-1", "features-2", "status"} <= set(added["told_by"])
    assert not added["problem"]
