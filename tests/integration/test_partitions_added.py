"""Partitions added to ``events`` under a running loop: waited at, migrated, nothing misplaced."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from kafka.admin import NewPartitions

from streamrec.core.events import Interaction, Kind, Source
from streamrec.core.ledger.ledger import Ledger
from streamrec.core.state.layout import UserLayout
from streamrec.infra.stores.layout_store import RedisLayout
from streamrec.infra.stores.redis_client import connect_redis
from streamrec.infra.stores.redis_store import RedisPartitionStore
from streamrec.infra.wire.kafka import KafkaPublisher, admin_client, full_name, partition_for
from streamrec.infra.wire.kafka_topics import create_topics
from streamrec.ports import Writes
from tests.fakes.streams import START_MS
from tests.harness.codec import wire_codec
from tests.harness.feature_worker import (
    PARTITIONS,
    catalogue,
    feature_workers,
    make_settings,
    ranking_batches,
    read_topic,
    send_events,
    send_items,
    shell_of,
)

CODEC = wire_codec()
MORE = 5
USERS = [f"u{n}" for n in range(40)]
MOVER = next(u for u in USERS if partition_for(u, PARTITIONS) != partition_for(u, MORE))


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


def visits(name: str) -> list[Interaction]:
    """Of every user, a list of two shown and one of them clicked, and a click from nowhere."""
    found = []
    for user in USERS:
        shown = {"impression_id": f"{name}-{user}"}
        at = {"user_id": user, "occurred_at_ms": START_MS}
        found += [
            Interaction(f"{name}1{user}", item_id="i1", kind=Kind.VIEW, **at, **shown),
            Interaction(f"{name}2{user}", item_id="i2", kind=Kind.VIEW, **at, **shown),
            Interaction(f"{name}3{user}", item_id="i2", kind=Kind.CLICK, **at, **shown),
            Interaction(f"{name}4{user}", item_id="i3", kind=Kind.CLICK, **at),
        ]
    return found


def accepted(store, partitions: int) -> list[int]:
    """What each user is known to have accepted, in the partition that the number gives."""
    found = []
    for user in USERS:
        source = Source("events", partition_for(user, partitions))
        _, [record] = store.read_users(source, [user])
        found.append(0 if record is None else record["n"][1])
    return found


def everywhere(store) -> list[str]:
    sources = [Source("events", partition) for partition in range(MORE)]
    return sorted(user for source in sources for user in set(store.user_ids(source)))


def migrate(shell) -> None:
    done = shell.run_here("state", "migrate", "--yes")
    assert done.returncode == 0, done.stderr


def killed_after_copying_one(settings, store) -> None:
    """What a migration leaves that dies there: the user in both places."""
    lay_out(settings, UserLayout(PARTITIONS, moving_to=MORE))
    old, new = (Source("events", partition_for(MOVER, n)) for n in (PARTITIONS, MORE))
    position = store.position(new)
    _, [record] = store.read_users(old, [MOVER])
    store.commit(new, position, position, Writes(users={MOVER: record}))


def killed_before_the_last_word(settings) -> None:
    lay_out(settings, UserLayout(PARTITIONS, moving_to=MORE, copied=True))


def lay_out(settings, layout: UserLayout) -> None:
    with connect_redis(settings.redis) as client:
        RedisLayout(client, settings.redis.key_prefix).put(layout)


@pytest.mark.apache_kafka
@pytest.mark.redis_server
def test_users_move_and_nothing_is_folded_where_it_does_not_belong(
    settings, shell, store, tmp_path
):
    old = KafkaPublisher(settings.kafka, "goes by the old number")
    send_items(old, catalogue())
    send_events(old, visits("a"))
    with feature_workers(settings, tmp_path) as [worker]:
        worker.until(lambda: accepted(store, PARTITIONS) == [2] * len(USERS))
        with admin_client(settings.kafka) as admin:
            events = full_name(settings.kafka, "events")
            admin.create_partitions({events: NewPartitions(MORE)})
        new = KafkaPublisher(settings.kafka, "goes by the new number")
        send_events(new, visits("b"))
        # a producer that has not noticed yet sends where they were
        for event in visits("c"):
            old.publish(
                "events", event.user_id.encode(), CODEC.encode("events", event),
                partition=partition_for(event.user_id, PARTITIONS),
            )  # fmt: skip
        old.flush()
        worker.until(lambda: "streamrec state migrate" in worker.log)
        assert "5 partitions" in shell.run_here("doctor").stdout
        assert "laid out for 3" in json.loads(shell.run_here("status", "--json").stdout)["misfit"]
        assert "stop the workers first" in shell.run_here("state", "migrate").stderr
        refused = shell.run_here("users", "show", MOVER)
        assert (refused.returncode, "state migrate" in refused.stderr) == (1, True)
        assert worker.terminate() == 0
        told = json.loads(shell.run_here("state", "migrate", "--json").stdout)
        moving = [u for u in USERS if partition_for(u, PARTITIONS) != partition_for(u, MORE)]
        assert sum(move["users"] for move in told["moves"]) == len(moving)
        assert accepted(store, PARTITIONS)[USERS.index(MOVER)] >= 2, "nothing is changed yet"
        killed_after_copying_one(settings, store)
        assert "on its way from 3 to 5" in shell.run_here("doctor").stdout
        migrate(shell)
        killed_before_the_last_word(settings)
        migrate(shell)
        assert everywhere(store) == sorted(USERS), "everybody is in one place"
        worker.start()
        worker.until(lambda: accepted(store, MORE) == [6] * len(USERS))
        repeated = [replace(event) for event in visits("a")]
        send_events(new, [*repeated, *visits("d")])
        worker.until(lambda: accepted(store, MORE) == [8] * len(USERS))
        forgotten = shell.run_here("users", "forget", MOVER)
        assert forgotten.returncode == 0, forgotten.stderr
        assert everywhere(store) == sorted(set(USERS) - {MOVER})
        assert worker.terminate() == 0
    assert read_topic(settings, "dead-letter") == []
    ledger = Ledger()
    for batch in ranking_batches(settings):
        ledger, intake = ledger.admit(batch)
        assert intake.hole is None
    for publisher in (old, new):
        publisher.close()
