"""What an Apache Kafka does not take: messages above its limit, more than a quota a second. Nothing
is lost, it is told, and the worker goes on.
"""

from __future__ import annotations

import subprocess
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource

from streamrec.core.events import Item, Kind
from streamrec.errors import TooLarge, Unavailable, UserError
from streamrec.infra.processes.apache_kafka import JVM, LOG_LEVEL, resolve_jars
from streamrec.infra.stores.control_log import KafkaControlLog
from streamrec.infra.stores.redis_client import connect_redis
from streamrec.infra.stores.redis_store import RedisPartitionStore
from streamrec.infra.wire.kafka import KafkaPublisher, client_config, full_name, make_consumer
from streamrec.infra.wire.kafka_topics import create_topics
from streamrec.infra.wire.topic_flaws import topic_flaws
from streamrec.settings import KafkaSettings
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
from tests.harness.second_broker import second_broker
from tests.harness.servers import KAFKA_CACHE, new_apache_kafka
from tests.harness.waiting import PATIENCE_S, eventually
from tests.integration.infra.test_compressions import CONTROL

pytestmark = pytest.mark.apache_kafka
CODEC = wire_codec()
SMALL = 17_000
"""Bytes; less than the mini-batches of this test have. Up to 16,384, a producer puts several
messages into one batch, which it cannot take apart again."""


def alter(kafka: KafkaSettings, configs: dict[str, str], *topics: str) -> None:
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        admin.alter_configs(
            [ConfigResource("TOPIC", full_name(kafka, topic), configs) for topic in topics]
        )


@pytest.mark.redis_server
def test_a_feature_worker_splits_or_gives_up_what_is_too_large(
    apache_kafka, redis_url, fresh_prefix, tmp_path: Path
) -> None:
    settings = make_settings(apache_kafka, redis_url, fresh_prefix, tmp_path)
    kafka = settings.kafka
    create_topics(kafka)
    alter(kafka, {"max.message.bytes": str(SMALL)}, "training-batches", "dead-letter")
    store = RedisPartitionStore(connect_redis(settings.redis), settings.redis.key_prefix)
    clicks = [e for e in interactions(6_000, seed=8, users=40) if e.kind is Kind.CLICK]
    alone = [replace(e, event_id=f"c{n}", impression_id=None) for n, e in enumerate(clicks)]
    events = [*interactions(1_000, seed=7, users=40), *alone]
    with (
        closing(KafkaPublisher(kafka, "producer")) as publisher,
        feature_workers(settings, tmp_path) as workers,
    ):
        send_items(publisher, [*catalogue(), *(Item(f"x{n}", f"Extra {n}") for n in range(150))])
        wait_settled(settings, store, workers)  # an event of an unknown item is folded otherwise
        publisher.publish("events", b"u1", b"not an event " + incompressible(30_000))
        send_events(publisher, events)
        wait_settled(settings, store, workers)
        (flaw, *_) = [f for f in topic_flaws(kafka) if "training-batches" in f.said]
        assert flaw.said.endswith("takes messages of 17,000 bytes; ours may have 1,004,096")
        assert "training-batches takes; what is sent again is split" in workers[0].log
        assert workers[0].running
        assert "Traceback" not in workers[0].log
    expected = single_pass(settings)
    assert_same_state(settings, store, expected)
    assert trained(settings) == dict.fromkeys(expected_examples(expected), 1)
    (letter,) = [CODEC.decode("dead-letter", r.value) for r in read_topic(settings, "dead-letter")]
    assert (letter.value, letter.code) == (None, "malformed")
    assert "too large for a dead letter" in letter.reason


def incompressible(length: int) -> bytes:
    found, state = bytearray(), 1
    while len(found) < length:
        state = state * 6364136223846793005 + 1442695040888963407 & 2**64 - 1
        found += (state >> 24).to_bytes(5)
    return bytes(found[:length])


def test_a_publisher_learns_what_a_topic_takes(apache_kafka, fresh_prefix) -> None:
    kafka = KafkaSettings(bootstrap=apache_kafka, topic_prefix=fresh_prefix.topic)
    create_topics(kafka)
    alter(kafka, {"max.message.bytes": str(SMALL)}, "recommendations")
    large, small = incompressible(40_000), incompressible(5_000)
    with closing(KafkaPublisher(kafka, "t")) as publisher:
        for value in (large, small):
            publisher.publish("recommendations", b"u", value)
        with pytest.raises(Unavailable, match=r"larger than .*recommendations takes"):
            publisher.flush()
        with pytest.raises(TooLarge, match=r"40000 bytes; .*recommendations takes fewer"):
            publisher.publish("recommendations", b"u", large)
        publisher.publish("recommendations", b"u", small)
        publisher.publish("recommendations", b"u", b"a" * 200_000)  # as small, compressed
        publisher.publish("requests", b"u", large)
        publisher.flush()


def test_a_control_record_that_is_too_large_is_refused(apache_kafka, fresh_prefix) -> None:
    kafka = KafkaSettings(bootstrap=apache_kafka, topic_prefix=fresh_prefix.topic)
    create_topics(kafka)
    alter(kafka, {"max.message.bytes": "100"}, "adapters")
    with (
        KafkaControlLog(client_config(kafka), CODEC, kafka.topic_prefix) as log,
        pytest.raises(UserError, match=r"larger than .*adapters takes: raise"),
    ):
        log.append(CONTROL)


def test_a_quota_slows_down_and_raises_no_alarm(apache_kafka, fresh_prefix, caplog) -> None:
    kafka = KafkaSettings(bootstrap=apache_kafka, topic_prefix=fresh_prefix.topic)
    create_topics(kafka)
    limited = f"limited-{fresh_prefix.group}"
    limit(apache_kafka, limited, "producer_byte_rate=30000,consumer_byte_rate=30000")
    values = {b"%d" % number + incompressible(15_000) for number in range(12)}
    with closing(KafkaPublisher(kafka, limited)) as publisher:
        for value in values:
            publisher.publish("requests", b"u", value)
        publisher.flush()
    with closing(make_consumer(kafka, ["requests"], client_id=limited)) as consumer:
        read: set[bytes] = set()
        eventually(
            lambda: (
                read.update(
                    record.value for records in consumer.poll(500).values() for record in records
                )
                or read == values
            )
        )
    assert not [record for record in caplog.records if record.levelname in {"WARNING", "ERROR"}]


def limit(bootstrap: str, client_id: str, quotas: str) -> None:
    """As an operator does: kafka-configs.sh."""
    jars = resolve_jars(KAFKA_CACHE)
    subprocess.run(
        [
            *("java", *JVM, LOG_LEVEL, "-cp", str(jars / "*"), "kafka.admin.ConfigCommand"),
            *("--bootstrap-server", bootstrap, "--alter", "--add-config", quotas),
            *("--entity-type", "clients", "--entity-name", client_id),
        ],
        check=True,
        capture_output=True,
    )


def test_a_write_that_lacks_replicas_waits_says_so_and_arrives_once(
    fresh_prefix, tmp_path: Path, caplog
) -> None:
    with (
        new_apache_kafka(tmp_path / "first") as first,
        second_broker(tmp_path / "second", first) as second,
    ):
        kafka = KafkaSettings(
            bootstrap=first.bootstrap, topic_prefix=fresh_prefix.topic, partitions=1, replication=2
        )
        create_topics(kafka)
        alter(kafka, {"min.insync.replicas": "2"}, "requests")
        (flaw,) = topic_flaws(kafka)
        assert not flaw.stops
        assert "with one broker away nothing can be written" in flaw.said
        with closing(KafkaPublisher(kafka, "t")) as publisher:
            publisher.publish("requests", b"u", b"1")
            publisher.flush()
            second.kill()
            eventually(lambda: nothing_can_be_written(kafka))
            publisher.publish("requests", b"u", b"2")
            with pytest.raises(Unavailable, match="waiting for acknowledgements"):
                publisher.flush(3)
            eventually(lambda: "requests', partition=0), retrying" in caplog.text)
            assert "NotEnoughReplicas" in caplog.text
            assert publisher.failures == 0
            second.start()
            publisher.flush(PATIENCE_S)
        with closing(make_consumer(kafka, ["requests"])) as consumer:
            read: list[bytes] = []
            eventually(
                lambda: (
                    read.extend(r.value for rs in consumer.poll(500).values() for r in rs)
                    or read == [b"1", b"2"]
                )
            )


def nothing_can_be_written(kafka: KafkaSettings) -> bool:
    """As ``doctor`` sees it, once the cluster has noticed."""
    try:
        return any(flaw.stops for flaw in topic_flaws(kafka))
    except Unavailable:
        return False
