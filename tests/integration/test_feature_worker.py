"""The feature worker as an OS process, against real Kafka and Redis."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from streamrec.core.events import Interaction, Kind, Source
from streamrec.infra.stores.fleet import RedisFleet
from streamrec.infra.stores.redis_client import connect_redis
from streamrec.infra.stores.redis_store import RedisPartitionStore
from streamrec.infra.wire.kafka import KafkaPublisher, partition_for
from streamrec.infra.wire.kafka_offsets import end_offsets, group_offsets
from streamrec.infra.wire.kafka_topics import create_topics
from streamrec.settings import Settings
from tests.fakes.streams import ITEMS, START_MS, interactions
from tests.harness.codec import wire_codec
from tests.harness.feature_worker import (
    PARTITIONS,
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
from tests.harness.waiting import eventually

CODEC = wire_codec()


@pytest.fixture
def settings(any_servers, fresh_prefix, tmp_path) -> Settings:
    made = make_settings(*any_servers, fresh_prefix, tmp_path)
    create_topics(made.kafka)
    return made


@pytest.fixture
def publisher(settings):
    made = KafkaPublisher(settings.kafka, "producer")
    yield made
    made.close()


@pytest.fixture
def store(settings):
    client = connect_redis(settings.redis)
    yield RedisPartitionStore(client, settings.redis.key_prefix)
    client.close()


def test_events_become_state_updates_and_batches(settings, publisher, store, tmp_path):
    send_items(publisher, catalogue())
    events = interactions(400, seed=11, users=30)
    send_events(publisher, events)
    with feature_workers(settings, tmp_path) as [worker]:
        wait_settled(settings, store, [worker])
        with connect_redis(settings.redis) as client:
            [status] = RedisFleet(client, settings.redis.key_prefix).workers()
        assert (status.worker_id, status.role) == ("features-0", "features")
        late = [replace(e, event_id="late-" + e.event_id) for e in events[:50]]
        send_events(publisher, late)
        wait_settled(settings, store, [worker])
        counted = [store.read_rows(Source("events", p), 0).rows for p in range(PARTITIONS)]
        send_events(publisher, [*events, *late])
        wait_settled(settings, store, [worker])
        assert [store.read_rows(Source("events", p), 0).rows for p in range(PARTITIONS)] == counted
        ends = end_offsets(settings.kafka, ["items", "events"])
        written = {tp: end for tp, end in ends.items() if end}
        eventually(
            lambda: written.items() <= group_offsets(settings.kafka, "features").items(),
            what=lambda: f"the group says {group_offsets(settings.kafka, 'features')} of {ends}",
        )
        assert worker.terminate() == 0, worker.log
        assert "Traceback" not in worker.log
    expected = single_pass(settings)
    assert_same_state(settings, store, expected)
    examples = trained(settings)
    assert len(examples) > 100
    assert examples.keys() == expected_examples(expected)
    assert set(examples.values()) == {1}
    updates = [CODEC.decode("user-updates", r.value) for r in read_topic(settings, "user-updates")]
    assert len({(u.partition, u.offset) for u in updates}) == len(updates) > 100
    for update in updates:
        assert update.partition == partition_for(update.user_id, PARTITIONS)
    with connect_redis(settings.redis) as client:
        assert list(RedisFleet(client, settings.redis.key_prefix).workers()) == []


def test_bad_input_is_kept_with_its_reason_and_good_neighbours_count(
    settings, publisher, store, tmp_path
):
    send_items(publisher, catalogue())
    good = {
        "user_id": "ann",
        "item_id": "i1",
        "kind": "click",
        "occurred_at": "2026-01-02T03:04:05Z",
    }

    def as_json(**changes) -> bytes:
        return json.dumps({**good, **changes}).encode()

    click = Interaction("avro", "ann", "i2", Kind.CLICK, START_MS)
    sent = [
        (as_json(event_id="json"), None),
        (b"\x17\x99", "starts with 17 99; expected Avro"),
        (CODEC.encode("events", click)[:-6], "the Avro body does not fit its schema"),
        (b"\xc3\x01unknown!" + b"\x00" * 9, "is no version of the schema `event`"),
        (b"\x00\x00\x00\x00\x05body", "SCHEMA_REGISTRY_URL is not set"),
        (as_json(event_id="e", occurred_at="1969-07-20T20:17:40Z"), "a time after 1990"),
        (as_json(event_id="e", occurred_at="2126-01-01T00:00:00Z"), "more than a year from now"),
        (as_json(event_id="e", item_id=None), "item_id is missing"),
        (as_json(event_id="e", kind="glance"), "kind is 'glance'; expected one of view"),
        (as_json(event_id="unknown item", item_id="nowhere"), None),
        (None, "the value is null"),
        (CODEC.encode("events", click), None),
    ]
    for value, _ in sent:
        publisher.publish("events", b"ann", value)
    publisher.publish("items", b"bad", b'{"title": "an item without an id"}')
    publisher.publish("items", b"i3", b'{"item_id": "i3"}')
    publisher.publish("items", b"i4", None)
    for key in (b'"i5"', b'{"id":"i6"}', b'{"schema":null,"payload":"i7"}'):
        publisher.publish("items", key, None)
    publisher.flush()
    with feature_workers(settings, tmp_path) as [worker]:
        wait_settled(settings, store, [worker])
        assert worker.terminate() == 0
    letters = [CODEC.decode("dead-letter", r.value) for r in read_topic(settings, "dead-letter")]
    refused = sorted((x for x in letters if x.topic == "events"), key=lambda x: x.offset)
    wanted = [(offset, value, why) for offset, (value, why) in enumerate(sent) if why]
    assert [(x.offset, x.value) for x in refused] == [
        (offset, value) for offset, value, _ in wanted
    ]
    for letter, (_, _, why) in zip(refused, wanted, strict=True):
        assert why in letter.reason
        assert letter.key == b"ann"
    [item] = [x for x in letters if x.topic == "items"]
    assert "item_id is missing" in item.reason
    source = Source("events", partition_for("ann", PARTITIONS))
    assert store.position(source) == len(sent)
    _, [record] = store.read_users(source, ["ann"])
    assert {"i1", "i2", "nowhere"} <= set(_strings(record))
    rows = {}
    for partition in range(PARTITIONS):
        rows |= store.read_rows(Source("items", partition), 0).rows
    assert rows.keys() == set(ITEMS) - {"i4", "i5", "i6", "i7"}


def _strings(record) -> list[str]:
    if isinstance(record, str):
        return [record]
    if isinstance(record, dict):
        return [s for v in record.values() for s in _strings(v)]
    return [s for v in record for s in _strings(v)] if isinstance(record, list) else []
