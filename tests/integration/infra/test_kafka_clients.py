"""Topics, publishing, consuming and lag, on Apache Kafka and on the embedded broker."""

from __future__ import annotations

import asyncio
import os
import time

import pytest
from aiokafka import AIOKafkaConsumer
from kafka import KafkaAdminClient

from streamrec.core.topics import TOPICS
from streamrec.errors import TooLarge, Unavailable, UserError
from streamrec.infra.processes.embedded import EmbeddedKafka
from streamrec.infra.wire.kafka import KafkaPublisher, make_consumer, partition_for
from streamrec.infra.wire.kafka_offsets import end_offsets
from streamrec.infra.wire.kafka_pace import pace_aiokafka
from streamrec.infra.wire.kafka_topics import create_topics, partition_counts
from streamrec.settings import KafkaSettings

WAIT_S = 0.6


@pytest.fixture
def kafka(any_kafka, fresh_prefix) -> KafkaSettings:
    return KafkaSettings(bootstrap=any_kafka, topic_prefix=fresh_prefix.topic, partitions=3)


def make_topic(kafka: KafkaSettings, topic: str, partitions: int, **configs: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    layout = {"num_partitions": partitions, "replication_factor": 1, "configs": configs}
    admin.create_topics({kafka.topic_prefix + topic: layout}, wait_for_metadata=True)
    admin.close()


def read(kafka: KafkaSettings, topic: str, count: int, **options):
    consumer = make_consumer(kafka, [topic], **options)
    found = []
    for _ in range(60):
        found += [record for records in consumer.poll(500).values() for record in records]
        if len(found) >= count:
            break
    consumer.close()
    return found


def test_topics_are_created_once(kafka):
    made = create_topics(kafka)
    assert made == [kafka.topic_prefix + topic.name for topic in TOPICS]
    assert create_topics(kafka) == []
    counts = partition_counts(kafka)
    assert counts == {topic.name: 1 if topic.one_partition else 3 for topic in TOPICS}


def test_a_topic_that_cannot_work_is_named(kafka):
    make_topic(kafka, "adapters", 2)
    with pytest.raises(UserError, match="adapters has 2 partitions, but its order must be total"):
        create_topics(kafka)


def test_waiting_for_nothing_asks_rarely(kafka):
    """The embedded broker does not hold an empty fetch back; a core is not for asking."""
    make_topic(kafka, "events", 1)
    consumer = make_consumer(kafka, ["events"])
    consumer.poll(100)
    began_s = time.process_time()
    assert consumer.poll(int(WAIT_S * 1000)) == {}
    spent_s = time.process_time() - began_s
    consumer.close()
    assert spent_s < WAIT_S / 3, "without pauses nearly all of it"


def test_a_consumer_of_aiokafka_asks_rarely_too(kafka):
    make_topic(kafka, "events", 1)
    spent_s = 0.0

    async def wait() -> None:
        consumer = AIOKafkaConsumer(
            kafka.topic_prefix + "events", bootstrap_servers=kafka.bootstrap
        )
        await consumer.start()
        pace_aiokafka(consumer)
        await consumer.getmany(timeout_ms=100)
        nonlocal spent_s
        began_s = time.process_time()
        assert await consumer.getmany(timeout_ms=int(WAIT_S * 1000)) == {}
        spent_s = time.process_time() - began_s
        await consumer.stop()

    asyncio.run(wait())
    assert spent_s < WAIT_S / 3, "without pauses nearly all of it"


@pytest.mark.apache_kafka
def test_a_compacted_events_topic_is_refused(apache_kafka, fresh_prefix):
    kafka = KafkaSettings(bootstrap=apache_kafka, topic_prefix=fresh_prefix.topic)
    make_topic(kafka, "events", 2, **{"cleanup.policy": "compact"})
    with pytest.raises(UserError, match="events is compacted"):
        create_topics(kafka)


def test_what_is_published_is_consumed_where_the_key_says(kafka):
    create_topics(kafka)
    publisher = KafkaPublisher(kafka, "test")
    for number in range(50):
        publisher.publish("events", b"u%d" % number, b"v%d" % number)
    publisher.publish("events", b"u0", None, partition=2, timestamp_ms=1_700_000_000_000)
    publisher.flush()
    publisher.close()
    assert sum(end for (topic, _), end in end_offsets(kafka, ["events"]).items()) == 51
    found = read(kafka, "events", 51)
    assert {r.value for r in found} == {None, *(b"v%d" % number for number in range(50))}
    for record in found:
        if record.value is None:
            assert (record.partition, record.timestamp) == (2, 1_700_000_000_000)
        else:
            assert record.partition == partition_for(record.key.decode(), 3)
    assert len(read(kafka, "events", 51, group="readers")) == 51


def test_an_oversized_message_is_refused_and_its_neighbours_are_not(kafka):
    create_topics(kafka)
    publisher = KafkaPublisher(kafka, "test")
    publisher.publish("events", b"u", b"before")
    with pytest.raises(TooLarge):
        publisher.publish("events", b"u", b"x" * 10_000_000)
    publisher.publish("events", b"u", b"after")
    publisher.flush()
    publisher.close()
    assert [record.value for record in read(kafka, "events", 2)] == [b"before", b"after"]


@pytest.mark.apache_kafka
def test_the_topics_own_limit_is_told_apart_from_silence(apache_kafka, fresh_prefix):
    kafka = KafkaSettings(bootstrap=apache_kafka, topic_prefix=fresh_prefix.topic)
    make_topic(kafka, "events", 1, **{"max.message.bytes": "2000"})
    publisher = KafkaPublisher(kafka, "test")
    large = os.urandom(50_000)
    publisher.publish("events", b"u", large)
    with pytest.raises(Unavailable, match=r"larger than .*events takes"):
        publisher.flush()
    assert publisher.failures == 1
    with pytest.raises(TooLarge):
        publisher.publish("events", b"u", large)
    publisher.publish("events", b"u", b"told once, then it goes on")
    publisher.flush()
    assert publisher.failures == 1
    publisher.close()


def test_a_missing_topic_is_named(kafka):
    with pytest.raises(UserError, match=r"there is no topic .*requests; `streamrec topics create`"):
        make_consumer(kafka, ["requests"])


@pytest.mark.embedded
def test_what_was_handed_over_while_kafka_was_away_arrives_in_order(fresh_prefix, tmp_path):
    broker = EmbeddedKafka(tmp_path)
    broker.start()
    kafka = KafkaSettings(bootstrap=broker.bootstrap, topic_prefix=fresh_prefix.topic)
    create_topics(kafka)
    publisher = KafkaPublisher(kafka, "test")
    publisher.publish("adapters", b"k", b"0")
    publisher.flush()
    time.sleep(1)  # its own durability
    broker.kill()
    for number in range(1, 20):
        publisher.publish("adapters", b"k", b"%d" % number)
    with pytest.raises(Unavailable, match="waiting for acknowledgements"):
        publisher.flush(timeout_s=1.0)
    broker.start()
    publisher.flush()
    publisher.close()
    found = [int(record.value) for record in read(kafka, "adapters", 20)]
    assert list(dict.fromkeys(found)) == list(range(20))
    broker.stop()
