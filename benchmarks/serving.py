"""Recommendations per second against bare torch top-k, and what a swap costs.

    python -m benchmarks.serving [--items 10000] [--seconds 5] [--batch 64] [--threads 1]

Three figures from one run, over the same item vectors, without Kafka:

    bare      cosine of one user vector with every item, torch.topk: nothing else
    ranking   the model of a generation: text similarities, live statistics, head
    serving   a whole micro-batch: states read and parsed, ranked, filtered, encoded
    reasons   the same, and every item gets its reason (``tasks.ranking.model.shapley``)
    why       the same, and every list is kept to be explained, packed as for Redis

    python -m benchmarks.serving --items N --json [--scored auto|exact|candidates]

prints one line instead, over a catalogue with a structure (``benchmarks.made_up``): bare top-k and
whole micro-batches a second, their ratio by processor time, recall@10 of the published lists
against the exact ranking (a sample), milliseconds of a list asked for alone, and the memory
of the process once the store that played Redis is gone.

Users have histories of up to 50 items and statistics of a folded stream. Then generations
are staged and swapped in while micro-batches go on: the pause is the time the serving loop
stands still for the flip, and the first micro-batch after it is shown beside the others.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks import served_lists
from streamrec.core.events import Interaction, Item, Kind, Request, Source
from streamrec.core.release.registry import Action, ControlRecord, RegistryState
from streamrec.core.state.catalogue import Catalogue, item_record
from streamrec.core.state.fold import Located
from streamrec.core.state.statistics import Statistics
from streamrec.core.state.user_state import UserState
from streamrec.infra.clock import SystemClock
from streamrec.infra.stores.registry_store import DirectoryRegistry
from streamrec.loop.serving.generation_follower import GenerationFollower
from streamrec.loop.serving.serve import Server
from streamrec.models.dot_rows import DotRows
from streamrec.models.encoder import TextEncoder
from streamrec.models.generation import read_generation
from streamrec.models.hotswap import Loaded, WarmGenerations
from streamrec.models.item_index import ItemIndex
from streamrec.ports import Delivered, Writes
from streamrec.ports.edges import Edges
from streamrec.settings import Scored
from streamrec.tasks.ranking.example_maker import RankingRules, ranking_fold
from streamrec.tasks.ranking.lists.explainer import Explained, Explainer
from streamrec.tasks.ranking.lists.explanation import packed
from streamrec.tasks.ranking.lists.lists import ListAnswerer
from streamrec.tasks.ranking.lists.state_mirror import Mirror
from streamrec.tasks.ranking.model.served import ServedGeneration, head_expectations
from tests.fakes.language_models import tiny_encoder
from tests.fakes.store import FakePartitionStore
from tests.harness.codec import wire_codec
from tests.harness.generations import new_generation

DIM = 384
USERS = 2_000
EVENTS = 40_000
K = 10
START_MS = 1_767_323_045_000


class NoPublisher:
    """Kafka has its own benchmarks."""

    failures = 0

    def publish(
        self, topic: str, key: bytes | None, value: bytes | None, headers: object = ()
    ) -> None: ...

    def flush(self) -> None: ...


class Silent(Explainer):
    """No reasons."""

    def explain(self, lists, ranking, view):
        del ranking, view
        nothing = np.zeros((0, 0), np.float32)
        return [
            Explained(("",) * len(one.rows), one, nothing, nothing, (), (), {}, 0) for one in lists
        ]


class Packing:
    """Explanations go as far as their bytes."""

    def keep(self, explanations) -> None:
        for one in explanations:
            packed(one)

    def of(self, recommendation_id: str) -> None: ...


class RandomIndex(ItemIndex):
    """Random unit vectors instead of encoded texts: the same work for whoever ranks."""

    def __init__(self, encoder: TextEncoder, items: int) -> None:
        super().__init__(encoder)
        vectors = torch.randn(items, DIM, generator=torch.Generator().manual_seed(0))
        self._random = DotRows(torch.nn.functional.normalize(vectors, dim=-1))

    @property
    def vectors(self) -> torch.Tensor:
        return self._random.vectors_ND

    @property
    def dots(self) -> DotRows:
        return self._random

    def ensure(self, catalogue: object) -> int:
        del catalogue
        return 0


def fill(store: FakePartitionStore, items: int) -> None:
    """A catalogue and a folded stream, as the feature workers would have left them."""
    rng = np.random.default_rng(0)
    catalogue = Catalogue()
    rows = {
        f"i{n}": item_record(Item(f"i{n}", f"item {n}", categories=(f"c{n % 20}", f"d{n % 7}")))
        for n in range(items)
    }
    catalogue.apply_rows(rows)
    store.commit(Source("items", 0), 0, 1, Writes(rows=rows))
    fold = ranking_fold(0, RankingRules(sampled_negatives=1), catalogue, Statistics(catalogue))
    popular = rng.zipf(1.3, EVENTS) % items
    users = rng.integers(USERS, size=EVENTS)
    users_out: dict[str, dict] = {}
    rows_out: dict[str, dict] = {}
    for start in range(0, EVENTS, 500):
        run = [
            Located(
                at,
                START_MS + at * 1000,
                Interaction(
                    f"e{at}", f"u{users[at]}", f"i{popular[at]}", Kind.CLICK, START_MS + at * 1000
                ),
            )
            for at in range(start, min(start + 500, EVENTS))
        ]
        fold.put_users({user: users_out.get(user) for user in fold.missing_users(run)})
        result = fold.apply(run, START_MS)
        users_out |= result.users
        rows_out |= result.rows
    store.commit(Source("events", 0), 0, EVENTS, Writes(users=users_out, rows=rows_out))


def measured(work: Callable[[int], int], seconds: float) -> tuple[float, float]:
    """Runs ``work(turn)``, which returns how many lists it made, for so long.

    Lists per second, and milliseconds of processor time for each: the second says the same
    on a machine that has other things to do.
    """
    work(0)
    done, turn, start, busy = 0, 1, time.perf_counter(), time.process_time()
    while (elapsed := time.perf_counter() - start) < seconds:
        done += work(turn)
        turn += 1
    return done / elapsed, (time.process_time() - busy) / done * 1000


class Bench:
    def __init__(self, items: int, batch: int, scratch: Path) -> None:
        self.batch, self.scratch = batch, scratch
        self.store = FakePartitionStore()
        fill(self.store, items)
        self.mirror = Mirror(self.store, {"events": 1, "items": 1})
        self.mirror.refresh()
        self.encoder = tiny_encoder()
        self.registry = DirectoryRegistry(scratch / "registry")
        self.index = RandomIndex(self.encoder, items)
        self.vectors_ND = self.index.vectors
        self.swap = WarmGenerations(self._load)
        self.follower = GenerationFollower(self.registry, self.swap, self.mirror.catalogue, keep=2)
        edges = Edges(self.store, NoPublisher(), wire_codec(), SystemClock(), lambda _: 0)
        self.servers = {
            name: Server(
                edges,
                ListAnswerer(edges, self.mirror, worker_id="bench", k=K, explainer=explainer),
            )
            for name, explainer in (
                ("serving", Silent()),
                ("reasons", Explainer()),
                ("why", Explainer(Packing(), per_s=1e9)),
            )
        }
        self.users = [f"u{n}" for n in range(USERS)]
        self.state = RegistryState()

    def _load(
        self, generation: str, directory: Path, catalogue: Catalogue, warm: object
    ) -> Loaded[ServedGeneration]:
        """Every generation ranks by the same random vectors."""
        del generation, warm
        read = read_generation(directory, head_expectations(self.encoder))
        return Loaded(ServedGeneration(read, self.index, catalogue), self.index)

    def requests(self, turn: int) -> list[Delivered]:
        start = turn * self.batch
        names = [self.users[(start + n) % USERS] for n in range(self.batch)]
        return [
            Delivered(
                "requests", 0, start + n, START_MS, None, b"", Request(f"r{start + n}", name, 0, K)
            )
            for n, name in enumerate(names)
        ]

    def release(self, sequence: int) -> None:
        """Everything of a swap but the flip, as the loader thread does it."""
        directory = self.scratch / f"made-{sequence}"
        generation = new_generation(directory, self.encoder, sequence)
        self.registry.put(generation, directory)
        former = (*self.state.history, self.state.champion) if self.state.champion else ()
        staged = RegistryState(
            sequence * 2, self.state.champion, self.state.history, staged=generation
        )
        self.follower.follow(ControlRecord(Action.STAGE, "b", "", 0, staged, generation))
        self.follower.prepare()
        self.state = RegistryState(sequence * 2 + 1, generation, former[-3:])
        self.follower.follow(ControlRecord(Action.ACTIVATE, "b", "", 0, self.state, generation))

    def bare(self, turn: int) -> int:
        users_BD = self.vectors_ND[(torch.arange(self.batch) * 97 + turn) % len(self.vectors_ND)]
        torch.topk(users_BD @ self.vectors_ND.T, K)
        return self.batch

    def ranking(self, turn: int) -> int:
        names = [self.users[(turn * self.batch + n) % USERS] for n in range(self.batch)]
        _, records = self.store.read_users(Source("events", 0), names)
        states = [UserState.from_record(r) if r else UserState() for r in records]
        model = self.swap.active
        with self.mirror.view() as view:
            scores = model.rank(states, [view.watermark_ms] * len(states), view.features)
        np.argpartition(-scores, K, axis=1)
        return self.batch

    def serve(self, name: str, turn: int) -> int:
        batch = self.requests(turn)
        return len(self.servers[name].serve(batch, self.swap.active).answers)

    def serving(self, turn: int) -> int:
        return self.serve("serving", turn)

    def reasons(self, turn: int) -> int:
        return self.serve("reasons", turn)

    def why(self, turn: int) -> int:
        return self.serve("why", turn)

    def swaps(self, count: int) -> tuple[list[float], list[float], list[float]]:
        """Pauses, first micro-batches after a flip, and all other micro-batches, in ms."""
        pauses, firsts, others = [], [], []
        finished = threading.Event()

        def releases() -> None:
            for sequence in range(100, 100 + count):
                self.release(sequence)
                while self.swap.active.generation != self.state.champion:
                    time.sleep(0.001)
                time.sleep(0.05)
            finished.set()

        thread = threading.Thread(target=releases)
        thread.start()
        turn = 0
        while not finished.is_set():
            start = time.perf_counter()
            flipped = self.follower.flip()
            if flipped:
                pauses.append((time.perf_counter() - start) * 1000)
            start = time.perf_counter()
            self.reasons(turn)
            (firsts if flipped else others).append((time.perf_counter() - start) * 1000)
            turn += 1
        thread.join()
        return pauses, firsts, others


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--swaps", type=int, default=100)
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: as it decides")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--scored", choices=[one.value for one in Scored], default=Scored.AUTO)
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    if given.json:
        print(json.dumps(served_lists.figures(given.items, given.seconds, Scored(given.scored))))
        return
    print(f"{given.items} items x {DIM}, micro-batches of {given.batch}, k {K}, "
          f"{torch.get_num_threads()} threads")  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(given.items, given.batch, Path(scratch))
        bench.release(1)
        bench.follower.flip()
        bare_rate, bare_ms = measured(bench.bare, given.seconds)
        print(f"{'bare':8} {bare_rate:8.0f} lists/s, {bare_ms:.3f} ms processor time each")
        for work in (bench.ranking, bench.serving, bench.reasons, bench.why):
            rate, each_ms = measured(work, given.seconds)
            print(
                f"{work.__name__:8} {rate:8.0f} lists/s, {each_ms:.3f} ms; ratio to bare top-k "
                f"{rate / bare_rate:.3f} ({bare_ms / each_ms:.3f} by processor time)"
            )
        pauses, firsts, others = bench.swaps(given.swaps)
    for name, times_ms in (
        ("swap pause", pauses),
        ("micro-batch", others),
        ("first after a swap", firsts),
    ):
        p50, p99 = np.percentile(times_ms, (50, 99))
        print(f"{name:18} p50 {p50:8.3f} ms, p99 {p99:8.3f} ms ({len(times_ms)} measured)")


if __name__ == "__main__":
    main()
