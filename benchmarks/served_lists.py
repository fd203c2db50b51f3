"""One line of figures for ``benchmarks.serving --json``: lists of a catalogue of any size.

Legend: N items, B lists of a micro-batch.
"""

from __future__ import annotations

import gc
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import torch

from benchmarks import made_up
from streamrec.core.events import Request, Source
from streamrec.core.state.user_state import NEW_USER, UserState
from streamrec.infra.clock import SystemClock
from streamrec.models.generation import read_generation
from streamrec.ports import Delivered
from streamrec.ports.edges import Edges
from streamrec.settings import Scored
from streamrec.tasks.ranking.candidates.ranking import CandidateRanking, RowScorer
from streamrec.tasks.ranking.candidates.switch import candidates_from
from streamrec.tasks.ranking.lists.lists import ListAnswerer
from streamrec.tasks.ranking.lists.model_ports import PoolRequest
from streamrec.tasks.ranking.lists.state_mirror import Mirror
from streamrec.tasks.ranking.model.head import Head
from streamrec.tasks.ranking.model.served import ServedGeneration, head_expectations
from tests.fakes.language_models import tiny_encoder
from tests.fakes.store import FakePartitionStore
from tests.harness.codec import wire_codec
from tests.harness.generations import new_generation

DIM, K, BATCH = 384, 10, 64
USERS, EVENTS = 256, 5_000
AUDITED = 30
"""Lists that are held against the exact ranking."""
ALONE = 64
"""Lists that are asked for alone."""


class NoPublisher:
    failures = 0

    def publish(self, *_: object) -> None: ...

    def flush(self) -> None: ...


class World:
    """A serving worker's state, and the generation that answers."""

    def __init__(self, items: int, scored: Scored, scratch: Path) -> None:
        self.store = FakePartitionStore()
        made_up.fill(self.store, items, USERS, EVENTS)
        said("the store is filled")
        self.mirror = Mirror(self.store, {"events": 1, "items": 1})
        self.mirror.refresh()
        self.store.partitions = {
            source: partition
            for source, partition in self.store.partitions.items()
            if source.topic == "events"
        }
        for partition in self.store.partitions.values():
            partition.rows.clear()
        gc.collect()
        said("the mirror is filled")
        encoder = tiny_encoder()
        self.index = made_up.DrawnIndex(encoder, made_up.vectors(items, DIM))
        head = self.usual_head()
        new_generation(scratch / "made", encoder, 1, head=head)
        read = read_generation(scratch / "made", head_expectations(encoder))
        start = time.process_time()
        catalogue = self.mirror.catalogue
        self.model = ServedGeneration(read, self.index, catalogue, candidates_from(scored))
        said(f"the model is ready: {time.process_time() - start:.1f} s of a core for its index")
        edges = Edges(self.store, NoPublisher(), wire_codec(), SystemClock(), lambda _: 0)
        self.answerer = ListAnswerer(edges, self.mirror, worker_id="bench", k=K)

    def usual_head(self) -> Head:
        """Standardised on what its inputs are for some users and any items, half of them chosen."""
        head, rng = made_up.usual_head(), np.random.default_rng(0)
        _, records = self.store.read_users(Source("events", 0), [f"u{n}" for n in range(100)])
        users = [
            NEW_USER if record is None else UserState.from_record(record) for record in records
        ]
        with self.mirror.view() as view:
            catalogue = view.catalogue
            asked = [PoolRequest(user, view.watermark_ms, K) for user in users]
            chosen = [catalogue.rows(user.consumed) for user in users]
            rows = [
                np.unique(np.append(own, rng.integers(len(catalogue), size=len(own) + 1)))
                for own in chosen
            ]
            found = CandidateRanking(
                RowScorer(head, self.index.vectors, catalogue), asked, rows, view.features
            )
            whose = np.repeat(np.arange(len(users), dtype=np.int32), [len(some) for some in rows])
            raw_TD = torch.from_numpy(found.account(whose, np.concatenate(rows)).raw_TD)
        head.mean_D.copy_(raw_TD.mean(0))
        head.deviation_D.copy_(raw_TD.std(0).clamp(min=1e-3))
        return head

    def lists(self, turn: int, size: int = BATCH) -> list[tuple[str, list[str]]]:
        names = [f"u{(turn * size + n) % USERS}" for n in range(size)]
        batch = [
            Delivered("requests", 0, n, 0, None, b"", Request(f"r{turn}-{n}", name, 0, K))
            for n, name in enumerate(names)
        ]
        asked, _ = self.answerer.asked(batch)
        answers = self.answerer.answer(asked, self.model).answers
        return [
            (name, [one.item_id for one in answer.value.items])
            for name, answer in zip(names, answers, strict=True)
        ]

    def bare(self, turn: int) -> None:
        vectors_ND = self.index.vectors
        users_BD = vectors_ND[(torch.arange(BATCH) * 97 + turn) % len(vectors_ND)]
        torch.topk(users_BD @ vectors_ND.T, K)

    def recall(self) -> float:
        """Of published lists, against the exact ranking."""
        found = []
        for name, items in self.lists(0, AUDITED):
            record = self.store.read_users(next(iter(self.store.partitions)), [name])[1][0]
            state = NEW_USER if record is None else UserState.from_record(record)
            with self.mirror.view() as view:
                now_ms = max(view.watermark_ms, state.last_seen_ms)
                scores_N = self.model.exact(state, now_ms, view.features)
                scores_N[view.catalogue.rows(state.consumed)] = -np.inf
                exact = view.catalogue.ids(np.argsort(-scores_N, kind="stable")[:K])
            found.append(len({*exact} & {*items}) / K)
        return float(np.mean(found))


def said(text: str) -> None:
    """Progress, where a person looks and a script does not."""
    print(f"{text}; {rss_mb():,.0f} MB", file=sys.stderr, flush=True)


def rss_mb() -> float:
    return float(psutil.Process().memory_info().rss / 1e6)


def per_second(work: Callable[[int], object], seconds: float) -> float:
    """Micro-batches a second of processor time."""
    work(0)
    turns, start_s, busy_s = 0, time.perf_counter(), time.process_time()
    while turns < 2 or time.perf_counter() - start_s < seconds:
        turns += 1
        work(turns)
    return turns / (time.process_time() - busy_s)


def figures(items: int, seconds: float, scored: Scored) -> dict[str, float]:
    """See ``benchmarks.serving``. Rates are of processor time."""
    with tempfile.TemporaryDirectory() as scratch:
        world = World(items, scored, Path(scratch))
    bare = BATCH * per_second(world.bare, seconds)
    for turn in range(USERS // BATCH):  # what is nearest to their items is remembered
        if world.model.has_candidates:
            world.lists(turn)
    said("warm")
    lists = BATCH * per_second(world.lists, seconds)
    alone_ms = [_wall_ms(world.lists, turn) for turn in range(ALONE if lists > BATCH else 10)]
    p50, p99 = np.percentile(alone_ms, (50, 99))
    return {
        "items": items,
        "bare_lists_per_s": round(bare, 1),
        "lists_per_s": round(lists, 1),
        "ratio": round(lists / bare, 4),
        "recall@10": round(world.recall(), 4),
        "list_ms_p50": round(float(p50), 2),
        "list_ms_p99": round(float(p99), 2),
        "rss_mb": round(rss_mb()),
    }


def _wall_ms(lists: Callable[[int, int], object], turn: int) -> float:
    start_s = time.perf_counter()
    lists(turn, 1)
    return (time.perf_counter() - start_s) * 1_000
