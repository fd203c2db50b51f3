"""``streamrec train --labels`` with a real language model, killed and gone on with."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streamrec.lab.labels.checkpoint import CHECKPOINT
from streamrec.lab.labels.fitting import FitPlan
from streamrec.lab.labels.main import LabelsPlan, run_labels
from streamrec.settings import load

pytestmark = pytest.mark.encoder

GOOD = ("clever", "warm", "funny", "gripping", "lovely", "sharp", "touching", "bold")
BAD = ("dull", "cold", "clumsy", "tired", "flat", "lazy", "loud", "hollow")
PARTS = ("plot", "cast", "music", "ending", "dialogue", "opening", "pace", "camera work")
FORMS = (
    "The {other} was {aside}, but the {one} was {main}.",
    "Although the {other} was {aside}, the {one} was {main}.",
    "The {one} was {main}, although the {other} was {aside}.",
    "The {one} was {main}, even if the {other} was {aside}.",
)


def opinions(count: int, seed: int = 0) -> list[dict[str, object]]:
    """Label 1 where the main clause praises; the other one says the opposite."""
    drawn = random.Random(seed)
    rows: list[dict[str, object]] = []
    for _ in range(count):
        (one, other), label = drawn.sample(PARTS, 2), drawn.randrange(2)
        good, bad = drawn.choice(GOOD), drawn.choice(BAD)
        main, aside = (good, bad) if label else (bad, good)
        text = drawn.choice(FORMS).format(one=one, other=other, main=main, aside=aside)
        rows.append({"text": text, "label": label})
    return rows


def test_a_real_model_learns_what_it_did_not_say_frozen_and_survives_a_kill(tmp_path: Path) -> None:
    labels = tmp_path / "opinions.jsonl"
    labels.write_text("".join(json.dumps(row) + "\n" for row in opinions(700)))
    out = tmp_path / "killed"
    shares, epochs, rate = (0.6, 0.15, 0.25), 3, 2e-3
    command = [
        *(sys.executable, "-m", "streamrec", "train", "--labels", str(labels), "--out", str(out)),
        *("--split", "0.6,0.15,0.25", "--epochs", str(epochs), "--rate", str(rate)),
    ]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        ends = time.monotonic() + 120
        while not (out / CHECKPOINT).exists():
            assert running.poll() is None
            assert time.monotonic() < ends
            time.sleep(0.05)
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()

    plan = LabelsPlan(str(labels), out, fit=FitPlan(epochs, rate=rate), shares=shares, resume=True)
    report = run_labels(load(), plan)
    whole = LabelsPlan(str(labels), tmp_path / "whole", fit=plan.fit, shares=shares)
    assert run_labels(load(), whole)["sha256"] == report["sha256"]
    over = report["test"]["adapter_over_frozen"]
    assert over["low"] > 0
    assert report["test"]["adapter"]["accuracy"] > 0.9
