"""Mini-batches from a real broker, by position; losing the place is never silent."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from kafka import TopicPartition

from streamrec.core.examples import TrainingBatch
from streamrec.errors import Refused, Unavailable, UserError
from streamrec.infra.feeds.batch_feed import KafkaBatchFeed
from streamrec.infra.wire.kafka import KafkaPublisher, admin_client, make_consumer
from streamrec.infra.wire.kafka_topics import create_topics
from streamrec.ports import DeliveredBatch
from streamrec.settings import KafkaSettings
from tests.fakes.store import FakePartitionStore
from tests.harness.codec import wire_codec
from tests.harness.training_worker import Stream
from tests.harness.waiting import eventually

CODEC = wire_codec()


@pytest.fixture
def kafka(any_kafka, fresh_prefix) -> KafkaSettings:
    settings = KafkaSettings(bootstrap=any_kafka, topic_prefix=fresh_prefix.topic)
    create_topics(settings)
    return settings


@pytest.fixture
def feed(kafka: KafkaSettings) -> Iterator[KafkaBatchFeed]:
    feed = KafkaBatchFeed(kafka, CODEC, "test")
    yield feed
    feed.close()


def send(kafka: KafkaSettings, *values: bytes, key: bytes = b"0") -> None:
    publisher = KafkaPublisher(kafka, "test")
    for value in values:
        publisher.publish("training-batches", key, value)
    publisher.flush()
    publisher.close()


def encoded(count: int) -> list[bytes]:
    return [CODEC.encode("training-batches", b) for b in Stream(partitions=1).next_batches(count)]


def read(feed: KafkaBatchFeed, count: int) -> list[DeliveredBatch]:
    found: list[DeliveredBatch] = []
    for _ in range(100):
        found += feed.poll(0.2, 3)
        if len(found) >= count:
            return found
    pytest.fail(f"only {len(found)} batches came")


def test_batches_come_in_order_from_wherever_one_starts(kafka, feed) -> None:
    send(kafka, *encoded(7))
    assert feed.seek(2) == 2
    assert feed.lag() == 5
    found = read(feed, 5)
    assert [one.offset for one in found] == [2, 3, 4, 5, 6]
    assert all(isinstance(one.batch, TrainingBatch) for one in found)
    assert [one.batch.from_offset for one in found] == [32, 48, 64, 80, 96]
    assert len(found[0].batch.examples) == 16
    assert feed.lag() == 0
    assert feed.poll(0.05, 3) == []
    assert feed.seek(6) == 6
    assert [one.offset for one in read(feed, 1)] == [6]


def test_what_cannot_be_read_is_handed_over_with_its_bytes(kafka, feed) -> None:
    good = encoded(2)
    send(kafka, good[0], b"\xc3\x01garbage", good[1])
    feed.seek(0)
    found = read(feed, 3)
    assert isinstance(found[1].batch, Refused)
    assert found[1].data == b"\xc3\x01garbage"
    assert isinstance(found[2].batch, TrainingBatch)


def test_batches_of_other_tasks_are_passed_over_undecoded(kafka, feed) -> None:
    good = encoded(3)
    foreign = [b"copy's own shape"] * 5
    send(kafka, good[0])
    send(kafka, *foreign, key=b"copy/0")
    send(kafka, good[1])
    send(kafka, *foreign, key=b"copy/1")
    assert feed.seek(0) == 0
    assert feed.lag() == 12
    assert [one.offset for one in read(feed, 2)] == [0, 6]
    assert feed.poll(0.2, 3) == []
    assert feed.lag() == 0
    send(kafka, good[2])
    (found,) = read(feed, 1)
    assert (found.offset, type(found.batch)) == (12, TrainingBatch)


def test_a_task_reads_its_batches_only_and_in_its_shape(kafka) -> None:
    send(kafka, *encoded(2))
    send(kafka, b"copy's own shape", key=b"copy/0")
    feed = KafkaBatchFeed(kafka, CODEC, "test", task="copy")
    feed.seek(0)
    (found,) = read(feed, 1)
    assert (found.offset, found.data) == (2, b"copy's own shape")
    assert isinstance(found.batch, Refused)  # this codec knows no shape of copy
    feed.close()


def test_a_topic_that_ends_before_our_place_was_made_anew(kafka, feed) -> None:
    send(kafka, *encoded(2))
    with pytest.raises(UserError, match="made anew"):
        feed.seek(9)


@pytest.mark.apache_kafka
def test_a_topic_made_again_goes_on_where_places_ended(
    apache_kafka, fresh_prefix, caplog: pytest.LogCaptureFixture
) -> None:
    settings = KafkaSettings(bootstrap=apache_kafka, topic_prefix=fresh_prefix.topic)
    create_topics(settings)
    send(settings, *encoded(4))
    store = FakePartitionStore()
    feed = KafkaBatchFeed(settings, CODEC, "test", origins=store)
    assert feed.seek(0) == 0
    assert [one.offset for one in read(feed, 4)] == [0, 1, 2, 3]
    feed.close()
    name = fresh_prefix.topic + "training-batches"
    with admin_client(settings) as admin:
        admin.delete_topics([name])
        eventually(lambda: name not in admin.list_topics(), what="the topic gone")
    create_topics(settings)
    send(settings, *encoded(6))  # more than there were: nothing but the id tells
    again = KafkaBatchFeed(settings, CODEC, "test", origins=store)
    assert again.seek(4) == 4
    assert "made again" in caplog.text
    assert [one.offset for one in read(again, 6)] == [4, 5, 6, 7, 8, 9]
    assert again.seek(7) == 7
    assert [one.offset for one in read(again, 3)] == [7, 8, 9]
    again.close()


@pytest.mark.apache_kafka
def test_batches_that_retention_took_are_said_and_skipped(
    apache_kafka, fresh_prefix, caplog: pytest.LogCaptureFixture
) -> None:
    settings = KafkaSettings(bootstrap=apache_kafka, topic_prefix=fresh_prefix.topic)
    create_topics(settings)
    send(settings, *encoded(6))
    feed = KafkaBatchFeed(settings, CODEC, "test")
    feed.seek(0)
    read(feed, 1)
    with admin_client(settings) as admin:
        topic = TopicPartition(fresh_prefix.topic + "training-batches", 0)
        admin.delete_records({topic: 4})
    late = KafkaBatchFeed(settings, CODEC, "test")
    assert late.seek(4) == 4
    with admin_client(settings) as admin:
        admin.delete_records({topic: 5})
    assert [one.offset for one in read(late, 1)] == [5]  # taken away between seek and poll
    late.close()
    assert feed.seek(1) == 5
    assert any("retention" in line for line in caplog.messages)
    assert [one.offset for one in read(feed, 1)] == [5]
    feed.close()


def test_no_broker_is_unavailable() -> None:
    soon = partial(make_consumer, bootstrap_timeout_ms=500)
    feed = KafkaBatchFeed(KafkaSettings(bootstrap="127.0.0.1:1"), CODEC, "test", connect=soon)
    with pytest.raises(Unavailable):
        feed.seek(0)
