"""Transactional producers: what they take back never was, and nothing waits for it."""

from __future__ import annotations

import pytest
from kafka import KafkaProducer, TopicPartition

from streamrec.apps.status import Observer
from streamrec.core.events import Interaction, Item, Kind, Request, Source
from streamrec.infra.feeds.trigger_feed import KafkaTriggerFeed
from streamrec.infra.stores.redis_client import connect_redis
from streamrec.infra.stores.redis_store import RedisPartitionStore
from streamrec.infra.wire.kafka import KafkaPublisher, admin_client, full_name, partition_for
from streamrec.infra.wire.kafka_offsets import end_offsets, group_offsets
from streamrec.infra.wire.kafka_topics import create_topics
from tests.fakes.streams import START_MS
from tests.harness.codec import wire_codec
from tests.harness.feature_worker import (
    PARTITIONS,
    catalogue,
    feature_workers,
    lag,
    make_settings,
    send_items,
    trained,
    wait_settled,
)
from tests.harness.waiting import eventually

CODEC = wire_codec()
USER = "ann"
HOME = partition_for(USER, PARTITIONS)
EVENTS = Source("events", HOME)


@pytest.fixture
def settings(apache_kafka, redis_url, fresh_prefix, tmp_path):
    made = make_settings(apache_kafka, redis_url, fresh_prefix, tmp_path)
    create_topics(made.kafka)
    return made


@pytest.fixture
def store(settings):
    with connect_redis(settings.redis) as client:
        yield RedisPartitionStore(client, settings.redis.key_prefix)


@pytest.fixture
def producer(settings):
    made = KafkaProducer(
        bootstrap_servers=settings.kafka.bootstrap,
        transactional_id=settings.kafka.topic_prefix + "theirs",
        acks="all",
    )
    made.init_transactions()
    yield made
    made.close(timeout=2)


def clicks(settings, producer, names, *, commit: bool | None = True) -> None:
    """A transaction; ``commit`` None leaves it open."""
    producer.begin_transaction()
    for name in names:
        event = Interaction(name, USER, "i1", Kind.CLICK, START_MS)
        data = CODEC.encode("events", event)
        producer.send(full_name(settings.kafka, "events"), data, USER.encode())
    producer.flush()
    if commit is not None:
        producer.commit_transaction() if commit else producer.abort_transaction()


def known(store) -> int:
    """How many accepted events the user's record counts."""
    _, [record] = store.read_users(EVENTS, [USER])
    return 0 if record is None else record["n"][1]


@pytest.mark.apache_kafka
@pytest.mark.redis_server
def test_events_of_transactions_are_applied_once_committed(settings, store, producer, tmp_path):
    publisher = KafkaPublisher(settings.kafka, "ours")
    send_items(publisher, catalogue())
    clicks(settings, producer, ["before"])  # the log ends in a marker when the worker comes
    with feature_workers(settings, tmp_path) as [worker]:
        wait_settled(settings, store, [worker])
        for n in range(20):  # one in five is taken back
            clicks(settings, producer, [f"a{n}", f"b{n}"], commit=n % 5 != 0)
        wait_settled(settings, store, [worker])
        assert known(store) == 1 + 2 * 16
        for n in range(30):  # a long run that never was; nothing comes after it
            clicks(settings, producer, [f"never{n}"], commit=False)
        wait_settled(settings, store, [worker])
        assert store.position(EVENTS) == end_offsets(settings.kafka, ["events"])["events", HOME]
        clicks(settings, producer, ["open"], commit=None)
        ours = Interaction("behind", USER, "i1", Kind.CLICK, START_MS)
        publisher.publish("events", USER.encode(), CODEC.encode("events", ours))
        publisher.flush()
        written = end_offsets(settings.kafka, ["events"], committed=False)["events", HOME]
        assert written - end_offsets(settings.kafka, ["events"])["events", HOME] == 2
        wait_settled(settings, store, [worker])
        with Observer(settings) as observer:
            [flow] = [flow for flow in observer.look().flows if flow.topic == "events"]
        assert (flow.lag, flow.held) == (0, 2)
        assert known(store) == 33, "what waits for an open transaction is not lag, nor applied"
        producer.commit_transaction()
        worker.until(lambda: known(store) == 35)
        with admin_client(settings.kafka) as admin:  # markers and what was taken back, all gone
            name = full_name(settings.kafka, "events")
            admin.delete_records({TopicPartition(name, HOME): written})
        worker.kill()
        worker.start()
        clicks(settings, producer, ["last"])
        worker.until(lambda: known(store) == 36)
        wait_settled(settings, store, [worker])
        assert worker.terminate() == 0
        assert "is read at" not in worker.log
        assert "seeking again" not in worker.log
    publisher.close()
    assert lag(settings, store) == 0
    assert set(trained(settings).values()) == {1}


@pytest.mark.apache_kafka
@pytest.mark.redis_server
def test_items_and_requests_taken_back_are_neither_recommended_nor_answered(
    settings, store, producer, tmp_path
):
    items, requests = (full_name(settings.kafka, topic) for topic in ("items", "requests"))
    feed = KafkaTriggerFeed(settings.kafka, CODEC, "serving")
    feed.poll(0.1, 1)
    for n in range(10):
        producer.begin_transaction()
        item = Item(f"t{n}", f"Title {n}")
        producer.send(items, CODEC.encode("items", item), item.item_id.encode())
        request = Request(f"r{n}", USER, START_MS)
        producer.send(requests, CODEC.encode("requests", request), USER.encode())
        producer.commit_transaction() if n % 5 else producer.abort_transaction()
    found = []

    def answered() -> bool:
        batch = feed.poll(0.2, 100)
        found.extend(message.value.request_id for message in batch)
        if batch:
            feed.commit()
        ends = end_offsets(settings.kafka, ["requests"])
        done = group_offsets(settings.kafka, "serving")
        behind = sum(end - done.get(place, 0) for place, end in ends.items())
        return not any(feed.lag().values()) and behind == 0

    eventually(answered, what=lambda: f"{found}, {group_offsets(settings.kafka, 'serving')}")
    feed.close()
    assert sorted(found) == [f"r{n}" for n in range(10) if n % 5]
    with feature_workers(settings, tmp_path) as [worker]:
        wait_settled(settings, store, [worker])
        rows = {}
        for partition in range(PARTITIONS):
            rows |= store.read_rows(Source("items", partition), 0).rows
        assert worker.terminate() == 0
    assert sorted(rows) == [f"t{n}" for n in range(10) if n % 5]
