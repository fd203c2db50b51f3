"""The feature worker as an OS process, against real Kafka and Redis."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import pytest

from streamrec.core.events import Interaction, Item, Kind, Source
from streamrec.core.watermarks import Ledger
from streamrec.infra.codec import Codec
from streamrec.infra.fleet import RedisFleet
from streamrec.infra.kafka import (
    KafkaPublisher,
    create_topics,
    end_offsets,
    partition_for,
)
from streamrec.infra.redis_store import RedisPartitionStore, connect_redis
from streamrec.settings import KafkaSettings, RedisSettings, Settings
from streamrec.stages.ingest import Ingest, IngestRules
from streamrec.stages.ingest_events import EventsRules
from streamrec.stages.raw import Edges, RawRecord
from tests.fakes.clock import FakeClock
from tests.fakes.publisher import FakePublisher
from tests.fakes.store import FakePartitionStore
from tests.fakes.streams import ITEMS, START_MS, interactions
from tests.harness.feature_worker import (
    feature_workers,
    read_topic,
    send_events,
    send_items,
    wait_until,
)

CODEC = Codec()
PARTITIONS = 3


@pytest.fixture(
    params=[
        pytest.param(
            ("apache_kafka", "redis_url"),
            marks=[pytest.mark.apache_kafka, pytest.mark.redis_server],
            id="apache",
        ),
        pytest.param(
            ("embedded_kafka", "embedded_redis"), marks=pytest.mark.embedded, id="embedded"
        ),
    ]
)
def settings(request, fresh_prefix, tmp_path) -> Settings:
    kafka, redis = (request.getfixturevalue(name) for name in request.param)
    made = Settings(
        state_dir=tmp_path / "state",
        kafka=KafkaSettings(
            bootstrap=kafka, topic_prefix=fresh_prefix.topic, partitions=PARTITIONS,
            session_timeout_s=6.0,
        ),
        redis=RedisSettings(url=redis, key_prefix=fresh_prefix.redis),
    )  # fmt: skip
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


def catalogue() -> list[Item]:
    return [Item(item_id, f"Title {item_id}", categories=("a",)) for item_id in ITEMS]


def lag(settings, store) -> int:
    ends = end_offsets(settings.kafka, ["items", "events"])
    return sum(end - store.position(Source(*tp)) for tp, end in ends.items())


def settled(settings, store) -> bool:
    if lag(settings, store):
        return False
    return not any(
        store.outbox(Source("events", p), name, 1)
        for p in range(PARTITIONS)
        for name in ("updates", "examples")
    )


def wait_settled(settings, store, workers, timeout_s=40.0) -> None:
    wait_until(
        lambda: settled(settings, store),
        timeout_s,
        lambda: f"lag {lag(settings, store)}\n" + "\n".join(w.said() for w in workers),
    )


def single_pass(settings) -> FakePartitionStore:
    """What one process that never died makes of the same log."""
    store, publisher = FakePartitionStore(), FakePublisher()
    from streamrec.bootstrap.features import ingest_rules

    rules: IngestRules = ingest_rules(settings, {"items": PARTITIONS, "events": PARTITIONS})
    assert isinstance(rules.events, EventsRules)
    owner = partial(partition_for, partitions=PARTITIONS)
    ingest = Ingest(Edges(store, publisher, CODEC, FakeClock(), owner), rules)
    for topic in ("items", "events"):
        for record in read_topic(settings, topic):
            source = Source(topic, record.partition)
            if source not in ingest.partitions:
                ingest.take_over(source)
            raw = RawRecord(record.offset, record.timestamp, record.key, record.value)
            ingest.ingest(source, [raw])
    return store


def without_features(record):
    """A user's record less the logged features: they depend on how the log was cut into runs."""
    if isinstance(record, dict):
        return {k: without_features(v) for k, v in record.items() if k not in {"f", "stats"}}
    if isinstance(record, list):
        return [without_features(v) for v in record if not isinstance(v, float)]
    return record


def assert_same_state(settings, store, expected: FakePartitionStore) -> None:
    for partition in range(PARTITIONS):
        source = Source("events", partition)
        users = sorted(expected.partitions[source].users)
        _, found = store.read_users(source, users)
        _, wanted = expected.read_users(source, users)
        assert dict(zip(users, map(without_features, found), strict=True)) == dict(
            zip(users, map(without_features, wanted), strict=True)
        )
        assert store.read_rows(source, 0) == expected.read_rows(source, 0)


def trained(settings) -> dict[tuple[int, int, int], int]:
    """Examples as a trainer takes them: each once, no hole."""
    ledger, counts = Ledger(), {}
    for record in read_topic(settings, "training-batches"):
        ledger, intake = ledger.admit(CODEC.decode("training-batches", record.value))
        assert intake.hole is None
        for example in intake.fresh:
            key = (example.partition, example.offset, example.index)
            counts[key] = counts.get(key, 0) + 1
    return counts


def expected_examples(expected: FakePartitionStore) -> set[tuple[int, int, int]]:
    return {
        (source.partition, entry.offset, entry.index)
        for source, partition in expected.partitions.items()
        for entry in partition.outboxes["examples"]
    }


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
        assert worker.stop() == 0, worker.said()
        assert "Traceback" not in worker.said()
    expected = single_pass(settings)
    assert_same_state(settings, store, expected)
    examples = trained(settings)
    assert len(examples) > 100
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
        (as_json(event_id="e", occurred_at="2126-01-01T00:00:00Z"), "ahead of the record's own"),
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
    publisher.flush()
    with feature_workers(settings, tmp_path) as [worker]:
        wait_settled(settings, store, [worker])
        assert worker.stop() == 0
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
    assert {"json", "avro", "unknown item"} <= set(_strings(record))
    rows = {}
    for partition in range(PARTITIONS):
        rows |= store.read_rows(Source("items", partition), 0).rows
    assert len(rows) == len(ITEMS)


def _strings(record) -> list[str]:
    if isinstance(record, str):
        return [record]
    if isinstance(record, dict):
        return [s for v in record.values() for s in _strings(v)]
    return [s for v in record for s in _strings(v)] if isinstance(record, list) else []
