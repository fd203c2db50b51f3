"""What the learner makes of a recorded stream stays the same, to the last bit.

A change that is meant to change it records what ``python -m tests.harness.same_bits`` prints.
Floating point differs between processors: where none of their kind is recorded, the report's
numbers are compared, and a warning says that the bits were not.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamrec.settings import Settings, child_environment
from tests.harness.servers import REPOSITORY

DATA = REPOSITORY.parent / "shared" / "data" / "movietweetings-100k"
RECORDED = Path(__file__).with_name("same_bits.json")
TOLERANCE = 0.003
FEW = 500
"""A share of fewer moves too far when one of them does."""

pytestmark = [pytest.mark.slow, pytest.mark.encoder, pytest.mark.timeout(900)]


def shares(report: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Every number of a report that is a share of enough."""
    if report.get("n", FEW) < FEW:
        return
    for name, value in report.items():
        if isinstance(value, dict):
            yield from shares(value, f"{path}{name}/")
        elif isinstance(value, float):
            yield path + name, value


@pytest.mark.skipif(not DATA.is_dir(), reason="the MovieTweetings data set is not beside us")
def test_a_replay_gives_the_same_report_and_the_same_generations_to_the_last_bit() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.harness.same_bits", str(DATA)],
        env=child_environment(Settings()) | {"OMP_NUM_THREADS": "1"}, cwd=REPOSITORY,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found, recorded = json.loads(done.stdout), json.loads(RECORDED.read_text())
    if digests := recorded["digests"].get(found["processor"]):
        assert {name: found[name] for name in digests} == digests
    else:
        sys.stderr.write(f"{found['processor']}: no digests are recorded, numbers are compared\n")
        expected = dict(shares(recorded["numbers"]))
        assert dict(shares(found["numbers"])) == pytest.approx(expected, abs=TOLERANCE)
        assert found["numbers"]["learning"] == recorded["numbers"]["learning"]
