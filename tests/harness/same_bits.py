"""The replay of a recorded stream, as digests: of its report, and of every generation it made.

    python -m tests.harness.same_bits DATA

prints one JSON object. One thread, both lanes, seed 0. For a process of its own: how torch
computes (its threads) is settled when it is imported.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.datasets import movietweetings, write
from streamrec import settings as reader
from streamrec.lab.replay.replay_main import ReplayPlan, run_replay
from streamrec.tasks.ranking.model.learner import OnlineLearner

EVENTS = 5_000


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def processor() -> str:
    """Whose bits these are: who made the processor, which of its instructions are used, torch."""
    vendors = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("vendor_id")
    ]
    vendor = vendors[0] if vendors else "another"
    version = torch.__version__.partition("+")[0]
    return f"{vendor} {torch.backends.cpu.get_cpu_capability()} torch {version}"


def replayed(data: Path, scratch: Path) -> tuple[dict[str, Any], list[list[tuple[str, str]]]]:
    """The report without its times, and by generation the digests of its files."""
    generations: list[list[tuple[str, str]]] = []

    class WritingLearner(OnlineLearner):
        def snapshot(self) -> Any:
            scorer = super().snapshot()
            with TemporaryDirectory(dir=scratch) as directory:
                self.write_generation(scorer, Path(directory))
                files = [path for path in Path(directory).rglob("*") if path.is_file()]
                generations.append(
                    sorted((p.name, hashlib.sha256(p.read_bytes()).hexdigest()) for p in files)
                )
            return scorer

    items, rows = movietweetings(data)
    write(scratch, items, rows[:EVENTS])
    plan = ReplayPlan(items=scratch / "items.jsonl", events=scratch / "events.jsonl")
    report = run_replay(reader.load(), plan, new_learner=WritingLearner)
    report["learning"].pop("seconds")
    return report, generations


def main(data: Path) -> None:
    torch.set_num_threads(1)
    with TemporaryDirectory() as scratch:
        report, generations = replayed(data, Path(scratch))
    found = {
        "processor": processor(),
        "report": digest(report),
        "generations": [len(generations), digest(generations)],
        "numbers": report,
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
