"""How long a start takes, in seconds and in processor seconds, and where they go.

    python -m benchmarks.startup [--runs 3] [--checkout DIRECTORY] [--json]

Runs ``streamrec demo`` until it says that everything is ready, and then stops it. Each time it
says something, the processor time of every process it has started is added up. Three kinds of
starts:

    uncompiled   Python has an empty place for bytecode: every module is compiled
    compiled     the same place again, so that it holds what a start needs
    installed    whatever bytecode lies beside the modules, and none is written: the first run
                 after the install

Beside them, ``import torch`` alone, the same three ways: no start of a loop that learns is
cheaper. The best of the runs counts, the uncompiled start runs once. Nothing is downloaded: the
data set is fetched before.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from streamrec.infra.stores.datasets import movielens_100k

LIMIT_S = 12.0
READY = "everything is ready"
PHASES = {
    "Kafka at": "servers",
    "films sent": "imports, topics, catalogue",
    READY: "models, first generation, catalogue encoded",
}
"""What the demo says at the end of each phase."""


@dataclass
class Start:
    """One start: seconds until it was ready, and processor seconds by process and by phase."""

    wall_s: float = 0.0
    phases_s: dict[str, float] = field(default_factory=dict)
    processor_s: dict[str, float] = field(default_factory=dict)
    torch_wall_s: float = 0.0
    torch_processor_s: float = 0.0

    @property
    def whole_s(self) -> float:
        """Processor seconds of all processes."""
        return sum(self.processor_s.values())


def measure(checkout: Path, datasets: Path, environment: Mapping[str, str]) -> Start:
    """Start the demo of ``checkout``, look at it each time it speaks, and stop it."""
    with tempfile.TemporaryDirectory(prefix="streamrec-bench-") as state_dir:
        shutil.copytree(datasets, Path(state_dir) / "datasets")
        begun_s = time.monotonic()
        demo = subprocess.Popen(
            [sys.executable, "-m", "streamrec", "demo", "--seconds", "600"],
            cwd=checkout,
            env={**environment, "STREAMREC_STATE_DIR": state_dir},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            start = watch(demo, begun_s)
        finally:
            demo.send_signal(signal.SIGINT)
            demo.communicate(timeout=120)
    start.torch_wall_s, start.torch_processor_s = bare_torch(environment)
    return start


def watch(demo: subprocess.Popen[str], begun_s: float) -> Start:
    """Read what it says until it is ready."""
    start, since_s, said = Start(), begun_s, []
    for line in demo.stderr or ():
        said.append(line)
        phase = next((phase for words, phase in PHASES.items() if words in line), None)
        if phase is None:
            continue
        now_s = time.monotonic()
        start.phases_s[phase], since_s = now_s - since_s, now_s
        if READY in line:
            start.wall_s, start.processor_s = now_s - begun_s, processor_seconds(demo.pid)
            return start
    raise SystemExit(f"the demo never got ready; it said:\n{''.join(said)}")


def processor_seconds(pid: int) -> dict[str, float]:
    """User and system time so far, by process, of a process and all it has started."""
    found: dict[str, float] = {}
    parent = psutil.Process(pid)
    for process in (parent, *parent.children(recursive=True)):
        try:
            times, name = process.cpu_times(), name_of(process, pid)
        except psutil.NoSuchProcess:
            continue
        ended_s = times.children_user + times.children_system  # children that are gone
        found[name] = found.get(name, 0.0) + times.user + times.system + ended_s
    return found


def name_of(process: psutil.Process, demo: int) -> str:
    """What it is to us; a worker bears its name."""
    if process.pid == demo:
        return "demo"
    name, command = process.name(), " ".join(process.cmdline())
    if name.startswith("python"):
        known = ("forkserver", "resource_tracker")
        return next((word for word in known if word in command), command[-40:])
    return name


def bare_torch(environment: Mapping[str, str]) -> tuple[float, float]:
    """Seconds and processor seconds of a Python that imports torch and ends."""
    begun_s, before = time.monotonic(), os.times()
    subprocess.run([sys.executable, "-c", "import torch"], env=environment, check=True)
    after = os.times()
    spent_s = after.children_user + after.children_system
    spent_s -= before.children_user + before.children_system
    return time.monotonic() - begun_s, spent_s


def all_starts(checkout: Path, runs: int) -> dict[str, list[Start]]:
    """By kind, in the order in which they were measured."""
    ours = ("PYTHON", "STREAMREC_")
    plain = {n: v for n, v in os.environ.items() if not n.startswith(ours)}  # noqa: TID251
    plain |= {"PYTHONPATH": str(checkout), "PYTHONUNBUFFERED": "1"}
    datasets = Path(".streamrec") / "datasets"
    movielens_100k(datasets, print)
    with tempfile.TemporaryDirectory(prefix="streamrec-bytecode-") as bytecode:
        kinds = {
            "uncompiled": plain | {"PYTHONPYCACHEPREFIX": bytecode},
            "compiled": plain | {"PYTHONPYCACHEPREFIX": bytecode},
            "installed": plain | {"PYTHONDONTWRITEBYTECODE": "1"},
        }
        return {
            kind: [
                measure(checkout, datasets, environment)
                for _ in range(1 if kind == "uncompiled" else runs)
            ]
            for kind, environment in kinds.items()
        }


def show(kind: str, starts: list[Start]) -> None:
    wall_s, best = min(s.wall_s for s in starts), min(starts, key=lambda start: start.whole_s)
    torch_s = min(s.torch_processor_s for s in starts)
    print(f"\n{kind}: the best of {len(starts)}")
    print(f"  ready after {wall_s:5.1f} s, limit {LIMIT_S:g} s, ratio {wall_s / LIMIT_S:.2f}")
    print(f"  processor   {best.whole_s:5.1f} s, bare torch {torch_s:.1f} s", end="")
    print(f", ratio {best.whole_s / torch_s:.1f}")
    for phase, seconds in best.phases_s.items():
        print(f"    {seconds:6.1f} s            {phase}")
    for name, seconds in sorted(best.processor_s.items(), key=lambda item: -item[1]):
        print(f"    {seconds:6.1f} s processor  {name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="starts of each kind")
    parser.add_argument("--checkout", type=Path, default=Path.cwd(), help="of another commit")
    parser.add_argument("--json", action="store_true", help="every start, for a script to read")
    options = parser.parse_args()
    found = all_starts(options.checkout.absolute(), options.runs)
    if options.json:
        print(json.dumps({kind: [asdict(s) for s in starts] for kind, starts in found.items()}))
        return
    for kind, starts in found.items():
        show(kind, starts)


if __name__ == "__main__":
    main()
