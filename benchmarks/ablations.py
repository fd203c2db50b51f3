"""What each part of online learning is worth: one table, resumable.

    python -m benchmarks.ablations DIRECTORY --results OUT [--events 20000] [--seeds 2]
                                   [--only no-replay,recent-only]

DIRECTORY holds items.jsonl and events.jsonl (benchmarks/datasets.py). Every variant is one
replay of the head, predict then learn, for each seed; OUT keeps one file for each, so a
run that was stopped goes on where it was, and variants can be added. Differences are to
``base``, second half, gains averaged over seeds, paired bootstrap over users, 95 %.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.prepared import FAST, Prepared, prepare
from streamrec.lab.measures.leaderboard import FEW, gain, second_half
from streamrec.lab.measures.significance import paired_bootstrap
from streamrec.lab.recipes import early_stopping, proximal, proximal_kl, rate_cycles
from streamrec.lab.replay.compare import LearnsUntil
from streamrec.lab.replay.contest import ReplayLearner
from streamrec.lab.replay.recorded import RecordedStream
from streamrec.lab.replay.replay import Replay, ReplayOptions
from streamrec.tasks.ranking.model.learner import LearnerConfig
from streamrec.tasks.ranking.quota import QuotaRules

Floats = np.ndarray[Any, np.dtype[np.float64]]


def head(**changes: Any) -> LearnerConfig:
    return replace(FAST, head=replace(FAST.head, **changes))


MEMORY = FAST.recent + FAST.reservoir
VARIANTS: Mapping[str, LearnerConfig] = {
    "base": FAST,
    "no-replay": replace(FAST, replayed=0),
    "recent-only": replace(FAST, recent=MEMORY, reservoir=0),
    "reservoir-only": replace(FAST, recent=FAST.step_examples, reservoir=MEMORY),
    "half-memory": replace(FAST, recent=FAST.recent // 2, reservoir=FAST.reservoir // 2),
    "replay-100": replace(FAST, replayed=100),
    "proximal-1e-3": proximal.pulled(FAST, 1e-3),
    "proximal-1e-2": proximal.pulled(FAST, 1e-2),
    "proximal-kl-0.1": proximal_kl.pulled(FAST, 0.1),
    "proximal-kl-1": proximal_kl.pulled(FAST, 1.0),
    "cycle-64": rate_cycles.cycling(FAST, 64),
    "cycle-256": rate_cycles.cycling(FAST, 256),
    "early-stopping-16": early_stopping.stopping(FAST, 16),
    "early-stopping-64": early_stopping.stopping(FAST, 64),
    "no-averaging": head(averaging=0.0),
    "no-warm-up": head(warmup_steps=1),
    "linear": head(hidden=False),
    "no-quota": replace(FAST, quota=QuotaRules(user_share=1.0, item_share=1.0)),
}
STATIC = "static"
STATIC_PART = 0.3


def made(prepared: Prepared, name: str, seed: int) -> ReplayLearner:
    if name == STATIC:
        return LearnsUntil(prepared.learner(FAST, seed), int(STATIC_PART * len(prepared.events)))
    return prepared.learner(VARIANTS[name], seed)


def played(prepared: Prepared, name: str, seed: int) -> dict[str, Any]:
    """Gain, user, and slice columns of every prediction of the second half."""
    stream = RecordedStream(prepared.items, prepared.events)
    replay = Replay(stream, prepared.catalogue, made(prepared, name, seed), ReplayOptions())
    (contestant,) = replay.play()
    kept = [(p, gain(p)) for p in second_half(contestant.predictions, replay.span)]
    kept = [(p, g) for p, g in kept if g is not None]
    return {
        "gain": np.array([g for _, g in kept]),
        "user": np.unique([p.user_id for p, _ in kept], return_inverse=True)[1],
        "new_user": np.array([p.history < FEW for p, _ in kept]),
        "new_item": np.array([p.item_accepts < FEW for p, _ in kept]),
        "last_quarter": np.array([p.number >= replay.span.part(0.75) for p, _ in kept]),
    }


def kept_or_played(path: Path, play: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    if not path.exists():
        unfinished = path.with_suffix(".tmp.npz")
        np.savez_compressed(unfinished, **play())
        unfinished.rename(path)
    with np.load(path) as file:
        return dict(file)


def row(name: str, results: list[dict[str, Any]], base_E: Floats) -> str:
    gains_E: Floats = np.mean([r["gain"] for r in results], axis=0)
    first = results[0]
    cells = [f"{gains_E.mean():.4f}"]
    if name == "base":
        cells.append("")
    else:
        c = paired_bootstrap(first["user"], gains_E, base_E, np.random.default_rng(0), 2_000)
        low, high = c.difference_interval
        cells.append(f"{c.difference:+.4f} [{low:+.4f}, {high:+.4f}]")
    for part in ("new_user", "new_item", "last_quarter"):
        chosen_E = first[part]
        cells.append(f"{gains_E[chosen_E].mean():.4f}" if chosen_E.any() else "")
    return "| " + " | ".join([name, *cells]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description="Ablations of online learning.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", default="", help="some of: " + ", ".join([*VARIANTS, STATIC]))
    arguments = parser.parse_args()
    names = [n for n in arguments.only.split(",") if n] or [*VARIANTS, STATIC]
    if unknown := set(names) - {*VARIANTS, STATIC}:
        parser.error(f"no variant {', '.join(sorted(unknown))}")
    names = list(dict.fromkeys(["base", *names]))
    torch.set_num_threads(1)
    arguments.results.mkdir(parents=True, exist_ok=True)
    prepared = prepare(arguments.directory, arguments.events)
    print("| | gain | to base | new users | new items | last quarter |\n|---|---|---|---|---|---|")
    base_E: Floats = np.zeros(0)
    for name in names:
        results = [
            kept_or_played(
                arguments.results / f"{name}-{arguments.events}-{seed}.npz",
                lambda name=name, seed=seed: played(prepared, name, seed),  # type: ignore[misc]
            )
            for seed in range(arguments.seeds)
        ]
        if name == "base":
            base_E = np.mean([r["gain"] for r in results], axis=0)
        print(row(name, results, base_E), flush=True)


if __name__ == "__main__":
    main()
