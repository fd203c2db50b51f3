"""What a catalogue costs: bytes of Redis, and how loading and refreshing it scale with its size.

    python -m benchmarks.catalogue [--items 10000,100000,1000000] [--words 30] [--json]

Items are titles of a few words, a text of ``--words`` words and two categories, all from a
vocabulary of ``VOCABULARY``; they are read by the feature worker's own code from Avro messages and
committed to the configured Redis or an embedded one. Then events on a tenth of them (at least a
thousand events) are folded and committed, so that there are statistics. Measured, one size in a
process of its own:

    ingest     processor time of an item in the feature worker, and of the server
    load       a serving worker's mirror of an empty start: time, and resident memory that it adds
    nothing    a refresh when nothing has changed
    item       a refresh after one item has changed
    run        a refresh after a run of ``RUN`` events
    share      a refresh after a hundredth of the items were removed and as many came

``load`` to ``share`` are milliseconds of processor time here (median of ``TIMES``, the load once)
and what the mirror alone takes; encoding the texts is ``benchmarks.encoder``'s, ranking them
``benchmarks.serving``'s.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import redis

from benchmarks.tables import print_table
from streamrec import settings as reader
from streamrec.apps import clients
from streamrec.apps.features import RUN_EVENTS, ingest_rules
from streamrec.core.events import Interaction, Item, Kind, Source
from streamrec.infra.clock import SystemClock
from streamrec.infra.processes.embedded import EmbeddedRedis
from streamrec.loop.ingesting.ingest import Ingest
from streamrec.loop.ingesting.raw import RawRecord
from streamrec.ports.edges import Edges
from streamrec.settings import Settings
from streamrec.tasks.ranking.example_maker import example_source
from streamrec.tasks.ranking.lists.state_mirror import Mirror

ITEMS, EVENTS = Source("items", 0), Source("events", 0)
COUNTS = {"items": 1, "events": 1}
VOCABULARY, RUN, TIMES = 20_000, RUN_EVENTS, 5
START_MS = 1_767_323_045_000
MB = 1 << 20


class Nowhere:
    """What is published is not what is measured."""

    failures = 0

    def publish(
        self, topic: str, key: bytes | None, value: bytes | None, headers: object = ()
    ) -> None: ...

    def flush(self) -> None: ...


class Shop:
    """A catalogue in a store of its own, and what happens with it."""

    def __init__(self, settings: Settings, client: redis.Redis, words: int) -> None:
        self._client, self._words = client, words
        self._codec = clients.codec(settings)
        self.store = clients.partition_store(settings, client)
        edges = Edges(self.store, Nowhere(), self._codec, SystemClock(), lambda _: 0)
        self._ingest = Ingest(edges, ingest_rules(settings, COUNTS), [example_source()])
        self._offsets = {ITEMS: 0, EVENTS: 0}
        self._rng = random.Random(0)
        for source in (ITEMS, EVENTS):
            self._ingest.take_over(source)

    def put(self, numbers: Sequence[int]) -> None:
        self._take(ITEMS, [(f"i{n}", self._codec.encode("items", self._item(n))) for n in numbers])

    def remove(self, numbers: Sequence[int]) -> None:
        self._take(ITEMS, [(f"i{n}", None) for n in numbers])

    def happen(self, events: int, items: int) -> None:
        """Clicks of a few users on items by chance."""
        self._take(EVENTS, list(self._clicks(events, items)))

    def _clicks(self, events: int, items: int) -> Iterator[tuple[str, bytes]]:
        for n in range(self._offsets[EVENTS], self._offsets[EVENTS] + events):
            user, item = f"u{n % 500}", f"i{min(int(self._rng.paretovariate(0.8)), items) - 1}"
            event = Interaction(f"e{n}", user, item, Kind.CLICK, START_MS + n * 1000)
            yield user, self._codec.encode("events", event)

    def _item(self, number: int) -> Item:
        def text(count: int) -> str:
            return " ".join(f"w{self._rng.randrange(VOCABULARY)}" for _ in range(count))

        categories = (f"c{number % 40}", f"d{number % 7}")
        return Item(f"i{number}", text(4).capitalize(), text(self._words), categories)

    def _take(self, source: Source, messages: Sequence[tuple[str, bytes | None]]) -> None:
        for start in range(0, len(messages), RUN):
            offset = self._offsets[source]
            run = [
                RawRecord(offset + n, START_MS + offset + n, key.encode(), value)
                for n, (key, value) in enumerate(messages[start : start + RUN])
            ]
            self._ingest.ingest(source, run)
            self._offsets[source] += len(run)
        self._ingest.tick()

    def used_bytes(self) -> int:
        told: Any = self._client.info("memory")
        return int(told["used_memory"])

    def server_s(self) -> float:
        told: Any = self._client.info("cpu")
        return float(told["used_cpu_user"]) + float(told["used_cpu_sys"])


def measured(settings: Settings, client: redis.Redis, items: int, words: int) -> dict[str, Any]:
    shop = Shop(settings, client, words)
    before, here, server = shop.used_bytes(), time.process_time(), shop.server_s()
    for start in range(0, items, 50_000):
        shop.put(range(start, min(items, start + 50_000)))
    each = 1e6 / items
    row: dict[str, Any] = {
        "items": items,
        "redis_bytes_an_item": round((shop.used_bytes() - before) / items),
        "ingest_us": round((time.process_time() - here) * each, 1),
        "ingest_server_us": round((shop.server_s() - server) * each, 1),
    }
    shop.happen(max(1_000, items // 10), items)
    return row | mirrored(shop, items)


def mirrored(shop: Shop, items: int) -> dict[str, Any]:
    """What a serving worker's copy takes."""
    resident = psutil.Process().memory_info().rss
    mirror = Mirror(shop.store, COUNTS)
    load_ms = cost_ms(mirror.refresh)
    memory = (psutil.Process().memory_info().rss - resident) / MB
    churn, turns = max(1, items // 100), iter(range(TIMES))

    def turn_over() -> None:
        turn = next(turns)
        shop.remove(range(turn * churn, (turn + 1) * churn))
        shop.put(range(items + turn * churn, items + (turn + 1) * churn))

    return {
        "load_ms": load_ms,
        "load_mb": round(memory),
        "nothing_ms": after(mirror, lambda: None),
        "item_ms": after(mirror, lambda: shop.put([items - 1])),
        "run_ms": after(mirror, lambda: shop.happen(RUN, items)),
        "share_ms": after(mirror, turn_over),
    }


def after(mirror: Mirror, change: Callable[[], None]) -> float:
    """A refresh after each of some changes, the median."""
    times = []
    for _ in range(TIMES):
        change()
        times.append(cost_ms(mirror.refresh))
    return median(times)


def cost_ms(call: Callable[[], object]) -> float:
    """Processor time."""
    begun = time.process_time()
    call()
    return round((time.process_time() - begun) * 1000, 2)


def one_size(items: int, words: int) -> dict[str, Any]:
    given = reader.load()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = given.redis.url or stack.enter_context(EmbeddedRedis(directory)).url
        prefix = f"catalogue{uuid.uuid4().hex[:6]}"
        settings = replace(given, redis=replace(given.redis, url=url, key_prefix=prefix))
        client = stack.enter_context(clients.redis(settings))
        row = measured(settings, client, items, words)
        for key in list(client.scan_iter(f"{prefix}:*", count=5_000)):
            client.unlink(key)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", default="10000,100000,1000000", help="several, by commas")
    parser.add_argument("--words", type=int, default=30, help="of an item's text")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sizes = [int(text) for text in options.items.split(",")]
    if len(sizes) == 1:
        rows = [one_size(sizes[0], options.words)]
    else:
        rows = [alone(size, options.words) for size in sizes]
    if options.json:
        print(json.dumps(rows, indent=2))
    else:
        print_table(rows)


def alone(items: int, words: int) -> dict[str, Any]:
    """In a process of its own: memory that another size left behind is not ours."""
    command = [sys.executable, "-m", "benchmarks.catalogue", "--json"]
    print(f"{items:,} items …", file=sys.stderr)
    given = ["--items", str(items), "--words", str(words)]
    done = subprocess.run([*command, *given], check=True, capture_output=True, text=True)
    row: dict[str, Any] = json.loads(done.stdout)[0]
    return row


if __name__ == "__main__":
    main()
