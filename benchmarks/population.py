"""What users cost: bytes of Redis each, and how reading and committing them scales with how many.

    python -m benchmarks.population [--users 10000,100000,1000000] [--kind "5 clicks"] [--json]

Records are what the fold makes of real events: users with histories of 5 and of 50 clicks, and
with three impressions of ten items that are still open. ``MADE`` users of each kind are folded, and
their records written under as many names as are asked for, by the same commit that a feature
worker makes, to the configured Redis or an embedded one. Bytes are the growth of ``used_memory``,
so keys, the order of silence and the allocator's rounding are in them. Ten million users are the
bytes of the largest number measured, times ten million over it: a line, not a measurement.

A size that would take more than half of the memory that is free is left out, and says so.

Times are for runs of ``RUN`` users, as a feature worker reads and commits them: processor time of
this process and of the server, and the latency of a call here.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import redis

from benchmarks.tables import print_table
from streamrec import settings as reader
from streamrec.apps import clients
from streamrec.core.events import Interaction, Item, Kind, Source
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.fold import Located
from streamrec.core.state.statistics import Statistics
from streamrec.infra.processes.embedded import EmbeddedRedis
from streamrec.infra.stores.redis_store import RedisPartitionStore
from streamrec.ports import Record, Writes
from streamrec.tasks.ranking.example_maker import RankingRules, ranking_fold

KINDS = {"5 clicks": (5, 0), "50 clicks": (50, 0), "50 clicks, 3 open impressions": (50, 3)}
"""Clicks, and impressions of ``SHOWN`` items that wait for their outcome."""
SHOWN, MADE, RUN, ITEMS = 10, 200, 500, 5_000
START_MS, BETWEEN_MS = 1_767_323_045_000, 3_600_000
EXTRAPOLATED = 10_000_000
SOURCE = Source("events", 0)


def records(clicks: int, impressions: int) -> list[Record]:
    """Of ``MADE`` users, as the fold leaves them."""
    rng, catalogue = random.Random(0), Catalogue()
    catalogue.put(
        [Item(f"item-{n:06d}", f"Title {n}", categories=(f"c{n % 20}",)) for n in range(ITEMS)]
    )
    fold = ranking_fold(0, RankingRules(partitions=1), catalogue, Statistics(catalogue))
    latest: dict[str, Any] = {}
    events = list(happened(rng, clicks, impressions))
    for start in range(0, len(events), RUN):
        run = [
            Located(start + n, e.occurred_at_ms, e, True)
            for n, e in enumerate(events[start : start + RUN])
        ]
        fold.put_users(dict.fromkeys(fold.missing_users(run)))
        latest |= fold.apply(run, now_ms=0).users
    return list(latest.values())


def happened(rng: random.Random, clicks: int, impressions: int) -> Iterator[Interaction]:
    """Everybody clicks in turn, an hour apart; then what is shown, all within the window."""
    number, users = 0, [f"user-{n:08d}" for n in range(MADE)]
    for turn in range(clicks):
        for n, user in enumerate(users):
            at_ms = START_MS + turn * BETWEEN_MS + n
            yield Interaction(f"event-{number}", user, _item(rng), Kind.CLICK, at_ms)
            number += 1
    for turn in range(impressions):
        for n, user in enumerate(users):
            at_ms = START_MS + clicks * BETWEEN_MS + 1_000 * turn + n
            shown = f"impression-{user}-{turn}"
            for slot, item in enumerate(rng.sample(range(ITEMS), SHOWN)):
                yield Interaction(
                    f"event-{number}", user, f"item-{item:06d}", Kind.VIEW, at_ms, None, shown, slot
                )
                number += 1


def _item(rng: random.Random) -> str:
    return f"item-{min(int(rng.paretovariate(0.8)), ITEMS) - 1:06d}"


class Population:
    """Users of one kind in a store of their own."""

    def __init__(self, client: redis.Redis, kind: str) -> None:
        self._client, self._prefix = client, f"population{uuid.uuid4().hex[:6]}"
        self._store = RedisPartitionStore(client, self._prefix)
        self._records = records(*KINDS[kind])
        self._before = self._used()
        self.users = 0

    def grow(self, users: int) -> dict[str, float]:
        """Up to so many; what the commits of this growth took, for a user each."""
        return self._timed("commit", self._commit, range(self.users, users, RUN), users)

    def read(self, times: int = 100) -> dict[str, float]:
        """Runs of users by chance."""
        starts = [random.Random(1).randrange(max(1, self.users - RUN)) for _ in range(times)]
        return self._timed("read", self._read, starts, None)

    @property
    def bytes_each(self) -> float:
        return (self._used() - self._before) / self.users

    def forget(self) -> None:
        for keys in _some(self._client.scan_iter(f"{self._prefix}:*", count=5_000)):
            self._client.delete(*keys)

    def _commit(self, start: int) -> None:
        named = {
            f"user-{n:08d}": self._records[n % len(self._records)]
            for n in range(start, start + RUN)
        }
        seen_ms = dict.fromkeys(named, START_MS)
        self._store.commit(SOURCE, start, start + RUN, Writes(users=named, seen_ms=seen_ms))

    def _read(self, start: int) -> None:
        self._store.read_users(SOURCE, [f"user-{n:08d}" for n in range(start, start + RUN)])

    def _timed(
        self, name: str, call: Callable[[int], None], starts: Any, users: int | None
    ) -> dict[str, float]:
        here, server, took_ms = time.process_time(), self._server_s(), []
        for start in starts:
            began = time.perf_counter()
            call(start)
            took_ms.append((time.perf_counter() - began) * 1000)
        self.users = users or self.users
        each = 1e6 / max(1, len(took_ms) * RUN)
        return {
            f"{name}_users_per_s": len(took_ms) * RUN / (sum(took_ms) / 1000),
            f"{name}_us": (time.process_time() - here) * each,
            f"{name}_server_us": (self._server_s() - server) * each,
            f"{name}_p50_ms": float(np.percentile(took_ms, 50)),
            f"{name}_p99_ms": float(np.percentile(took_ms, 99)),
        }

    def _used(self) -> int:
        told: Mapping[str, Any] = self._client.info("memory")
        return int(told["used_memory"])

    def _server_s(self) -> float:
        told: Mapping[str, Any] = self._client.info("cpu")
        return float(told["used_cpu_user"]) + float(told["used_cpu_sys"])


def _some(keys: Iterator[Any], count: int = 5_000) -> Iterator[list[Any]]:
    found = list(keys)
    return (found[at : at + count] for at in range(0, len(found), count))


def measured(client: redis.Redis, kinds: list[str], sizes: list[int]) -> list[dict[str, Any]]:
    rows = []
    for kind in kinds:
        population = Population(client, kind)
        for users in sizes:
            if too_large := unfit(population, users):
                rows.append({"kind": kind, "users": users, "left_out": too_large})
                continue
            took = population.grow(users) | population.read()
            each = population.bytes_each
            rows.append({"kind": kind, "users": users, "bytes": round(each)} | rounded(took))
        gb = population.bytes_each * EXTRAPOLATED / 1e9
        rows.append({"kind": kind, "users": EXTRAPOLATED, "gb_extrapolated": round(gb, 1)})
        population.forget()
    return rows


def unfit(population: Population, users: int) -> str:
    """Why so many cannot be measured here; empty: they can."""
    if not population.users:
        return ""
    wanted, free = population.bytes_each * users, psutil.virtual_memory().available
    return f"{wanted / 1e9:.1f} GB, and {free / 1e9:.1f} are free" if wanted > free / 2 else ""


def rounded(numbers: Mapping[str, float]) -> dict[str, float]:
    return {name: round(number, 1) for name, number in numbers.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--users", default="10000,100000,1000000", help="several, by commas, ascending"
    )
    parser.add_argument("--kind", choices=KINDS, action="append", help="all of them otherwise")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sizes = [int(text) for text in options.users.split(",")]
    given = reader.load()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = given.redis.url or stack.enter_context(EmbeddedRedis(directory / "redis")).url
        client = clients.redis(replace(given, redis=replace(given.redis, url=url)))
        rows = measured(stack.enter_context(client), options.kind or list(KINDS), sizes)
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print_table(rows)


if __name__ == "__main__":
    main()
