"""One contract, four stores: the fake, Redis, Valkey, a Redis Cluster."""

from __future__ import annotations

import threading

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from streamrec.core.events import Source
from streamrec.core.state.source_log import Passage, SourceLog
from streamrec.errors import PositionConflict, Unavailable
from streamrec.infra.stores.redis_client import connect_redis
from streamrec.infra.stores.redis_store import RedisPartitionStore
from streamrec.ports import Changes, OutboxEntry, Writes
from streamrec.settings import RedisSettings
from tests.fakes.store import FakePartitionStore
from tests.harness.kinds import CLUSTER, REDISES

EVENTS = Source("events", 0)


@pytest.fixture(params=["fake", *REDISES, CLUSTER])
def store(request, fresh_prefix):
    if request.param == "fake":
        yield FakePartitionStore()
        return
    client = connect_redis(RedisSettings(url=request.getfixturevalue(request.param)))
    yield RedisPartitionStore(client, fresh_prefix.redis)
    client.close()


def entry(offset: int, index: int = 0) -> OutboxEntry:
    return OutboxEntry(offset, index, b"\x00\xffpayload%d" % offset)


def test_a_new_source_stands_at_the_start(store):
    assert store.position(EVENTS) == 0
    assert store.read_users(EVENTS, ["u"]) == (0, [None])
    assert store.read_rows(EVENTS, 0) == Changes(0, {}, whole=True)
    assert store.outbox(EVENTS, "updates", 10) == []


def test_which_log_a_source_comes_from_is_kept(store):
    assert store.log_of(EVENTS) == SourceLog()
    passage = Passage(3, 9, 1_700_000_000_000, "ann@host", "retention")
    log = SourceLog("id", 40).with_passage(Passage(3, 5, 0, "", "begun")).with_passage(passage)
    store.keep_log(EVENTS, log)
    assert store.log_of(EVENTS) == log == SourceLog("id", 40, (passage,))
    assert store.position(EVENTS) == 0


def test_a_commit_changes_everything_together(store):
    writes = Writes(
        users={"u1": {"n": 1, "é": [1.5, None]}, "u 2:{x}": {"n": 2}},
        rows={"i/a": {"views": 0.1}, "c": {"t": 2**53}},
        outboxes={
            "updates": [entry(0), entry(4)],
            "examples": [entry(4, 0), entry(4, 1)],
            "examples-copy": [entry(4)],
        },
    )
    store.commit(EVENTS, 0, 5, writes)
    assert store.position(EVENTS) == 5
    users = store.read_users(EVENTS, ["u 2:{x}", "nobody", "u1"])
    assert users == (5, [{"n": 2}, None, {"n": 1, "é": [1.5, None]}])
    assert store.read_rows(EVENTS, 0) == Changes(5, writes.rows, whole=True)
    assert store.outbox(EVENTS, "updates", 10) == [entry(0), entry(4)]
    assert store.outbox(EVENTS, "examples", 1) == [entry(4, 0)]
    assert store.outbox(EVENTS, "examples-copy", 9) == [entry(4)]


def test_a_commit_from_another_position_changes_nothing(store):
    store.commit(EVENTS, 0, 5, Writes(users={"u": {"n": 1}}))
    with pytest.raises(PositionConflict) as conflict:
        store.commit(EVENTS, 4, 9, Writes(users={"u": {"n": 9}}, outboxes={"updates": [entry(8)]}))
    assert (conflict.value.expected, conflict.value.actual) == (4, 5)
    assert store.read_users(EVENTS, ["u"]) == (5, [{"n": 1}])
    assert store.outbox(EVENTS, "updates", 10) == []


def test_a_user_of_whom_nothing_is_known_any_more_is_removed(store):
    store.commit(EVENTS, 0, 5, Writes(users={"u": {"n": 1}, "v": {"n": 2}}))
    store.commit(EVENTS, 5, 6, Writes(users={"u": None, "stranger": None}))
    assert store.read_users(EVENTS, ["u", "v", "stranger"]) == (6, [None, {"n": 2}, None])


def test_a_repeated_commit_is_recognised(store):
    writes = Writes(outboxes={"updates": [entry(0)]})
    store.commit(EVENTS, 0, 5, writes)
    with pytest.raises(PositionConflict) as conflict:
        store.commit(EVENTS, 0, 5, writes)
    assert conflict.value.actual == 5
    assert store.outbox(EVENTS, "updates", 10) == [entry(0)]


def test_sources_do_not_touch_each_other(store):
    store.commit(EVENTS, 0, 5, Writes(users={"u": {"n": 1}}, rows={"r": {"a": 1}}))
    for other in (Source("events", 1), Source("items", 0)):
        assert store.position(other) == 0
        assert store.read_users(other, ["u"]) == (0, [None])
        assert store.read_rows(other, 0) == Changes(0, {}, whole=True)


def test_rows_are_read_by_what_changed(store):
    store.commit(EVENTS, 0, 5, Writes(rows={"a": {"v": 1}, "b": {"v": 1}}))
    store.commit(EVENTS, 5, 9, Writes(rows={"b": {"v": 2}, "c": {"v": 2}}))
    store.commit(EVENTS, 9, 12, Writes())
    assert store.read_rows(EVENTS, 5) == Changes(12, {"b": {"v": 2}, "c": {"v": 2}})
    assert store.read_rows(EVENTS, 9) == Changes(12, {})
    assert store.read_rows(EVENTS, 0).rows.keys() == {"a", "b", "c"}


def test_a_reader_ahead_of_a_store_that_fell_back_reads_everything(store):
    store.commit(EVENTS, 0, 5, Writes(rows={"a": {"v": 1}}))
    assert store.read_rows(EVENTS, 80) == Changes(5, {"a": {"v": 1}}, whole=True)


def test_a_removed_row_is_told_to_those_who_mirror(store):
    store.commit(EVENTS, 0, 5, Writes(rows={"a": {"v": 1}, "b": {"v": 1}}))
    store.commit(EVENTS, 5, 9, Writes(rows={"a": None, "c": {"v": 2}, "never": None}))
    assert store.read_rows(EVENTS, 5) == Changes(9, {"a": None, "c": {"v": 2}, "never": None})
    assert store.read_rows(EVENTS, 0) == Changes(9, {"b": {"v": 1}, "c": {"v": 2}}, whole=True)
    store.commit(EVENTS, 9, 10, Writes(rows={"a": {"v": 3}}))
    assert store.read_rows(EVENTS, 8).rows["a"] == {"v": 3}


def test_own_rows_and_logs_are_for_the_owner(store):
    wanted = {"w/é 1": {"d": 2**41}, "e/7": {"n": 1}}
    store.commit(EVENTS, 0, 1, Writes(own=wanted, logs={"e/7": b"\x00\xff", "e/8": b"later"}))
    store.commit(EVENTS, 1, 2, Writes(own={"e/7": None}, logs={"e/7": b"more", "e/8": None}))
    assert store.read_own(EVENTS) == {"w/é 1": {"d": 2**41}}
    assert store.read_logs(EVENTS, ["e/8", "e/7"]) == [b"", b"\x00\xffmore"]
    assert store.read_logs(EVENTS, []) == []
    assert store.read_rows(EVENTS, 0).rows == {}


def test_users_are_known_by_when_they_were_seen(store):
    users = {name: {"s": [1, 1]} for name in ("ann", "b:o b", "eve")}
    store.commit(EVENTS, 0, 3, Writes(users, seen_ms={"ann": 50, "b:o b": 20, "eve": 20}))
    assert store.silent(EVENTS, 49, 9) == [(20, "b:o b"), (20, "eve")]
    assert store.silent(EVENTS, 50, 1) == [(20, "b:o b")]
    store.commit(EVENTS, 3, 4, Writes({"eve": None, "ann": users["ann"]}, seen_ms={"ann": 2**45}))
    assert store.silent(EVENTS, 2**50, 9) == [(20, "b:o b"), (2**45, "ann")]


def test_users_of_a_version_that_kept_no_order_are_found(store):
    users = {f"u*{n}": {"s": [1, 100 + n]} for n in range(3)}
    store.commit(EVENTS, 0, 3, Writes(users, seen_ms={"u*2": 500}))
    store.commit(Source("events", 1), 0, 1, Writes({"other": {"s": [1, 1]}}))
    store.index_users(EVENTS)
    assert store.silent(EVENTS, 2**50, 9) == [(100, "u*0"), (101, "u*1"), (500, "u*2")]


def test_who_mirrors_from_before_the_last_tombstones_reads_everything(any_redis, fresh_prefix):
    with connect_redis(RedisSettings(url=any_redis)) as client:
        store = RedisPartitionStore(client, fresh_prefix.redis, tombstones=3)
        store.commit(EVENTS, 0, 1, Writes(rows={f"r{n}": {} for n in range(9)}))
        for n in range(8):
            store.commit(EVENTS, 1 + n, 2 + n, Writes(rows={f"r{n}": None}))
        assert store.read_rows(EVENTS, 6).rows == {"r5": None, "r6": None, "r7": None}
        assert store.read_rows(EVENTS, 5) == Changes(9, {"r8": {}}, whole=True)
        assert client.zcard(f"{fresh_prefix.redis}:{{events-0}}:gone") == 3


def test_a_log_that_begins_again_makes_no_row_news(any_redis, fresh_prefix):
    with connect_redis(RedisSettings(url=any_redis)) as client:
        store = RedisPartitionStore(client, fresh_prefix.redis, tombstones=1)
        store.commit(EVENTS, 0, 90, Writes(rows={"a": {}, "b": {}, "c": {}, "d": {}}))
        store.commit(EVENTS, 90, 100, Writes(rows={"a": None, "b": None}))
        store.commit(EVENTS, 100, 0, Writes())
        store.commit(EVENTS, 0, 5, Writes(rows={"c": {"v": 1}}))
        assert store.read_rows(EVENTS, 100) == Changes(5, {"c": {"v": 1}, "d": {}}, whole=True)
        assert store.read_rows(EVENTS, 1) == Changes(5, {"c": {"v": 1}})


def test_an_outbox_is_trimmed_through_an_entry(store):
    entries = [entry(0), entry(3, 0), entry(3, 1), entry(7)]
    store.commit(EVENTS, 0, 8, Writes(outboxes={"examples": entries, "updates": entries}))
    store.trim_outbox(EVENTS, "examples", entry(3, 0))
    assert store.outbox(EVENTS, "examples", 10) == entries[2:]
    store.trim_outbox(EVENTS, "examples", entry(7))
    assert store.outbox(EVENTS, "examples", 10) == []
    assert store.outbox(EVENTS, "updates", 10) == entries
    store.commit(EVENTS, 8, 9, Writes(outboxes={"examples": [entry(8)]}))
    assert store.outbox(EVENTS, "examples", 10) == [entry(8)]


def test_of_two_writers_one_wins(store):
    results = []

    def write(name: str) -> None:
        try:
            store.commit(EVENTS, 0, 3, Writes(users={"u": {"by": name}}))
            results.append(name)
        except PositionConflict:
            pass

    threads = [threading.Thread(target=write, args=[str(n)]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 1
    assert store.read_users(EVENTS, ["u"]) == (3, [{"by": results[0]}])


def test_a_big_run_is_one_commit(store):
    users = {f"u{n}": {"history": list(range(50))} for n in range(500)}
    rows = {f"i/{n}": {"v": n} for n in range(4000)}
    entries = [entry(n) for n in range(500)]
    store.commit(EVENTS, 0, 500, Writes(users, rows, {"updates": entries, "examples": entries}))
    assert store.read_rows(EVENTS, 0).rows == rows
    assert store.read_users(EVENTS, list(users))[1] == list(users.values())
    assert store.outbox(EVENTS, "examples", 1000) == entries


def test_the_script_survives_a_flush_of_scripts(any_redis, fresh_prefix):
    with connect_redis(RedisSettings(url=any_redis)) as client:
        store = RedisPartitionStore(client, fresh_prefix.redis)
        store.commit(EVENTS, 0, 1, Writes())
        client.script_flush()
        store.commit(EVENTS, 1, 2, Writes())
        assert store.position(EVENTS) == 2
        hash_tags = {
            key.split(b"{")[1].split(b"}")[0] for key in client.scan_iter(f"{fresh_prefix.redis}:*")
        }
        assert hash_tags == {b"events-0"}


def test_a_silent_server_is_unavailable():
    with pytest.raises(Unavailable, match=r"Redis: connecting: .*127"):
        connect_redis(RedisSettings(url="redis://127.0.0.1:9"))
    with redis.Redis(host="127.0.0.1", port=9, retry=Retry(NoBackoff(), 0)) as client:
        store = RedisPartitionStore(client)
        with pytest.raises(Unavailable, match=r"Redis: reading the position of events-0: .*127"):
            store.position(EVENTS)
        with pytest.raises(Unavailable, match="committing events-0"):
            store.commit(EVENTS, 0, 1, Writes())


def test_an_acl_user_needs_only_its_keys_and_a_few_commands(any_redis, fresh_prefix):
    with connect_redis(RedisSettings(url=any_redis)) as admin:
        allowed = ["+@connection", "+@read", "+@write", "+@scripting", "+@transaction"]
        name = fresh_prefix.group
        admin.execute_command(
            "ACL", "SETUSER", name, "on", ">secret", f"~{fresh_prefix.redis}:*", "-@all", *allowed
        )
    settings = RedisSettings(url=any_redis, username=name, password="secret")
    with connect_redis(settings) as client:
        store = RedisPartitionStore(client, fresh_prefix.redis)
        store.commit(
            EVENTS, 0, 1, Writes(users={"u": {}}, rows={"r": {}}, outboxes={"updates": [entry(0)]})
        )
        assert store.read_users(EVENTS, ["u"]) == (1, [{}])
        assert store.read_rows(EVENTS, 0) == Changes(1, {"r": {}}, whole=True)
        store.trim_outbox(EVENTS, "updates", entry(0))
        other = RedisPartitionStore(client, "elsewhere")
        with pytest.raises(Unavailable, match=r"(?i)permission"):
            other.position(EVENTS)
    wrong = RedisSettings(url=any_redis, username=name, password="guess")
    with pytest.raises(Unavailable, match="STREAMREC_REDIS_PASSWORD is wrong"):
        connect_redis(wrong)
