"""Logs that no longer hold what the state needs: told, continued past by a command, recorded."""

from __future__ import annotations

import json

import pytest
from kafka import TopicPartition

from streamrec.core.events import Interaction, Item, Kind, Source
from streamrec.core.ledger.ledger import Ledger
from streamrec.infra.stores.redis_client import connect_redis
from streamrec.infra.stores.redis_store import RedisPartitionStore
from streamrec.infra.wire.kafka import KafkaPublisher, admin_client, full_name, partition_for
from streamrec.infra.wire.kafka_topics import create_topics
from tests.fakes.streams import START_MS
from tests.harness.codec import wire_codec
from tests.harness.feature_worker import (
    PARTITIONS,
    catalogue,
    feature_workers,
    make_settings,
    read_topic,
    send_events,
    send_items,
    shell_of,
)
from tests.harness.waiting import eventually

CODEC = wire_codec()
USERS = [
    next(f"u{n}" for n in range(99) if partition_for(f"u{n}", PARTITIONS) == p)
    for p in range(PARTITIONS)
]


@pytest.fixture
def settings(apache_kafka, redis_url, fresh_prefix, tmp_path):
    made = make_settings(apache_kafka, redis_url, fresh_prefix, tmp_path)
    create_topics(made.kafka)
    return made


@pytest.fixture
def shell(settings, tmp_path):
    return shell_of(settings, tmp_path)


@pytest.fixture
def store(settings):
    with connect_redis(settings.redis) as client:
        yield RedisPartitionStore(client, settings.redis.key_prefix)


@pytest.fixture
def publisher(settings):
    made = KafkaPublisher(settings.kafka, "producer")
    yield made
    made.close()


def clicks(name: str, each: int) -> list[Interaction]:
    return [
        Interaction(f"{name}{p}-{n}", user, "i1", Kind.CLICK, START_MS)
        for p, user in enumerate(USERS)
        for n in range(each)
    ]


def accepted(store) -> list[int]:
    """Accepted events that each partition's user is known for."""
    found = []
    for partition, user in enumerate(USERS):
        _, [record] = store.read_users(Source("events", partition), [user])
        found.append(0 if record is None else record["n"][1])
    return found


def published(store) -> bool:
    sources = [Source("events", partition) for partition in range(PARTITIONS)]
    return not any(store.outbox(source, "examples", 1) for source in sources)


def learned(settings) -> Ledger:
    """As a trainer would."""
    ledger = Ledger()
    for record in read_topic(settings, "training-batches"):
        ledger, _ = ledger.admit(CODEC.decode("training-batches", record.value))
    return ledger


@pytest.mark.apache_kafka
@pytest.mark.redis_server
def test_retention_overtakes_a_worker_that_was_away(settings, shell, store, publisher, tmp_path):
    send_items(publisher, catalogue())
    send_events(publisher, clicks("a", 5))
    with feature_workers(settings, tmp_path) as [worker]:
        worker.until(lambda: accepted(store) == [5, 5, 5])
        assert worker.terminate() == 0
        send_events(publisher, clicks("b", 5))
        with admin_client(settings.kafka) as admin:
            events = full_name(settings.kafka, "events")
            admin.delete_records({TopicPartition(events, 0): 8})
        worker.start()
        worker.until(lambda: accepted(store) == [5, 10, 10])
        worker.until(lambda: "events-0 waits at offset 5" in worker.log)
        told = shell.run_here("state", "continue", "--json")
        [waiting] = json.loads(told.stdout)["waiting"]
        assert (waiting["source"], waiting["lost"]) == ("events-0", 3)
        looked = json.loads(shell.run_here("status", "--json").stdout)
        assert [one["source"] for one in looked["waiting"]] == ["events-0"]
        assert "events-0 waits at 5" in shell.run_here("doctor").stdout
        assert accepted(store)[0] == 5, "nothing is changed without --yes"
        assert shell.run_here("state", "continue", "--yes").returncode == 0
        worker.until(lambda: accepted(store)[0] == 7 and published(store))
        assert worker.terminate() == 0
    checked = shell.run_here("state", "check")
    assert checked.returncode == 0
    assert "events-0: 3 offsets given up from 5" in checked.stdout
    assert learned(settings).partitions[0].holes == ((5, 8),), "the lineage says so too"


@pytest.mark.apache_kafka
@pytest.mark.redis_server
def test_topics_made_again_are_known_by_their_ids(settings, shell, store, publisher, tmp_path):
    send_items(publisher, catalogue())
    send_events(publisher, clicks("a", 5))
    with feature_workers(settings, tmp_path) as [worker]:
        worker.until(lambda: accepted(store) == [5, 5, 5])
        assert worker.terminate() == 0
        names = {full_name(settings.kafka, topic) for topic in ("events", "items")}
        with admin_client(settings.kafka) as admin:
            admin.delete_topics(sorted(names))
            eventually(lambda: not names & set(admin.list_topics()), what="topics gone")
        create_topics(settings.kafka)
        other = KafkaPublisher(settings.kafka, "another producer")
        send_items(other, [*catalogue(), Item("fresh", "Only in the new topic")])
        # more than were ever in the old one: nothing but the id tells the two apart
        send_events(other, clicks("b", 9))
        other.close()
        worker.start()
        home = Source("items", partition_for("fresh", PARTITIONS))
        worker.until(lambda: "fresh" in store.read_rows(home, 0).rows)
        worker.until(lambda: "events-2 waits at offset 5: the topic was deleted" in worker.log)
        assert accepted(store) == [5, 5, 5]
        assert shell.run_here("state", "continue", "--yes").returncode == 0
        worker.until(lambda: accepted(store) == [14, 14, 14] and published(store))
        assert worker.terminate() == 0
    ledger = learned(settings)
    assert (ledger.lost, ledger.trained) == (0, PARTITIONS * 14), "none is taken for a repeat"
