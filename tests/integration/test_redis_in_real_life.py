"""Redis as it is run: a cluster, a failover behind one address, sentinels, full, slow to load.

Whatever happens, the state and the examples equal those of one pass over the log that nothing
happened to, except for what the server itself lost: that is folded again, and told.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from streamrec import settings as reader
from streamrec.apps.rights import redis_not_granted
from streamrec.core.events import Source
from streamrec.errors import PositionConflict, Unavailable, UserError
from streamrec.infra.stores.redis_client import connect_redis
from streamrec.infra.stores.redis_diagnosis import refuse_eviction, server_infos, troubles
from streamrec.infra.stores.redis_rights import COMMANDS, CONNECTING, OF_A_CLUSTER
from streamrec.infra.stores.redis_store import RedisPartitionStore
from streamrec.infra.wire.kafka import KafkaPublisher
from streamrec.infra.wire.kafka_topics import create_topics
from streamrec.lab.drill.evidence import found_state
from streamrec.ports import Writes
from streamrec.settings import RedisSettings, Settings
from tests.conftest import Prefix
from tests.fakes.streams import interactions
from tests.harness.command_line import CommandLine
from tests.harness.feature_worker import (
    assert_same_state,
    catalogue,
    expected_examples,
    feature_workers,
    make_settings,
    send_events,
    send_items,
    single_pass,
    trained,
    wait_settled,
)
from tests.harness.guarded_redis import documented_commands, grant
from tests.harness.one_address import OneAddress
from tests.harness.redis_cluster import RedisClusterServers, say
from tests.harness.servers import RedisServer, new_redis_server
from tests.harness.waiting import eventually
from tests.harness.worker_process import WorkerProcess

pytestmark = pytest.mark.redis_server
EVENTS = [Source("events", partition) for partition in range(3)]


class World:
    """One feature worker, its settings, and people who click."""

    def __init__(self, settings: Settings, worker: WorkerProcess, directory: Path) -> None:
        self.settings, self.worker = settings, worker
        self.store = RedisPartitionStore(connect_redis(settings.redis), settings.redis.key_prefix)
        self.shell = CommandLine(reader.environment(settings), directory)
        self._publisher = KafkaPublisher(settings.kafka, "producer")
        self._events = iter(interactions(3000, seed=31, users=40))
        send_items(self._publisher, catalogue())

    def click(self, count: int = 200) -> None:
        send_events(self._publisher, [next(self._events) for _ in range(count)])

    def settle(self) -> None:
        wait_settled(self.settings, self.store, [self.worker])

    def says(self, text: str) -> None:
        self.worker.until(lambda: text in self.worker.log)

    def applied(self) -> int:
        return sum(map(self.store.position, EVENTS))

    def troubles(self) -> list[str]:
        """What ``doctor`` finds wrong with Redis."""
        found = json.loads(self.shell.run_here("doctor", "--json").stdout)
        return [f["detail"] for f in found if f["what"] == "Redis" and f["verdict"] == "problem"]

    def end(self) -> None:
        """Everything is as if nothing had happened."""
        self.settle()
        assert self.worker.terminate() == 0, self.worker.log
        self._publisher.close()
        expected = single_pass(self.settings)
        assert_same_state(self.settings, self.store, expected)
        for source in EVENTS:  # the kill drill's way: users that nobody sent would be found
            users = expected.partitions[source].users
            assert found_state(self.settings, source.partition).users.keys() == users.keys()
        examples = trained(self.settings)
        assert set(examples.values()) == {1}
        assert examples.keys() == expected_examples(expected)
        assert "Traceback" not in self.worker.log


@contextmanager
def world(kafka: str, redis_url: str, prefix: Prefix, directory: Path) -> Iterator[World]:
    settings = make_settings(kafka, redis_url, prefix, directory)
    create_topics(settings.kafka)
    with feature_workers(settings, directory) as [worker]:
        found = World(settings, worker, directory)
        found.click()
        found.settle()
        yield found


@pytest.mark.slow
@pytest.mark.embedded
def test_a_cluster_moves_a_partition_and_loses_a_master_and_another(
    embedded_kafka, fresh_prefix, tmp_path
) -> None:
    with (
        RedisClusterServers(tmp_path / "cluster") as cluster,
        world(embedded_kafka, f"{cluster.url}?socket_timeout=1", fresh_prefix, tmp_path) as there,
    ):
        assert there.troubles() == []
        cluster.move(EVENTS[0], during=there.click)
        there.settle()
        lost = cluster.holder(EVENTS[1])
        there.click()
        lost.kill()
        there.click()
        eventually(lambda: cluster.holder(EVENTS[1]) is not lost)
        there.click()
        there.settle()
        lost.start()  # it comes back as a replica, and is needed at once
        eventually(lambda: say(lost, "ROLE")[3:4] == [b"connected"], what="it follows")
        with cluster.frozen(cluster.holder(EVENTS[1])):
            there.click()
            eventually(lambda: cluster.holder(EVENTS[1]) is lost)
            there.settle()
        there.end()


@contextmanager
def two_servers(directory: Path) -> Iterator[tuple[RedisServer, RedisServer]]:
    """A master and its replica, which has all that it has."""
    with new_redis_server(directory / "a") as first, new_redis_server(directory / "b") as second:
        follow(second, first)
        yield first, second


def follow(server: RedisServer, master: RedisServer) -> None:
    say(server, "REPLICAOF", "127.0.0.1", master.port)
    eventually(lambda: say(server, "ROLE")[3] == b"connected", what="the replica follows")


@pytest.mark.slow
@pytest.mark.embedded
def test_behind_one_address_a_replica_takes_over_and_what_it_lacks_is_folded_again(
    embedded_kafka, fresh_prefix, tmp_path
) -> None:
    with (
        two_servers(tmp_path) as (old, new),
        OneAddress(old.port) as address,
        world(embedded_kafka, address.url, fresh_prefix, tmp_path) as there,
    ):
        say(new, "REPLICAOF", "NO", "ONE")  # it hears no more of the master
        before = there.applied()
        there.click()
        there.settle()
        lacking = there.applied() - before
        address.port = new.port
        follow(old, new)  # connections there are still lead to it, and it is a replica now
        there.click()
        there.settle()
        there.says("the store has lost ")
        gauges = json.loads(there.shell.run_here("status", "--json").stdout)["workers"][0]["gauges"]
        assert gauges["folded_again"] == lacking
        say(new, "SCRIPT", "FLUSH")
        there.click()
        address.cut()
        there.end()


@pytest.mark.slow
@pytest.mark.embedded
def test_a_full_redis_and_a_full_disk_stop_commits_until_there_is_room(
    embedded_kafka, fresh_prefix, tmp_path
) -> None:
    with (
        new_redis_server(tmp_path / "redis") as server,
        world(embedded_kafka, server.url, fresh_prefix, tmp_path) as there,
    ):
        for hardship, said, told in HARDSHIPS:
            before = there.applied()
            with hardship(server):
                there.click()
                there.says(said)
                assert told in " ".join(there.troubles())
                status = json.loads(there.shell.run_here("status", "--json").stdout)
                assert told in " ".join(status["redis"])
                assert there.applied() == before
            there.settle()
        there.end()


@contextmanager
def full(server: RedisServer) -> Iterator[None]:
    say(server, "CONFIG", "SET", "maxmemory", "1mb")
    yield
    say(server, "CONFIG", "SET", "maxmemory", "0")


@contextmanager
def alone(server: RedisServer) -> Iterator[None]:
    say(server, "CONFIG", "SET", "min-replicas-to-write", "1")
    yield
    say(server, "CONFIG", "SET", "min-replicas-to-write", "0")


@contextmanager
def not_saved(server: RedisServer) -> Iterator[None]:
    """Its snapshot cannot take its place: MISCONF from then on."""
    in_its_place = server.data_dir / "dump.rdb"
    in_its_place.mkdir()
    say(server, "CONFIG", "SET", "save", "3600 1")
    save(server, "err")
    yield
    in_its_place.rmdir()
    save(server, "ok")


def save(server: RedisServer, status: str) -> None:
    say(server, "BGSAVE")
    eventually(lambda: say(server, "INFO", "persistence")["rdb_last_bgsave_status"] == status)


HARDSHIPS = (
    (full, "it is full (maxmemory)", "full, commits are refused and wait"),
    (alone, "it takes no writes because too few replicas follow it", ""),
    (not_saved, "it takes no writes because it cannot save", "its last snapshot to disk failed"),
)


# -- without a worker: whom the client finds, and what it says of him --------------------


class SentinelServer(RedisServer):
    """Watches one master; alone it is enough to have a replica take over."""

    name = "redis-sentinel"

    def __init__(self, directory: Path, master: RedisServer, *more: str) -> None:
        super().__init__(directory)
        self._lines = [
            f"sentinel monitor mymaster 127.0.0.1 {master.port} 1",
            "sentinel down-after-milliseconds mymaster 500",
            "sentinel failover-timeout mymaster 2000",
            *more,
        ]

    def command(self) -> list[str]:
        configuration = self.data_dir / "sentinel.conf"
        configuration.write_text("\n".join([f"port {self.port}", *self._lines, ""]))
        return [super().command()[0], str(configuration), "--sentinel"]


def test_sentinels_name_the_master_and_the_next_one(tmp_path: Path) -> None:
    with two_servers(tmp_path) as (master, replica), SentinelServer(tmp_path, master) as sentinel:
        settings = RedisSettings(url=f"redis+sentinel://127.0.0.1:1,{sentinel.address}/mymaster")
        with connect_redis(settings) as client:
            store = RedisPartitionStore(client)
            store.commit(EVENTS[0], 0, 5, Writes())
            eventually(lambda: say(replica, "GET", "sr:{events-0}:pos") == b"5")
            master.kill()

            def goes_on() -> bool:
                try:
                    store.commit(EVENTS[0], 5, 9, Writes())
                except Unavailable:
                    return False
                except PositionConflict as error:  # an answer was lost
                    return error.actual == 9
                return True

            eventually(goes_on, every_s=0.2)
            assert say(replica, "GET", "sr:{events-0}:pos") == b"9"
        unknown = replace(settings, url=settings.url.replace("mymaster", "other"))
        with pytest.raises(Unavailable, match="No master found for 'other'"):
            connect_redis(unknown)
        direct = replace(settings, url=sentinel.url)
        with pytest.raises(UserError, match=r"a sentinel answers there; redis\+sentinel://"):
            connect_redis(direct)


def test_a_sentinel_may_have_a_password_of_its_own(tmp_path: Path) -> None:
    with (
        new_redis_server(tmp_path / "redis") as master,
        GuardedSentinel(tmp_path, master, "requirepass hush") as sentinel,
    ):
        url = f"redis+sentinel://{sentinel.address}/mymaster/0"
        with connect_redis(RedisSettings(url=url, sentinel_password="hush")) as client:
            assert client.ping()
        with pytest.raises(Unavailable, match="No master found for 'mymaster'"):
            connect_redis(RedisSettings(url=url))


class GuardedSentinel(SentinelServer):
    def answers(self) -> bool:
        with redis.Redis("127.0.0.1", self.port, password="hush") as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False


def test_a_replica_is_refused_and_a_server_that_loads_is_waited_for(tmp_path: Path) -> None:
    with two_servers(tmp_path) as (master, replica):
        with pytest.raises(Unavailable, match=rf"{replica.address} is a replica.*must name the m"):
            connect_redis(RedisSettings(url=replica.url))
        with redis.Redis("127.0.0.1", master.port).pipeline(transaction=False) as pipe:
            for n in range(20_000):
                pipe.set(f"k{n}", "v")
            pipe.execute()
        say(master, "SAVE")
        replica.kill()
        master.kill()
        loading = SlowToLoad(master.data_dir, master.port)
        starting = threading.Thread(target=loading.start)
        starting.start()
        try:
            said = eventually(lambda: refusal(master.url), what="it refuses while it loads")
        finally:
            loading.quick()
            starting.join()
            loading.kill()
        assert "it has started and is reading its data from disk" in said


class SlowToLoad(RedisServer):
    """A millisecond for each key, until told otherwise."""

    def command(self) -> list[str]:
        slow = ("--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")
        return [*super().command(), "--appendonly", "no", *slow]

    def quick(self) -> None:
        say(self, "CONFIG", "SET", "key-load-delay", "0")


def refusal(url: str) -> str:
    """Why there is no connection; empty: there is, or nobody listens yet."""
    try:
        connect_redis(RedisSettings(url=url)).close()
    except Unavailable as error:
        return "" if "refused" in str(error) else str(error)
    return ""


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://HERE/99", "it has no database of that number"),
        ("redis://HERE,127.0.0.1:1/0", "several addresses, and who answers is no cluster"),
        ("redis+sentinel://HERE", "names the service that the sentinels watch"),
        ("http://ann:secret@HERE", "http://HERE is no Redis URL"),
    ],
)
def test_an_address_that_cannot_be_is_an_error_in_words(redis_url, url: str, said: str) -> None:
    here = redis_url.removeprefix("redis://").removesuffix("/0")
    with pytest.raises(UserError, match=re.escape(said.replace("HERE", here))):
        connect_redis(RedisSettings(url=url.replace("HERE", here)))


def test_a_cluster_has_one_database(redis_cluster: str) -> None:
    with pytest.raises(UserError, match="a Redis Cluster has no database but 0"):
        connect_redis(RedisSettings(url=f"{redis_cluster}/2"))


@pytest.mark.parametrize(
    ("policy", "said"),
    [("allkeys-lru", "may evict user state"), ("volatile-ttl", ""), ("noeviction", "")],
)
def test_a_worker_does_not_begin_where_state_would_be_thrown_away(
    tmp_path: Path, policy: str, said: str
) -> None:
    with new_redis_server(tmp_path) as server:
        say(server, "CONFIG", "SET", "maxmemory-policy", policy)
        with connect_redis(RedisSettings(url=server.url)) as client:
            refuse_eviction(client)  # without a limit nothing is thrown away
            say(server, "CONFIG", "SET", "maxmemory", "100mb")
            [info] = server_infos(client).values()
            told = [trouble.what for trouble in troubles(info)]
            assert [what for what in told if policy in what] or policy == "noeviction"
            if said:
                with pytest.raises(UserError, match=said):
                    refuse_eviction(client)
            else:
                refuse_eviction(client)


def test_every_command_there_is_is_in_the_file_and_asked_for() -> None:
    asked = {"|".join(map(str, one)) for one in OF_A_CLUSTER} | {str(one[0]) for one in COMMANDS}
    assert asked | set(CONNECTING) == documented_commands()


@pytest.mark.parametrize(
    ("role", "without", "said"),
    [
        ("features", (), []),
        ("trainer", ("{trainer*}:*",), ["read P:{trainer}:", "write P:{trainer}:"]),
        (
            "serving",
            ("why:*", "zrangebyscore"),
            ["command zrangebyscore", *["read P:why:", "write P:why:"]],
        ),
        ("features", ("get",), ["command get"]),
    ],
)
def test_what_a_user_may_not_do_is_named(redis_url, fresh_prefix, role, without, said) -> None:
    settings = RedisSettings(url=redis_url, key_prefix=fresh_prefix.redis)
    granted = Settings(redis=grant(settings, role, *without))
    with connect_redis(granted.redis) as client:
        found = redis_not_granted(granted, client, role)
        assert found == [one.replace("P:", f"{fresh_prefix.redis}:") for one in said]
    with redis.Redis.from_url(redis_url) as admin:
        assert list(admin.scan_iter(f"{fresh_prefix.redis}:*")) == []  # nothing was done
