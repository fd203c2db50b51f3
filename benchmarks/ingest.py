"""How fast the feature worker ingests, beside a faust agent that does nothing.

    python -m benchmarks.ingest [--events 40000] [--mix impressions|clicks] [--items 5000]

Both read the same messages from the same broker in the same run: the configured Kafka and
Redis, or the embedded ones. Rates are from the first message seen to the last, so start-up
does not count. Prints the ratio of rates, that of processor time (the worker's alone, not the
servers', and no neighbour's), and where a run's time goes (decode, fold, encode, commit, publish),
measured in this process on the same messages.

Mixes: ``impressions`` shows five items and sometimes gets a click; ``clicks`` are clicks
outside any impression, each of which samples negatives and logs their features.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from streamrec import settings as reader
from streamrec.apps import clients
from streamrec.apps.features import RUN_EVENTS, ingest_rules
from streamrec.core.events import Interaction, Item, Kind, Source
from streamrec.core.state.fold import PartitionFold
from streamrec.infra.clock import SystemClock
from streamrec.infra.processes.embedded import EmbeddedKafka, EmbeddedRedis
from streamrec.infra.wire.kafka import KafkaPublisher, full_name, make_consumer, partition_for
from streamrec.infra.wire.kafka_offsets import end_offsets
from streamrec.infra.wire.kafka_topics import create_topics
from streamrec.loop.ingesting.ingest import Ingest
from streamrec.loop.ingesting.raw import RawRecord
from streamrec.ports.edges import Edges
from streamrec.settings import Settings
from streamrec.tasks.ranking.example_maker import example_source

START_MS = 1_767_323_045_000
DEADLINE_S = 300

BARE_AGENT = """
import os, sys, time
import faust
topic, bootstrap, total, data = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
app = faust.App("bare-" + topic, broker="aiokafka://" + bootstrap, datadir=data,
                topic_disable_leader=True, topic_allow_declare=False, web_enabled=False,
                table_standby_replicas=0, consumer_auto_offset_reset="earliest")
seen, first, used = 0, 0.0, 0.0
@app.agent(app.topic(topic, value_type=bytes, value_serializer="raw"))
async def count(stream):
    global seen, first, used
    async for _ in stream:
        seen += 1
        if seen == 1:
            first, used = time.perf_counter(), time.process_time()
        if seen == total:
            took, used = time.perf_counter() - first, time.process_time() - used
            open(data + ".rate", "w").write(f"{(total - 1) / took} {used / (total - 1)}")
            os._exit(0)
sys.argv = ["bare", "worker", "--without-web", "-l", "error"]
app.main()
"""


def interactions(count: int, mix: str, items: int, users: int = 2000) -> Iterator[Interaction]:
    rng, number, now_ms = random.Random(0), 0, START_MS
    while number < count:
        user, now_ms = f"user-{rng.randrange(users)}", now_ms + rng.randrange(200)
        shown = [f"item-{min(int(rng.paretovariate(0.8)), items) - 1}" for _ in range(5)]
        if mix == "clicks":
            yield Interaction(f"event-{number}", user, shown[0], Kind.CLICK, now_ms)
            number += 1
            continue
        impression = f"impression-{number}"
        for slot, item in enumerate(shown):
            yield Interaction(
                f"event-{number}", user, item, Kind.VIEW, now_ms, None, impression, slot
            )
            number += 1
        if rng.random() < 0.3:
            yield Interaction(
                f"event-{number}", user, rng.choice(shown), Kind.CLICK, now_ms + 50,
                impression_id=impression,
            )  # fmt: skip
            number += 1


def produce(settings: Settings, count: int, mix: str, items: int) -> int:
    """Fill the topics; returns the number of events."""
    codec, publisher = clients.codec(settings), KafkaPublisher(settings.kafka, "bench", 50)
    for number in range(items):
        item = Item(f"item-{number}", f"Title of {number}", categories=(f"c{number % 20}",))
        publisher.publish("items", item.item_id.encode(), codec.encode("items", item))
    sent = 0
    for event in interactions(count, mix, items):
        publisher.publish("events", event.user_id.encode(), codec.encode("events", event))
        sent += 1
    publisher.flush()
    publisher.close()
    return sent


class Speed(NamedTuple):
    rate: float  # events a second
    used_s: float  # processor time of an event


def bare_agent(settings: Settings, total: int, directory: Path) -> Speed:
    """Of an agent that only counts."""
    topic = full_name(settings.kafka, "events")
    command = [sys.executable, "-c", BARE_AGENT, topic, settings.kafka.bootstrap, str(total)]
    subprocess.run(
        [*command, str(directory / "bare")], check=True, capture_output=True, timeout=DEADLINE_S
    )
    return Speed(*map(float, (directory / "bare.rate").read_text().split()))


def our_worker(settings: Settings, total: int) -> Speed:
    """Of ``workers.features``, everything committed and published."""
    store = clients.partition_store(settings, clients.redis(settings))
    sources = [Source("events", number) for number in range(settings.kafka.partitions)]

    def applied() -> int:
        return sum(store.position(source) for source in sources)

    process = subprocess.Popen(
        [sys.executable, "-m", "workers.features", "bench"],
        env=reader.child_environment(settings),
    )
    try:
        wait(lambda: applied() > 0, process)
        before, started, used = applied(), time.perf_counter(), used_s(process)
        wait(lambda: applied() >= total, process)
        took, used = time.perf_counter() - started, used_s(process) - used
        return Speed((total - before) / took, used / (total - before))
    finally:
        process.terminate()
        process.wait(60)


def used_s(process: subprocess.Popen[Any]) -> float:
    """Processor time so far."""
    times = psutil.Process(process.pid).cpu_times()
    return times.user + times.system


def wait(condition: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("the worker did not get there; see its log above")
        time.sleep(0.02)


def split(settings: Settings, total: int) -> dict[str, float]:
    """Processor time by step, ingesting up to 20,000 of the messages in this process."""
    spent: dict[str, float] = defaultdict(float)

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            started = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                spent[name] += time.thread_time() - started

        return call

    codec = clients.codec(settings)
    store = clients.partition_store(settings, clients.redis(settings))
    publisher = KafkaPublisher(settings.kafka, "bench-split")
    counts = dict.fromkeys(("items", "events"), settings.kafka.partitions)
    owner = partial(partition_for, partitions=counts["events"])
    records = read(settings, min(total, 20_000))
    codec.decode = timed("decode", codec.decode)  # type: ignore[method-assign]
    codec.encode = timed("encode", codec.encode)  # type: ignore[method-assign]
    store.commit = timed("commit", store.commit)  # type: ignore[method-assign]
    store.read_users = timed("read users", store.read_users)  # type: ignore[method-assign]
    publisher.publish = timed("publish", publisher.publish)  # type: ignore[method-assign]
    publisher.flush = timed("publish", publisher.flush)  # type: ignore[method-assign]
    apply = PartitionFold.apply
    PartitionFold.apply = timed("fold", apply)  # type: ignore[method-assign]
    ingest = Ingest(
        Edges(store, publisher, codec, SystemClock(), owner),
        ingest_rules(settings, counts),
        [example_source()],
    )
    for source in records:
        ingest.take_over(source)
    spent.clear()
    started, whole_s, done = time.thread_time(), time.process_time(), 0
    for source, run in records.items():
        for start in range(0, len(run), RUN_EVENTS):
            ingest.ingest(source, run[start : start + RUN_EVENTS])
            if source.topic == "items":
                started, whole_s = time.thread_time(), time.process_time()
                spent.clear()
            else:
                done += len(run[start : start + RUN_EVENTS])
                ingest.tick()
    ingest.settle()
    here_s, whole_s = time.thread_time() - started, time.process_time() - whole_s
    PartitionFold.apply = apply  # type: ignore[method-assign]
    publisher.close()
    spent["other"] = here_s - sum(spent.values())
    spent["producer's thread"] = whole_s - here_s
    return {name: used_s / done * 1e6 for name, used_s in spent.items()}


def read(settings: Settings, limit: int) -> dict[Source, list[RawRecord]]:
    """All items, then events up to ``limit``, by source."""
    found: dict[Source, list[RawRecord]] = {}
    for topic in ("items", "events"):
        ends, count = end_offsets(settings.kafka, [topic]), 0
        consumer = make_consumer(settings.kafka, [topic])
        most = sum(ends.values()) if topic == "items" else limit
        while count < most:
            for records in consumer.poll(500).values():
                for r in records:
                    raw = RawRecord(r.offset, r.timestamp, r.key, r.value)
                    found.setdefault(Source(topic, r.partition), []).append(raw)
                    count += 1
        consumer.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--items", type=int, default=5000)
    parser.add_argument("--mix", choices=["impressions", "clicks"], default="impressions")
    options = parser.parse_args()
    given = reader.load()
    token = uuid.uuid4().hex[:6]
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kafka, redis = given.kafka.bootstrap, given.redis.url
        kafka = kafka or stack.enter_context(EmbeddedKafka(directory / "kafka")).bootstrap
        redis = redis or stack.enter_context(EmbeddedRedis(directory / "redis")).url
        settings = replace(
            given,
            state_dir=directory,
            log_level="WARNING",
            kafka=replace(given.kafka, bootstrap=kafka, topic_prefix=f"bench{token}."),
            redis=replace(given.redis, url=redis, key_prefix=f"bench{token}"),
        )
        create_topics(settings.kafka)
        total = produce(settings, options.events, options.mix, options.items)
        print(f"{total} events ({options.mix}), {options.items} items, {os.cpu_count()} cores")
        bare = bare_agent(settings, total, directory)
        ours = our_worker(settings, total)
        for name, at in (("bare faust agent", bare), ("feature worker", ours)):
            print(f"{name:18} {at.rate:10,.0f} events/s {1e6 * at.used_s:10,.0f} us of a core")
        used = bare.used_s / ours.used_s
        print(f"ratio              {ours.rate / bare.rate:10.2f}          {used:10.2f}")
        aside = replace(settings, redis=replace(settings.redis, key_prefix=f"split{token}"))
        print("in one process, microseconds of a core an event:")
        for name, value in sorted(split(aside, total).items(), key=lambda pair: -pair[1]):
            print(f"  {name:18} {value:10,.1f}")


if __name__ == "__main__":
    main()
