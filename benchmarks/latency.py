"""Event to recommendation: how long from a click on the topic to the list on the topic.

    python -m benchmarks.latency [--rates 20,100,200] [--seconds 15]

One feature worker, one serving worker and the trainer on the embedded servers, MovieLens 100K
played at a steady rate; the latency is the recommendation's Kafka timestamp minus the event's.
Beside it the floor: the same bytes through two bare kafka-python relays (poll, send, flush) on
the same kind of broker, which is what the two hops cost before anything is computed. The ratio
is of the medians.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from kafka import KafkaProducer

from streamrec import settings as reader
from streamrec.apps import clients
from streamrec.apps.local_loop import LocalLoop, ProcessCounts
from streamrec.core import topics
from streamrec.core.events import Interaction
from streamrec.core.measures.percentiles import percentiles
from streamrec.infra.clock import SystemClock
from streamrec.infra.processes.embedded import EmbeddedKafka
from streamrec.infra.stores.datasets import ClickStream, movielens_100k
from streamrec.infra.wire.follower import Follower
from streamrec.infra.wire.kafka import KafkaPublisher, client_config, full_name, make_consumer
from streamrec.infra.wire.kafka_topics import create_topics
from streamrec.lab.demo.player import Player
from streamrec.lab.demo.ready import Readiness, load_catalogue
from streamrec.lab.demo.watcher import FOLLOWED, Watcher
from streamrec.settings import KafkaSettings

READY_S = 180
SETTLE_S = 2.0
HOPS = ((topics.EVENTS, topics.USER_UPDATES), (topics.USER_UPDATES, topics.RECOMMENDATIONS))


class Latency:
    """Milliseconds at one rate; ``sent`` events caused them."""

    def __init__(self, rate: float, latency_ms: Sequence[float], sent: int) -> None:
        self.rate, self.n, self.sent = rate, len(latency_ms), sent
        self.at = percentiles(latency_ms, 50, 95, 99)


def ours(stream: ClickStream, rates: Sequence[float], seconds: float, work: Path) -> list[Latency]:
    """Latencies of the loop at each rate, one after the other on one running loop."""
    settings = replace(reader.load({}), state_dir=work)
    settings = replace(settings, encoder=replace(settings.encoder, threads=1))
    processes, found, first = ProcessCounts(), [], 0
    with LocalLoop(settings, processes, print) as loop, ExitStack() as stack:
        settings, codec = loop.settings, clients.codec(loop.settings)
        publisher = clients.publisher(settings, "bench")
        stack.callback(publisher.close)
        follower = stack.enter_context(Follower(settings.kafka, codec, FOLLOWED, "bench"))
        load_catalogue(stream.items, codec, publisher)
        wait_until_ready(Readiness(settings, processes, len(stream.items)))
        for rate in rates:
            events = stream.interactions[first : first + int(rate * seconds)]
            first += len(events)
            watcher = Watcher(follower, lambda _generation: {})
            played = play(events, Player(events, codec, publisher, rate, len(events) + 1), watcher)
            found.append(Latency(rate, watcher.loop.latency_ms, played))
    return found


def play(events: Sequence[Interaction], player: Player, watcher: Watcher) -> int:
    begun = time.monotonic()
    while not player.finished:
        player.play(time.monotonic() - begun)
        watcher.poll(SystemClock().now_ms(), 0.005)
    until = time.monotonic() + SETTLE_S
    while time.monotonic() < until:
        watcher.poll(SystemClock().now_ms(), 0.05)
    watcher.release(SystemClock().now_ms())
    return len(events)


def wait_until_ready(readiness: Readiness) -> None:
    deadline = time.monotonic() + READY_S
    while missing := readiness.missing():
        if time.monotonic() > deadline:
            raise SystemExit(f"not ready: {missing}")
        time.sleep(0.5)


def floor(stream: ClickStream, rate: float, seconds: float, work: Path) -> Latency:
    """The same events through two relays that do nothing."""
    codec = clients.codec(reader.load({}))
    with EmbeddedKafka(work) as broker, ExitStack() as stack:
        kafka = KafkaSettings(bootstrap=broker.bootstrap)
        create_topics(kafka)
        for source, target in HOPS:
            stack.enter_context(relay(kafka, source, target))
        out = make_consumer(kafka, [topics.RECOMMENDATIONS])
        stack.callback(out.close)
        publisher = KafkaPublisher(kafka, "bench")
        stack.callback(publisher.close)
        events = stream.interactions[: int(rate * seconds)]
        player = Player(events, codec, publisher, rate, len(events) + 1)
        begun = time.monotonic()
        latencies: list[float] = []
        until = begun + seconds + SETTLE_S
        while time.monotonic() < until and len(latencies) < len(events):
            player.play(time.monotonic() - begun)
            for messages in out.poll(timeout_ms=5).values():
                latencies += [m.timestamp - int(dict(m.headers)["at"]) for m in messages]
    return Latency(rate, latencies, len(events))


@contextmanager
def relay(kafka: KafkaSettings, source: str, target: str) -> Iterator[None]:
    """A thread that sends on what it reads, with the first timestamp in a header."""
    stop = threading.Event()
    thread = threading.Thread(target=_relay, args=(kafka, source, target, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _relay(kafka: KafkaSettings, source: str, target: str, stop: threading.Event) -> None:
    consumer = make_consumer(kafka, [source])
    producer = KafkaProducer(**client_config(kafka), acks="all", linger_ms=5)
    while not stop.is_set():
        for messages in consumer.poll(timeout_ms=20).values():
            for message in messages:
                headers = message.headers or [("at", str(message.timestamp).encode())]
                producer.send(full_name(kafka, target), message.value, message.key, headers)
        producer.flush()
    producer.close()
    consumer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", default="20,100,200", help="events a second, comma-separated")
    parser.add_argument("--seconds", type=float, default=15.0, help="at each rate")
    options = parser.parse_args()
    rates = [float(rate) for rate in options.rates.split(",")]
    work = Path(tempfile.mkdtemp(prefix="streamrec-bench-"))
    try:
        stream = movielens_100k(Path(".streamrec") / "datasets", print)
        loop = ours(stream, rates, options.seconds, work / "loop")
        bare = [floor(stream, r, options.seconds, work / f"bare-{r:g}") for r in rates]
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"\n{'events/s':>9} {'lists':>7} {'p50':>8} {'p95':>8} {'p99':>8}   bare p50   ratio")
    for our, their in zip(loop, bare, strict=True):
        p50, bare_p50 = our.at["p50"], their.at["p50"]
        ratio = f"{p50 / bare_p50:.1f}" if p50 and bare_p50 else "-"
        shown = " ".join(f"{value or 0:8.0f}" for value in our.at.values())
        print(f"{our.rate:9g} {our.n:7d} {shown}   {bare_p50 or 0:8.0f}   {ratio:>5}")
    print("milliseconds; ratio: our median over that of two bare relays on the same broker")


if __name__ == "__main__":
    main()
