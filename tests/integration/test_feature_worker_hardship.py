"""The feature worker when things die, are not there, or do not fit."""

from __future__ import annotations

import os
import random
import threading
import time
from dataclasses import replace

import pytest

from streamrec.core.events import Source
from streamrec.infra.processes.embedded import EmbeddedKafka, EmbeddedRedis
from streamrec.infra.processes.server_process import free_port
from streamrec.infra.stores.redis_client import connect_redis
from streamrec.infra.stores.redis_store import RedisPartitionStore
from streamrec.infra.wire.kafka import KafkaPublisher, full_name
from streamrec.infra.wire.kafka_probe import evict_members
from streamrec.infra.wire.kafka_topics import create_topics
from streamrec.ports import Writes
from streamrec.settings import Settings
from tests.fakes.streams import interactions
from tests.harness.codec import wire_codec
from tests.harness.feature_worker import (
    assert_same_state,
    catalogue,
    expected_examples,
    feature_workers,
    make_settings,
    read_topic,
    send_events,
    send_items,
    single_pass,
    trained,
    wait_settled,
)
from tests.harness.servers import new_redis_server

CODEC = wire_codec()
KILLS = 4


def partition_store(settings: Settings) -> RedisPartitionStore:
    return RedisPartitionStore(connect_redis(settings.redis), settings.redis.key_prefix)


@pytest.mark.slow
@pytest.mark.apache_kafka
@pytest.mark.redis_server
def test_killed_at_random_moments_nothing_is_lost_and_nothing_doubled(
    apache_kafka, fresh_prefix, tmp_path
):
    rng = random.Random(5)
    redis = new_redis_server(tmp_path / "redis")
    redis.start()
    settings = make_settings(apache_kafka, redis.url, fresh_prefix, tmp_path)
    create_topics(settings.kafka)
    publisher = KafkaPublisher(settings.kafka, "producer")
    send_items(publisher, catalogue())
    events = interactions(4000, seed=21, users=60)
    done = threading.Event()

    def produce() -> None:
        for start in range(0, len(events), 30):
            send_events(publisher, events[start : start + 30])
            time.sleep(0.12)
        done.set()

    producing = threading.Thread(target=produce)
    try:
        with feature_workers(settings, tmp_path, count=2) as workers:
            store = partition_store(settings)
            workers[0].until(lambda: store.position(Source("items", 0)))
            producing.start()
            for kill in range(KILLS):
                time.sleep(rng.uniform(1.0, 3.5))
                victim = rng.choice(workers)
                victim.kill()
                if kill == KILLS - 2:
                    redis.kill()  # appendfsync everysec: up to a second of commits is gone
                    redis.restart()
                group = full_name(settings.kafka, "features")
                evict_members(settings.kafka, group, [victim.name])
                victim.start()
            producing.join()
            wait_settled(settings, store, workers)
            assert all(w.terminate() == 0 for w in workers), [w.log for w in workers]
        expected = single_pass(settings)
        assert_same_state(settings, store, expected)
        examples = trained(settings)
        assert set(examples.values()) == {1}
        assert examples.keys() == expected_examples(expected)
        updates = [
            CODEC.decode("user-updates", r.value) for r in read_topic(settings, "user-updates")
        ]
        assert {(u.partition, u.offset) for u in updates} == {
            (source.partition, entry.offset)
            for source, partition in expected.partitions.items()
            for entry in partition.outboxes["updates"]
        }
    finally:
        done.wait(60)
        publisher.close()
        redis.kill()


@pytest.mark.slow
@pytest.mark.embedded
def test_a_frozen_worker_that_thaws_does_no_harm(
    embedded_kafka, embedded_redis, fresh_prefix, tmp_path
):
    settings = make_settings(embedded_kafka, embedded_redis, fresh_prefix, tmp_path)
    create_topics(settings.kafka)
    publisher = KafkaPublisher(settings.kafka, "producer")
    send_items(publisher, catalogue())
    events = interactions(1500, seed=22, users=40)
    with feature_workers(settings, tmp_path, count=2) as [zombie, other]:
        store = partition_store(settings)
        send_events(publisher, events[:500])
        wait_settled(settings, store, [zombie, other])
        zombie.freeze()
        evict_members(settings.kafka, full_name(settings.kafka, "features"), [zombie.name])
        send_events(publisher, events[500:1000])
        wait_settled(settings, store, [zombie, other])
        zombie.thaw()
        send_events(publisher, events[1000:])
        wait_settled(settings, store, [zombie, other])
    publisher.close()
    expected = single_pass(settings)
    assert_same_state(settings, store, expected)
    examples = trained(settings)
    assert examples.keys() == expected_examples(expected)


@pytest.mark.slow
@pytest.mark.embedded
def test_servers_away_at_the_start_and_later(fresh_prefix, tmp_path):
    kafka_port, redis_port = free_port(), free_port()
    settings = make_settings(
        f"127.0.0.1:{kafka_port}", f"redis://127.0.0.1:{redis_port}/0", fresh_prefix, tmp_path
    )
    kafka = EmbeddedKafka(tmp_path / "kafka", kafka_port)
    redis = EmbeddedRedis(tmp_path / "redis", redis_port)
    with feature_workers(settings, tmp_path) as [worker]:

        def says(text: str) -> None:
            worker.until(lambda: text in worker.log)

        try:
            says(f"WARNING features-0 waiting: Kafka at 127.0.0.1:{kafka_port}")
            kafka.start()
            says(f"no topic {fresh_prefix.topic}items, {fresh_prefix.topic}events")
            says("`streamrec topics create` makes them")
            create_topics(settings.kafka)
            says("waiting: Redis: connecting")
            redis.start()
            publisher = KafkaPublisher(settings.kafka, "producer")
            store = partition_store(settings)
            events = interactions(600, seed=23)
            send_items(publisher, catalogue())
            send_events(publisher, events[:200])
            wait_settled(settings, store, [worker])
            redis.stop()
            send_events(publisher, events[200:400])
            says("events-")
            time.sleep(1)
            redis.start()
            wait_settled(settings, store, [worker])
            time.sleep(1)  # the embedded broker's own durability: half a second
            kafka.kill()
            time.sleep(1)
            kafka.start()
            send_events(publisher, events[400:])
            wait_settled(settings, store, [worker])
            assert worker.terminate() == 0, worker.log
            publisher.close()
            assert_same_state(settings, store, single_pass(settings))
            assert "Traceback" not in worker.log
        finally:
            kafka.kill()
            redis.kill()


@pytest.mark.embedded
def test_a_log_that_no_longer_fits_the_state_parks_its_partition_aloud(
    embedded_kafka, embedded_redis, fresh_prefix, tmp_path
):
    settings = make_settings(embedded_kafka, embedded_redis, fresh_prefix, tmp_path)
    create_topics(settings.kafka)
    partition_store(settings).commit(Source("events", 1), 0, 500, Writes())
    with feature_workers(settings, tmp_path) as [worker]:
        worker.until(lambda: "events-1" in worker.log and "state continue" in worker.log)
        assert worker.terminate() == 0, worker.log
        assert "delete" not in worker.log
        assert "Traceback" not in worker.log


@pytest.mark.apache_kafka
@pytest.mark.redis_server
def test_ten_megabytes_that_got_in_become_a_dead_letter_without_them(
    apache_kafka, redis_url, fresh_prefix, tmp_path
):
    settings = make_settings(apache_kafka, redis_url, fresh_prefix, tmp_path)
    generous = replace(settings.kafka, max_message_bytes=12_000_000, partitions=1)
    create_topics(generous)
    publisher = KafkaPublisher(generous, "producer")
    publisher.publish("events", b"big", b"{" + os.urandom(10_000_000))
    [event] = interactions(1, seed=1)
    send_events(publisher, [event])
    publisher.close()
    with feature_workers(settings, tmp_path) as [worker]:
        store = partition_store(settings)
        worker.until(lambda: store.position(Source("events", 0)) == 2)
        assert worker.terminate() == 0
    [letter] = [CODEC.decode("dead-letter", r.value) for r in read_topic(settings, "dead-letter")]
    assert (letter.code, letter.offset, letter.key, letter.value) == ("too-large", 0, b"big", None)
    assert "read it at events-0 offset 0" in letter.reason
    _, [record] = store.read_users(Source("events", 0), [event.user_id])
    assert record is not None  # the good neighbour was applied
