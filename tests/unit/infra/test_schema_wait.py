"""A registry that fails at one schema id costs the messages of that id, and nobody else's time."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from kafka import TopicPartition

from streamrec.core.events import Request
from streamrec.errors import SchemaUnavailable, Unavailable, UnknownSchema
from streamrec.infra.feeds.trigger_feed import KafkaTriggerFeed
from streamrec.infra.wire.schema_registry import SchemaRegistry
from streamrec.infra.wire.schema_wait import ASK_AGAIN_S, GIVE_UP_S, SchemaWait
from streamrec.settings import KafkaSettings
from tests.harness.codec import wire_codec
from tests.harness.waiting import eventually


class Timer:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@contextmanager
def registry(status: int, *, silent: threading.Event | None = None) -> Iterator[str]:
    """Answers with ``status``; not before ``silent`` is set."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if silent is not None:
                silent.wait()
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            if silent is not None:
                silent.set()
            server.shutdown()
            thread.join()


def asked_until(wait: SchemaWait, timer: Timer, schema_id: int, seconds: float) -> list[str]:
    """What came of it, second by second."""
    came: list[str] = []
    for _ in range(int(seconds)):
        timer.now_s += 1
        try:
            came.append(wait.schema(schema_id))
        except (Unavailable, SchemaUnavailable) as error:
            came.append(type(error).__name__)
    return came


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_an_id_that_is_not_given_is_refused_after_a_while_by_its_status(status: int) -> None:
    timer = Timer()
    with registry(status) as url:
        wait = SchemaWait(SchemaRegistry(url).schema, timer, look_s=60)
        came = asked_until(wait, timer, 7, 2 * GIVE_UP_S)
        with pytest.raises(
            SchemaUnavailable, match=f"schema id 7: .* answers {status}.*; given up"
        ):
            wait.schema(7)
    assert set(came[: int(GIVE_UP_S) - 1]) == {"Unavailable"}
    assert came[-1] == "SchemaUnavailable"


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("reset"),
        ConnectionResetError("closed"),
        http.client.IncompleteRead(b"{"),
        KeyError(),
    ],
    ids=repr,
)
def test_whatever_else_a_registry_does_at_an_id_is_given_up_too(error: Exception) -> None:
    def fetch(schema_id: int) -> str:
        raise error

    timer = Timer()
    wait = SchemaWait(fetch, timer, look_s=60)
    assert asked_until(wait, timer, 7, 2 * GIVE_UP_S)[-1] == "SchemaUnavailable"


def test_an_answer_that_never_ends_is_given_up_and_taken_if_it_comes_after_all() -> None:
    timer, end = Timer(), threading.Event()
    wait = SchemaWait(lambda _: end.wait() and "found", timer, look_s=0)
    came = asked_until(wait, timer, 7, 2 * GIVE_UP_S)
    assert came[int(GIVE_UP_S) - 2 :: int(GIVE_UP_S)] == ["Unavailable", "SchemaUnavailable"]
    end.set()
    assert eventually(lambda: asked_until(wait, timer, 7, 1)[0] == "found")


def test_an_answer_that_does_not_come_holds_nobody_up_and_is_given_up_too() -> None:
    def fetch(schema_id: int) -> str:
        if schema_id == 7:
            raise Unavailable("timed out") from TimeoutError()
        return f"schema {schema_id}"

    timer = Timer()
    wait = SchemaWait(fetch, timer, look_s=60)
    for _ in range(int(GIVE_UP_S) - 1):
        assert asked_until(wait, timer, 7, 1) == ["Unavailable"]
        assert wait.schema(8) == "schema 8"
    assert asked_until(wait, timer, 7, GIVE_UP_S)[-1] == "SchemaUnavailable"


def test_who_needs_a_schema_looks_a_moment_and_goes_on() -> None:
    silent = threading.Event()
    with registry(200, silent=silent) as url:
        wait = SchemaWait(SchemaRegistry(url).schema, look_s=0.01)
        for _ in range(3):
            with pytest.raises(
                Unavailable, match=r"schema id 7: it has not answered yet \(try 1\)"
            ):
                wait.schema(7)
        silent.set()
        with pytest.raises(UnknownSchema, match="holds no schema"):
            eventually(lambda: wait_for(wait, 7))


def wait_for(wait: SchemaWait, schema_id: int) -> object:
    try:
        return wait.schema(schema_id)
    except Unavailable:
        return None


def test_an_id_that_was_given_up_is_asked_for_again_and_found() -> None:
    timer, well = Timer(), False

    def fetch(schema_id: int) -> str:
        if well:
            return "found"
        raise Unavailable("answers 500")

    wait = SchemaWait(fetch, timer, look_s=60)
    assert asked_until(wait, timer, 7, 2 * GIVE_UP_S)[-1] == "SchemaUnavailable"
    well = True
    assert asked_until(wait, timer, 7, 1) == ["SchemaUnavailable"], "not asked for each message"
    timer.now_s += ASK_AGAIN_S
    assert eventually(lambda: asked_until(wait, timer, 7, 1)[0] == "found")


def test_a_registry_where_nobody_listens_refuses_nothing() -> None:
    timer = Timer()
    wait = SchemaWait(SchemaRegistry("http://127.0.0.1:9").schema, timer, look_s=60)
    assert set(asked_until(wait, timer, 7, 4 * GIVE_UP_S)) == {"Unavailable"}


# -- requests ---------------------------------------------------------------------------

TOPIC = "streamrec.requests"
CODEC = wire_codec()
ASKED = CODEC.encode("requests", Request("r1", "ann", 1_767_323_044_000))
FRAMED = b"\x00\x00\x00\x00\x07abc"


class TwoPartitions:
    """A consumer whose first partition holds a message of schema 7, whatever is paused."""

    def __init__(self, messages: list[SimpleNamespace]) -> None:
        self.messages, self.committed = messages, []
        self.stopped: set[TopicPartition] = set()

    def poll(self, timeout_ms=0, max_records=None):
        found: dict[TopicPartition, list] = {}
        for message in list(self.messages):
            place = TopicPartition(TOPIC, message.partition)
            if place not in self.stopped:
                self.messages.remove(message)
                found.setdefault(place, []).append(message)
        return found

    def paused(self):
        return set(self.stopped)

    def pause(self, *partitions):
        self.stopped |= set(partitions)

    def resume(self, *partitions):
        self.stopped -= set(partitions)

    def assignment(self):
        return {TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)}

    def position(self, partition, **how):
        return 0

    def commit(self, offsets):
        self.committed.append({place.partition: at.offset for place, at in offsets.items()})


def message(partition: int, offset: int, value: bytes) -> SimpleNamespace:
    return SimpleNamespace(
        topic=TOPIC,
        partition=partition,
        offset=offset,
        timestamp=1,
        key=b"k",
        value=value,
        headers=(),
    )


def feed_of(consumer: TwoPartitions, foreign: Callable[[int], object]) -> KafkaTriggerFeed:
    codec = wire_codec(foreign=foreign)
    settings = KafkaSettings(bootstrap="nowhere:1")
    return KafkaTriggerFeed(settings, codec, "test", connect=lambda *args, **how: consumer)


def test_requests_behind_an_unknown_schema_wait_and_the_other_partition_s_do_not() -> None:
    answers = [Unavailable("not yet"), Unavailable("not yet"), SchemaUnavailable("given up")]

    def foreign(schema_id: int) -> object:
        raise answers.pop(0)

    consumer = TwoPartitions([message(0, 0, FRAMED), message(0, 1, ASKED), message(1, 0, ASKED)])
    feed = feed_of(consumer, foreign)
    assert places(feed) == [(1, 0)]
    feed.commit()
    consumer.messages += [message(1, 1, ASKED), message(0, 2, ASKED)]
    assert places(feed) == [(1, 1)]
    feed.commit()
    assert consumer.committed == [{1: 1}, {1: 2}], "not past what waits"
    refused, behind = feed.poll(0.1, 10)
    assert isinstance(refused.value, SchemaUnavailable)
    assert (refused.offset, behind.offset) == (0, 1)
    assert places(feed) == [(0, 2)]
    feed.commit()
    assert consumer.committed[-1] == {0: 3}


def places(feed: KafkaTriggerFeed) -> list[tuple[int, int]]:
    return [(one.partition, one.offset) for one in feed.poll(0.1, 10)]
