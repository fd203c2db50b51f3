"""Events a second that one core learns from and predicts, without Kafka.

    python -m benchmarks.fast_lane [--events 6000] [--items 10000]

Every event is a click by one of 2,000 users, skewed over users and items. Each is ranked
against the whole catalogue, folded, and learned from (32 fresh examples and 200 replayed
ones a step), over fixed random vectors of 384 dimensions: the encoder's part is measured in
benchmarks/encoder.py. Processor time is counted, so a busy machine changes little; the
ratios are against what must be done anyway: a bare product of the same histories with the
same catalogue (torch), which finds the most similar items and learns nothing.
"""

from __future__ import annotations

import argparse
import platform
import time
from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional

from streamrec.core.events import Interaction, Item, Kind
from streamrec.core.state.catalogue import Catalogue
from streamrec.lab.replay.recorded import RecordedStream
from streamrec.lab.replay.replay import Replay, ReplayOptions
from streamrec.models.item_index import FixedVectors
from streamrec.tasks.ranking.model.learner import LearnerConfig, OnlineLearner
from streamrec.tasks.ranking.model.similarity import RECENT

DIM = 384
USERS = 2_000


def made_up(items: int) -> FixedVectors:
    """An index that is complete from the start."""
    generator = torch.Generator().manual_seed(0)
    return FixedVectors(functional.normalize(torch.randn(items, DIM, generator=generator), dim=1))


def stream(events: int, items: int) -> RecordedStream:
    rng = np.random.default_rng(0)
    catalogue = [Item(f"i{n}", f"Item {n}", categories=(f"c{n % 18}",)) for n in range(items)]
    users = (USERS * rng.random(events) ** 2).astype(int)
    chosen = (items * rng.random(events) ** 3).astype(int)
    clicks = [
        Interaction(f"e{n}", f"u{user}", f"i{item}", Kind.CLICK, 1_700_000_000_000 + n * 30_000)
        for n, (user, item) in enumerate(zip(users.tolist(), chosen.tolist(), strict=True))
    ]
    return RecordedStream(catalogue, clicks)


def events_per_second(whole: RecordedStream, *, learn: bool) -> float:
    catalogue = Catalogue()
    catalogue.put(whole.items)
    vectors = made_up(len(whole.items))
    learner = OnlineLearner(catalogue, vectors, 0, replace(LearnerConfig(), adapter=None))
    replay = Replay(whole, catalogue, learner, ReplayOptions(learn=learn))
    began = time.process_time()
    replay.run()
    return len(whole.events) / (time.process_time() - began)


def bare_per_second(items: int, repeats: int = 40) -> float:
    """Histories of RECENT items against the catalogue, eight users at once: product, maximum."""
    vectors_ND = made_up(items).vectors
    keys_KD = vectors_ND[: 8 * RECENT].clone()
    began = time.process_time()
    for _ in range(repeats):
        (keys_KD @ vectors_ND.T).view(8, RECENT, -1).amax(1).topk(10)
    return 8 * repeats / (time.process_time() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description="Fast lane: events a second on one core.")
    parser.add_argument("--events", type=int, default=6_000)
    parser.add_argument("--items", type=int, default=10_000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    whole = stream(arguments.events, arguments.items)
    bare = bare_per_second(arguments.items)
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, one thread")
    print(f"bare similarity product   {bare:8.0f} users/s")
    for name, learn in (("predict only", False), ("predict and learn", True)):
        rate = events_per_second(whole, learn=learn)
        print(f"{name:24}  {rate:8.0f} events/s   ratio {rate / bare:.2f}")


if __name__ == "__main__":
    main()
