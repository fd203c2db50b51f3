"""What HTTP costs: a list over the gateway, beside the bare topics and beside a bare echo.

    python -m benchmarks.gateway [--seconds 5] [--json FILE]

No model: a relay answers every request at once with a list of ten, so what is measured is the way.

    topics    a request by kafka-python onto ``requests``, its answer read from ``recommendations``
    gateway   the same by ``POST /v1/recommendations``, one after the other on one connection
    echo      an ASGI application of twenty lines on the same server: the body onto a topic by
              aiokafka, and back when the relay has copied it to another. No checks, no codec

Latency is of one caller alone; throughput of more and more connections that each ask again at once,
the most requests a second whose 99th percentile stays within 50 ms. All processes share this host's
cores, callers and broker too: the ratios say more than the numbers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvicorn
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from kafka.errors import TopicAlreadyExistsError

from streamrec import settings as reader
from streamrec.apps import clients
from streamrec.apps.gateway import run_gateway
from streamrec.core import topics
from streamrec.core.events import (
    Item,
    Recommendation,
    RecommendedItem,
    Request,
    Source,
    Trigger,
)
from streamrec.core.measures.percentiles import percentiles
from streamrec.core.state.catalogue import item_record
from streamrec.infra.clock import SystemClock
from streamrec.infra.processes.embedded import EmbeddedKafka, EmbeddedRedis
from streamrec.infra.processes.parent_death import die_with_parent
from streamrec.infra.processes.server_process import free_port
from streamrec.infra.wire.follower import Follower
from streamrec.infra.wire.kafka import admin_client, make_consumer, make_producer
from streamrec.infra.wire.kafka_pace import pace_aiokafka
from streamrec.infra.wire.kafka_topics import create_topics
from streamrec.ports import Writes
from streamrec.settings import Settings

ITEMS = [Item(f"item{n}", f"title {n}") for n in range(1_000)]
LISTED = tuple(RecommendedItem(item.item_id, 0.1, reason="popular now") for item in ITEMS[:10])
CONNECTIONS = (1, 2, 4, 8, 16, 32, 64, 128)
MOST_MS, HOPELESS_MS = 50.0, 250.0
ECHO_IN, ECHO_OUT = "echo-in", "echo-out"
SPAWN = multiprocessing.get_context("spawn")


# --- processes -------------------------------------------------------------------------


def relay(settings: Settings, source: str, target: str) -> None:
    """Answers requests, or copies what is no request of ours."""
    die_with_parent()
    codec = clients.codec(settings)
    consumer = make_consumer(settings.kafka, [source], client_id="relay")
    consumer.seek_to_end()
    for partition in consumer.assignment():
        consumer.position(partition)
    producer = make_producer(settings.kafka, "relay", linger_ms=0)
    name = settings.kafka.topic_prefix + target
    while True:
        for messages in consumer.poll(timeout_ms=100).values():
            for message in messages:
                data = message.value
                if source == topics.REQUESTS:
                    data = codec.encode(target, answer(codec.decode(source, data)))
                producer.send(name, key=message.key, value=data)


def answer(request: Request) -> Recommendation:
    now_ms = SystemClock().now_ms()
    return Recommendation(
        f"request:{request.request_id}", request.user_id, LISTED[: request.k], "bench", {},
        Trigger.REQUEST, request.request_id, request.requested_at_ms, 0, now_ms, "relay",
    )  # fmt: skip


def gateway(settings: Settings) -> None:
    die_with_parent()
    run_gateway(settings, "gateway-bench", threading.Event())


def echo(settings: Settings, port: int) -> None:
    die_with_parent()
    uvicorn.run(Echo(settings), host="127.0.0.1", port=port, log_level="warning", lifespan="on")


class Echo:
    """ASGI: a POST is sent to a topic and answered with what comes back under its key."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._waiting = settings, dict[bytes, asyncio.Future[bytes]]()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        body = (await receive())["body"]
        key = uuid.uuid4().hex.encode()
        self._waiting[key] = asyncio.get_running_loop().create_future()
        await self._producer.send_and_wait(self._name(ECHO_IN), body, key)
        status, found = 200, b""
        try:
            found = await asyncio.wait_for(self._waiting[key], 5)
        except TimeoutError:  # the relay was not there yet
            status = 504
        del self._waiting[key]
        headers = [(b"content-length", b"%d" % len(found))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": found})

    async def _lifespan(self, receive: Any, send: Any) -> None:
        await receive()
        bootstrap = self._settings.kafka.bootstrap
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
        self._consumer = AIOKafkaConsumer(self._name(ECHO_OUT), bootstrap_servers=bootstrap)
        await self._producer.start()
        await self._consumer.start()
        pace_aiokafka(self._consumer)
        await self._consumer.seek_to_end()
        self._task = asyncio.create_task(self._read())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._task.cancel()
        await self._consumer.stop()
        await self._producer.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _read(self) -> None:
        async for message in self._consumer:
            waiting = self._waiting.get(message.key)
            if waiting is not None and not waiting.done():
                waiting.set_result(message.value)

    def _name(self, topic: str) -> str:
        return self._settings.kafka.topic_prefix + topic


# --- measuring -------------------------------------------------------------------------


def by_topics(settings: Settings, seconds: float) -> list[float]:
    """Milliseconds of each request, one after the other."""
    codec, found = clients.codec(settings), []
    publisher = clients.publisher(settings, "bench")
    with Follower(settings.kafka, codec, [topics.RECOMMENDATIONS], "bench") as answers:
        until_s = time.monotonic() + seconds
        while (began_s := time.monotonic()) < until_s:
            request = Request(uuid.uuid4().hex, "ann", SystemClock().now_ms())
            publisher.publish(topics.REQUESTS, b"ann", codec.encode(topics.REQUESTS, request))
            publisher.flush()
            while not any(m.value.trigger_id == request.request_id for m in answers.poll(1.0)):
                pass
            found.append((time.monotonic() - began_s) * 1000)
    publisher.close()
    return found


BODY = json.dumps({"user_id": "ann", "k": 10, "wait_s": 10}).encode()
ASKED = (
    b"POST /v1/recommendations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)


async def caller(port: int, until_s: float, found: list[float]) -> None:
    """Asks again and again on one connection."""
    incoming, out = await asyncio.open_connection("127.0.0.1", port)
    while (began_s := time.monotonic()) < until_s:
        out.write(ASKED)
        head = (await incoming.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 200"), head
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        await incoming.readexactly(length)
        found.append((time.monotonic() - began_s) * 1000)
    out.close()


def by_http(port: int, connections: int, seconds: float) -> list[float]:
    found: list[float] = []

    async def all_of_them() -> None:
        until_s = time.monotonic() + seconds
        await asyncio.gather(*(caller(port, until_s, found) for _ in range(connections)))

    asyncio.run(all_of_them())
    return found


def most_per_s(port: int, seconds: float) -> tuple[float, int]:
    """Requests a second within ``MOST_MS``, and with how many connections."""
    best = (0.0, 0)
    for connections in CONNECTIONS:
        found = by_http(port, connections, seconds)
        per_s, (p99,) = len(found) / seconds, percentiles(found, 99).values()
        print(f"  {connections:4} connections  {per_s:8.0f} a second  99 % within {p99:6.1f} ms")
        if p99 <= MOST_MS:
            best = max(best, (per_s, connections))
        elif p99 > HOPELESS_MS:
            break
    return best


# --- the whole -------------------------------------------------------------------------


@contextmanager
def running(target: Callable[..., None], *arguments: Any) -> Iterator[None]:
    process = SPAWN.Process(target=target, args=arguments, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def until(condition: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + 60
    while True:
        try:
            if condition():
                return
        except (OSError, AssertionError, asyncio.IncompleteReadError):
            if time.monotonic() > deadline_s:
                raise
        time.sleep(0.2)


def prepare(settings: Settings) -> None:
    """Topics and a catalogue."""
    create_topics(settings.kafka)
    names = [settings.kafka.topic_prefix + topic for topic in (ECHO_IN, ECHO_OUT)]
    with admin_client(settings.kafka) as admin:
        for name in names:
            try:
                admin.create_topics({name: {"num_partitions": 4, "replication_factor": 1}})
            except TopicAlreadyExistsError:
                continue
    with clients.redis(settings) as redis:
        rows = {item.item_id: item_record(item) for item in ITEMS}
        store = clients.partition_store(settings, redis)
        store.commit(Source(topics.ITEMS, 0), 0, 1, Writes(rows=rows))


def measure(seconds: float, work: Path) -> dict[str, Any]:
    with ExitStack() as stack:
        kafka = stack.enter_context(EmbeddedKafka(work / "kafka"))
        redis = stack.enter_context(EmbeddedRedis(work / "redis"))
        given, ports = reader.load({}), (free_port(), free_port())
        settings = replace(
            given,
            state_dir=work,
            kafka=replace(given.kafka, bootstrap=kafka.bootstrap),
            redis=replace(given.redis, url=redis.url),
            gateway=replace(given.gateway, port=ports[0], requests_per_s=0),
        )
        prepare(settings)
        with (
            running(relay, settings, topics.REQUESTS, topics.RECOMMENDATIONS),
            running(gateway, settings),
        ):
            until(lambda: by_http(ports[0], 1, 0.5))
            bare_ms = percentiles(by_topics(settings, seconds), 50, 99)
            ours_ms = percentiles(by_http(ports[0], 1, seconds), 50, 99)
            print("gateway")
            ours = most_per_s(ports[0], seconds)
        with (
            running(relay, settings, ECHO_IN, ECHO_OUT),
            running(echo, settings, ports[1]),
        ):
            until(lambda: by_http(ports[1], 1, 0.5))
            echo_ms = percentiles(by_http(ports[1], 1, seconds), 50, 99)
            print("echo")
            bare = most_per_s(ports[1], seconds)
    return {
        "topics_ms": bare_ms,
        "gateway_ms": ours_ms,
        "echo_ms": echo_ms,
        "gateway_per_s": ours[0],
        "echo_per_s": bare[0],
        "gateway_connections": ours[1],
        "echo_connections": bare[1],
        "latency_ratio": ours_ms["p50"] / bare_ms["p50"],
        "throughput_ratio": ours[0] / bare[0] if bare[0] else None,
    }


def shown(found: dict[str, Any]) -> str:
    ways = {name: found[f"{name}_ms"] for name in ("topics", "gateway", "echo")}
    rows = [
        f"{name:8} median {ms['p50']:6.1f} ms  99 % {ms['p99']:6.1f} ms"
        for name, ms in ways.items()
    ]
    rows += [
        f"gateway / topics: {found['latency_ratio']:.2f} of the median",
        f"gateway {found['gateway_per_s']:,.0f} a second, echo {found['echo_per_s']:,.0f}"
        f" (99 % within {MOST_MS:g} ms): ratio {found['throughput_ratio'] or 0:.2f}",
    ]
    return "\n".join(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--json", type=Path, help="write the numbers here, too")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as work:
        found = measure(options.seconds, Path(work))
    print(shown(found))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
