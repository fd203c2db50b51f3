"""The servers the other tests stand on: they start, keep data, die and come back."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest
import redis
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource
from kafka.errors import KafkaTimeoutError

from streamrec.errors import Unavailable
from streamrec.infra.processes.embedded import EmbeddedKafka, EmbeddedRedis
from streamrec.infra.processes.server_process import ServerProcess
from streamrec.infra.wire.kafka_joins import finish_joins
from streamrec.infra.wire.kafka_probe import admin_client, evict_members
from streamrec.settings import KafkaSettings
from tests.conftest import Prefix
from tests.harness.kinds import KAFKAS, REDISES
from tests.harness.servers import new_apache_kafka, new_redis_server
from tests.harness.waiting import PATIENCE_S, eventually

pytestmark = pytest.mark.every_kind


def create_topic(bootstrap: str, name: str, partitions: int = 1, **configs: str) -> None:
    wanted = {"num_partitions": partitions, "replication_factor": 1, "configs": configs}
    with admin_client(bootstrap) as admin:
        admin.create_topics({name: wanted}, wait_for_metadata=True)


def send(bootstrap: str, topic: str, *values: bytes) -> None:
    with closing(KafkaProducer(bootstrap_servers=bootstrap)) as producer:
        futures = [producer.send(topic, value, partition=0) for value in values]
        producer.flush()
        for future in futures:
            future.get(timeout=10)


def read(bootstrap: str, topic: str, count: int) -> list[bytes]:
    """Partition 0 from its beginning, without a group, until ``count`` values came."""
    values: list[bytes] = []
    partition = TopicPartition(topic, 0)
    with closing(KafkaConsumer(bootstrap_servers=bootstrap)) as consumer:
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        deadline = time.monotonic() + PATIENCE_S
        while len(values) < count and time.monotonic() < deadline:
            for records in consumer.poll(timeout_ms=200).values():
                values += [record.value for record in records]
    return values


def member(bootstrap: str, topic: str, group: str, client_id: str) -> KafkaConsumer:
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=group,
        client_id=client_id,
        auto_offset_reset="earliest",
        session_timeout_ms=6_000,
        heartbeat_interval_ms=500,
        enable_auto_commit=False,
    )
    return finish_joins(consumer)


@contextmanager
def polled(*consumers: KafkaConsumer) -> Iterator[None]:
    """Polls each in a thread of its own: members that take turns never settle."""
    done = threading.Event()

    def poll(consumer: KafkaConsumer) -> None:
        while not done.is_set():
            consumer.poll(timeout_ms=50)

    with ThreadPoolExecutor(len(consumers)) as pool:
        polling = [pool.submit(poll, consumer) for consumer in consumers]
        try:
            yield
        finally:
            done.set()
    for each in polling:
        each.result()


def test_a_message_comes_back(any_kafka: str, fresh_prefix: Prefix) -> None:
    topic = fresh_prefix.topic + "events"
    create_topic(any_kafka, topic)
    send(any_kafka, topic, b"one", b"two")
    assert read(any_kafka, topic, 2) == [b"one", b"two"]


@pytest.mark.apache_kafka
def test_topics_are_not_created_by_accident(apache_kafka: str, fresh_prefix: Prefix) -> None:
    producer = KafkaProducer(bootstrap_servers=apache_kafka, max_block_ms=500)
    with closing(producer), pytest.raises(KafkaTimeoutError):
        producer.send(fresh_prefix.topic + "typo", b"x")


def test_a_compacted_topic_says_so(any_kafka: str, fresh_prefix: Prefix) -> None:
    topic = fresh_prefix.topic + "items"
    create_topic(any_kafka, topic, partitions=3, **{"cleanup.policy": "compact"})
    with admin_client(any_kafka) as admin:
        (described,) = admin.describe_topics([topic])
        assert len(described["partitions"]) == 3
        configs = admin.describe_configs([ConfigResource("topic", topic)])
    assert "compact" in str(configs)


def test_a_group_shares_partitions_out(any_kafka: str, fresh_prefix: Prefix) -> None:
    topic, group = fresh_prefix.topic + "events", fresh_prefix.group
    create_topic(any_kafka, topic, partitions=4)
    with (
        closing(member(any_kafka, topic, group, "a")) as one,
        closing(member(any_kafka, topic, group, "b")) as two,
        polled(one, two),
    ):
        eventually(lambda: len(one.assignment()) == len(two.assignment()) == 2)
        assert one.assignment() | two.assignment() == {TopicPartition(topic, p) for p in range(4)}


def test_a_join_longer_than_a_poll_is_finished(any_kafka: str, fresh_prefix: Prefix) -> None:
    topic = fresh_prefix.topic + "events"
    create_topic(any_kafka, topic, partitions=2)
    for _ in range(5):  # without the repair, 19 of 20 starts stayed without partitions
        with closing(member(any_kafka, topic, fresh_prefix.group, "a")) as consumer:
            deadline = time.monotonic() + PATIENCE_S
            while not consumer.assignment():
                assert time.monotonic() < deadline, "joined, but was given no partitions"
                consumer.poll(timeout_ms=1)


def join_and_die(bootstrap: str, topic: str, group: str, client_id: str) -> None:
    """A member in a process of its own, SIGKILLed once it has been given partitions."""
    script = """
        import sys
        from kafka import KafkaConsumer
        from streamrec.infra.wire.kafka_joins import finish_joins
        bootstrap, topic, group, client_id = sys.argv[1:]
        consumer = KafkaConsumer(
            topic, bootstrap_servers=bootstrap, group_id=group, client_id=client_id,
            session_timeout_ms=30_000,
        )
        finish_joins(consumer)  # on a busy machine a join takes longer than a poll
        while not consumer.assignment():
            consumer.poll(timeout_ms=100)
        print("joined", flush=True)
        while True:
            consumer.poll(timeout_ms=100)
    """
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)]
    with subprocess.Popen(
        [*command, bootstrap, topic, group, client_id], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "joined\n"
        process.send_signal(signal.SIGKILL)


def test_a_group_of_the_dead_is_taken_over(any_kafka: str, fresh_prefix: Prefix) -> None:
    topic, group = fresh_prefix.topic + "events", fresh_prefix.group
    create_topic(any_kafka, topic, partitions=2)
    join_and_die(any_kafka, topic, group, "dead")
    assert evict_members(KafkaSettings(any_kafka), group, {"dead"}) == ["dead"]
    with closing(member(any_kafka, topic, group, "alive")) as alive, polled(alive):
        eventually(lambda: len(alive.assignment()) == 2)
        assert evict_members(KafkaSettings(any_kafka), group, {"dead"}) == []


def test_the_living_get_a_dead_member_s_partitions(any_kafka: str, fresh_prefix: Prefix) -> None:
    topic, group = fresh_prefix.topic + "events", fresh_prefix.group
    create_topic(any_kafka, topic, partitions=2)
    with closing(member(any_kafka, topic, group, "alive")) as alive, polled(alive):
        eventually(lambda: len(alive.assignment()) == 2)
        join_and_die(any_kafka, topic, group, "dead")
        assert evict_members(KafkaSettings(any_kafka), group, {"dead"}) == ["dead"]
        eventually(lambda: len(alive.assignment()) == 2)


def test_evicting_from_an_unknown_group_does_nothing(any_kafka: str, fresh_prefix: Prefix) -> None:
    assert evict_members(KafkaSettings(any_kafka), fresh_prefix.group, {"dead"}) == []


@pytest.fixture(params=KAFKAS)
def own_kafka(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerProcess]:
    make = EmbeddedKafka if request.param == "embedded_kafka" else new_apache_kafka
    server = make(tmp_path)
    yield server.start()
    server.kill()


@pytest.fixture(params=REDISES)
def own_redis(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EmbeddedRedis]:
    make = EmbeddedRedis if request.param == "embedded_redis" else new_redis_server
    server = make(tmp_path)
    yield server.start()
    server.kill()


def test_kafka_killed_keeps_port_and_messages(own_kafka: ServerProcess) -> None:
    address = own_kafka.address
    create_topic(address, "events")
    send(address, "events", b"one", b"two")
    if isinstance(own_kafka, EmbeddedKafka):
        time.sleep(1.0)  # an acknowledged write is safe after about half a second
    own_kafka.kill()
    assert not own_kafka.running
    own_kafka.start()
    assert own_kafka.address == address
    send(address, "events", b"three")
    assert read(address, "events", 3) == [b"one", b"two", b"three"]


def test_kafka_stopped_keeps_messages(own_kafka: ServerProcess) -> None:
    create_topic(own_kafka.address, "events")
    send(own_kafka.address, "events", b"one")
    own_kafka.restart()
    assert read(own_kafka.address, "events", 1) == [b"one"]


def test_redis_killed_keeps_what_was_synced(own_redis: EmbeddedRedis) -> None:
    with redis.Redis.from_url(own_redis.url) as client:
        client.set("k", "v")
        time.sleep(1.5)  # appendfsync everysec
    own_redis.kill()
    own_redis.start()
    with redis.Redis.from_url(own_redis.url) as client:
        assert client.get("k") == b"v"


def test_a_redis_answers(any_redis: str, fresh_prefix: Prefix) -> None:
    with redis.Redis.from_url(any_redis) as client:
        key = fresh_prefix.redis + "{p0}"
        assert client.eval("return redis.call('INCR', KEYS[1])", 1, key) == 1


@pytest.mark.embedded
@pytest.mark.parametrize("kind", ["EmbeddedKafka", "EmbeddedRedis"])
def test_a_server_dies_with_its_owner(kind: str, tmp_path: Path) -> None:
    script = f"""
        import sys, time
        from pathlib import Path
        from streamrec.infra.processes.embedded import {kind}
        print({kind}(Path(sys.argv[1])).start().pid, flush=True)
        time.sleep(60)
    """
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        server = psutil.Process(int(owner.stdout.readline()))
        owner.kill()
    server.wait(timeout=10)
    assert not server.is_running()


@pytest.mark.embedded
def test_stopping_leaves_no_process_and_can_be_repeated(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path).start()
    process = psutil.Process(server.pid)
    server.stop()
    server.stop()
    server.kill()
    assert not process.is_running()
    with pytest.raises(Unavailable, match="not running"):
        _ = server.pid


@pytest.mark.embedded
def test_a_server_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "first") as first:
        second = EmbeddedRedis(tmp_path / "second", port=first.port)
        with pytest.raises(Unavailable, match=r"(?s)embedded-redis .*in use"):
            second.start()


@pytest.mark.apache_kafka
def test_a_wrong_property_is_shown_from_the_log(tmp_path: Path) -> None:
    server = new_apache_kafka(tmp_path, {"num.io.threads": "none"})
    with pytest.raises(Unavailable, match=r"num\.io\.threads"):
        server.start()
