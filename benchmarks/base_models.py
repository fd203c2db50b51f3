"""What a base language model is worth, and what it costs: one line a model, resumable.

    STREAMREC_ENCODER=… python -m benchmarks.base_models DIRECTORY NAME --results OUT
                            [--events 20000] [--seed 0] [--both-lanes | --without]
    python -m benchmarks.base_models DIRECTORY --results OUT [--against NAME]

The first measures the model that the settings name, and keeps what it found in OUT under NAME;
the second prints what is there. DIRECTORY holds items.jsonl and events.jsonl
(benchmarks/datasets.py). A line is one pass, predict then learn, full catalogue: our learner and
the baseline *frozen*, both on this model's vectors, or on none (``--without``). Second half; gains
averaged over seeds; differences to the model ``--against`` over the same events, paired bootstrap
over users, 95 %.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.ablations import kept_or_played
from benchmarks.prepared import FAST, prepare
from streamrec.core.state.catalogue import Catalogue
from streamrec.lab.measures.leaderboard import FEW, Prediction, ScoredSpan, gain, second_half
from streamrec.lab.measures.significance import paired_bootstrap
from streamrec.lab.replay.recorded import RecordedStream
from streamrec.lab.replay.replay import Replay, ReplayOptions
from streamrec.lab.replay.rivals import frozen_config, strongest_statistics
from streamrec.models.item_index import item_text
from streamrec.models.loading import load_encoder
from streamrec.settings import load
from streamrec.tasks.ranking.model.config import learner_config
from streamrec.tasks.ranking.model.learner import LearnerConfig, OnlineLearner

STATISTICS_PART = 0.3  # frozen's half-lives are chosen on it, as by ``streamrec replay``
TIMED_TEXTS = 1_500
Result = dict[str, Any]


class NoVectors:
    """The index of a model that has nothing to say."""

    def __init__(self, items: int) -> None:
        self.vectors = torch.zeros(items, 1)

    def ensure(self, catalogue: Catalogue) -> int:  # noqa: ARG002 - the protocol's
        return 0


def played(
    directory: Path, events: int, seed: int, *, both_lanes: bool = False, without: bool = False
) -> Result:
    """Gains of both contestants, user and slice of every prediction, and what it cost."""
    prepared = prepare(directory, events)
    stream, options = RecordedStream(prepared.items, prepared.events), ReplayOptions(seed=seed)
    until = int(STATISTICS_PART * len(prepared.events))
    statistics = strongest_statistics(stream, prepared.catalogue, options, until)
    settings = load()
    settings = replace(settings, trainer=replace(settings.trainer, seed=seed))
    recipe = learner_config(settings, prepared.encoder) if both_lanes else FAST
    index = NoVectors(len(prepared.items)) if without else prepared.index

    def made(recipe: LearnerConfig) -> OnlineLearner:
        return OnlineLearner(prepared.catalogue, index, seed, recipe, prepared.encoder)

    learner, frozen = made(recipe), made(frozen_config(statistics))
    replay = Replay(stream, prepared.catalogue, learner, options, {"frozen": frozen})
    cpu_s = time.process_time()
    ours, theirs = replay.play()
    cpu_s = time.process_time() - cpu_s
    learner.close()
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        **columns(second_half(ours.predictions, replay.span), replay.span),
        "frozen": columns(second_half(theirs.predictions, replay.span), replay.span)["gain"],
        "texts_per_s": texts_per_s([item_text(item) for item in prepared.items[:TIMED_TEXTS]]),
        "replay_cpu_s": cpu_s,
        "memory_mb": memory_mb,
    }


def texts_per_s(texts: Sequence[str]) -> float:
    """Of processor time, by an encoder that has seen none of them."""
    encoder = load_encoder(load().encoder)
    encoder.encode([f"{n}" for n in range(100)])  # kernels are made on first use
    cpu_s = time.process_time()
    encoder.encode(texts)
    return len(texts) / (time.process_time() - cpu_s)


def columns(predictions: Sequence[Prediction], span: ScoredSpan) -> Result:
    kept = [(p, g) for p, g in ((p, gain(p)) for p in predictions) if g is not None]
    return {
        "gain": np.array([g for _, g in kept]),
        "user": np.unique([p.user_id for p, _ in kept], return_inverse=True)[1],
        "new_user": np.array([p.history < FEW for p, _ in kept]),
        "new_item": np.array([p.item_accepts < FEW for p, _ in kept]),
        "last_quarter": np.array([p.number >= span.part(0.75) for p, _ in kept]),
    }


def averaged(results: Sequence[Result]) -> Result:
    """Gains and costs averaged over seeds; the events are the same."""
    mean = {name: np.mean([r[name] for r in results], axis=0) for name in results[0]}
    return mean | {name: column for name, column in results[0].items() if column.dtype.kind in "bi"}


def difference(users_E: np.ndarray, one_E: np.ndarray, other_E: np.ndarray) -> str:
    compared = paired_bootstrap(users_E, one_E, other_E, np.random.default_rng(0), 2_000)
    low, high = compared.difference_interval
    text = f"{compared.difference:+.4f}"
    return f"{f'**{text}**' if compared.significant else text} [{low:+.4f}, {high:+.4f}]"


def row(name: str, one: Result, base: Result, seeds: int) -> str:
    cells = [name, str(seeds)]
    for column, part in (("gain", None), ("gain", "new_item"), ("frozen", None)):
        chosen_E = one[part] if part else np.ones(len(one["gain"]), bool)
        gain_E, base_E = one[column][chosen_E], base[column][chosen_E]
        cells += [f"{gain_E.mean():.4f}", difference(one["user"][chosen_E], gain_E, base_E)]
    cells += [f"{one['texts_per_s']:.0f}", f"{one['replay_cpu_s']:.0f} s"]
    return "| " + " | ".join([*cells, f"{one['memory_mb'] / 1024:.1f} GB"]) + " |"


def table(results: Path, run: str, against: str) -> None:
    """Every model that was measured in this run (events and lanes)."""
    by_name: dict[str, list[Result]] = {}
    for path in sorted(results.glob(f"{run}-*[0-9].npz")):
        with np.load(path) as file:
            by_name.setdefault(path.stem.removeprefix(f"{run}-").rpartition("-")[0], []).append(
                dict(file)
            )
    if against not in by_name:
        raise SystemExit(f"{against} has not been measured yet; there are {', '.join(by_name)}")
    print("| model | seeds | NDCG@10 | | new items | | frozen | | texts/s | replay | memory |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name, found in by_name.items():
        base = averaged(by_name[against][: len(found)])
        print(row(name, averaged(found), base, len(found)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("name", nargs="?", help="of the line; without it, print what is there")
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    lanes = parser.add_mutually_exclusive_group()
    lanes.add_argument("--both-lanes", action="store_true", help="train the encoder's LoRA too")
    lanes.add_argument("--without", action="store_true", help="take the vectors away")
    parser.add_argument("--against", default="all-MiniLM-L6-v2", help="the line to compare with")
    wish = parser.parse_args()
    torch.set_num_threads(1)
    run = f"{wish.directory.name}-{wish.events}-{'both' if wish.both_lanes else 'fast'}"
    if wish.name is None:
        table(wish.results, run, wish.against)
        return
    wish.results.mkdir(parents=True, exist_ok=True)
    kept_or_played(
        wish.results / f"{run}-{wish.name}-{wish.seed}.npz",
        lambda: played(
            wish.directory,
            wish.events,
            wish.seed,
            both_lanes=wish.both_lanes,
            without=wish.without,
        ),
    )


if __name__ == "__main__":
    main()
