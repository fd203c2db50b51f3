"""What a worker refused is listed, shown, mended, resent, and then counted."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from streamrec.core.events import Interaction, Kind, Source
from streamrec.infra.stores.redis_client import connect_redis
from streamrec.infra.stores.redis_store import RedisPartitionStore
from streamrec.infra.wire.kafka import KafkaPublisher, partition_for
from streamrec.infra.wire.kafka_topics import create_topics
from tests.harness.codec import wire_codec
from tests.harness.command_line import CommandLine
from tests.harness.feature_worker import (
    PARTITIONS,
    catalogue,
    feature_workers,
    make_settings,
    read_topic,
    send_events,
    send_items,
)
from tests.harness.waiting import eventually

CODEC = wire_codec()
START_MS = 1_767_323_045_000
BAD = (
    b'{"event_id": "e-bad", "user_id": "ann", "item_id": "i1", "kind": "klick", '
    b'"occurred_at": 1767323046}'
)


@pytest.fixture
def settings(any_servers, fresh_prefix, tmp_path):
    made = make_settings(*any_servers, fresh_prefix, tmp_path)
    create_topics(made.kafka)
    return made


@pytest.fixture
def shell(settings, tmp_path) -> CommandLine:
    return CommandLine(
        {
            "STREAMREC_KAFKA_BOOTSTRAP": settings.kafka.bootstrap,
            "STREAMREC_KAFKA_TOPIC_PREFIX": settings.kafka.topic_prefix,
            "STREAMREC_REDIS_URL": settings.redis.url,
            "STREAMREC_REDIS_KEY_PREFIX": settings.redis.key_prefix,
        },
        tmp_path,
    )


def click(number: int, user: str = "ann") -> Interaction:
    return Interaction(f"e{number}", user, "i2", Kind.CLICK, START_MS + number * 1000)


def editor(directory: Path, script: str) -> str:
    """An editor that mends the value by itself."""
    path = directory / "editor.sh"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.slow
@pytest.mark.slow
def test_a_bad_event_is_mended_and_counts(settings, shell, tmp_path):
    empty = shell.run("dead-letter", "list")
    assert (empty.returncode, empty.stdout) == (0, "")
    assert "nothing was refused" in empty.stderr

    publisher = KafkaPublisher(settings.kafka, "producer")
    with feature_workers(settings, tmp_path), connect_redis(settings.redis) as redis:
        store = RedisPartitionStore(redis, settings.redis.key_prefix)
        send_items(publisher, catalogue())
        send_events(publisher, [click(0)])
        publisher.publish("events", b"ann", BAD)
        publisher.publish("events", b"bob", b"\x00\x01\x02")
        send_events(publisher, [click(1), click(2, "bob")])
        listed = eventually(
            lambda: (found := shell.json("dead-letter", "list", here=True))["total"] == 2 and found,
            what="two dead letters",
        )
        publisher.close()
        assert {tuple(row.values()) for row in listed["counts"]} == {
            ("events", "invalid-field", 1),
            ("events", "unknown-schema", 1),
        }
        only = shell.json(
            "dead-letter", "list", "--code", "invalid-field", "--since", "1h", here=True
        )
        [bad] = only["letters"]
        assert bad["value"].encode() == BAD

        shown = shell.run_here("dead-letter", "show", bad["message"])
        assert shown.returncode == 0
        assert "kind is 'klick'" in " ".join(shown.stdout.split())
        assert '"event_id": "e-bad"' in shown.stdout

        # as it is, it would be refused again
        as_it_is = shell.run_here("dead-letter", "resend", bad["letter"])
        assert as_it_is.returncode == 1
        assert "would refuse it again" in as_it_is.stderr

        # insisted on, it is refused again, and the second letter is linked to the first
        [insisted] = shell.json("dead-letter", "resend", bad["letter"], "--unchecked")["resent"]
        second = eventually(
            lambda: next(
                (
                    letter
                    for letter in shell.json("dead-letter", "list", here=True)["letters"]
                    if letter["second_refusal_of"] == bad["letter"]
                ),
                None,
            ),
            what="a second letter of the same event",
        )
        assert second["message"] == insisted["to"]

        # not again without a word; mended in the editor it counts
        refused = shell.run_here("dead-letter", "resend", bad["letter"])
        assert refused.returncode == 1
        shell.environment["EDITOR"] = editor(tmp_path, """sed -i 's/"klick"/"click"/' "$1" """)
        mended = shell.json("dead-letter", "resend", second["letter"], "--edit")
        [sent] = mended["resent"]
        source = Source("events", partition_for("ann", PARTITIONS))
        eventually(
            lambda: store.position(source) > int(sent["to"].split(":")[2]), what="it is folded"
        )
        _, [ann] = store.read_users(source, ["ann"])
        assert ann["n"] == [0, 3]
        twice = shell.run_here("dead-letter", "resend", second["letter"])
        assert twice.returncode == 1
        assert f"already resent to {sent['to']}" in twice.stderr

    [record] = [
        record
        for record in read_topic(settings, "events")
        if f"events:{record.partition}:{record.offset}" == sent["to"]
    ]
    assert dict(record.headers)["streamrec-resend-of"] == second["letter"].encode()
    assert json.loads(record.value)["kind"] == "click"

    # the rest at once: only what was not resent, and only what would now be taken
    everything = shell.run_here("dead-letter", "resend", "--all", "--yes", "--json")
    assert everything.returncode == 1
    found = json.loads(everything.stdout)
    assert found["resent"] == []
    assert len(found["not_resent"]) == 1
    asked = shell.run("dead-letter", "resend", "--all", stdin="n\n")
    assert asked.returncode == 1
    assert "nothing was sent" in asked.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "0:999"], "no dead letter 0:999 is kept"),
        (["show", "0:0"], "no dead letter 0:0 is kept"),
        (["show", "events:0:999"], "no dead letter events:0:999 is kept"),
        (["show", "nonsense"], "names no dead letter"),
        (["show", "event:0:1"], "is no topic"),
        (["list", "--since", "yesterday"], "is no length of time"),
        (["resend"], "name the letters to resend, or say --all"),
        (["resend", "0:1", "0:2", "--key", "ann"], "name exactly one"),
    ],
)
@pytest.mark.embedded
def test_a_mistake_is_told_in_one_line(arguments, said, shell_embedded):
    done = shell_embedded.run_here("dead-letter", *arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def shell_embedded(embedded_kafka, embedded_redis, fresh_prefix, tmp_path) -> CommandLine:
    made = make_settings(embedded_kafka, embedded_redis, fresh_prefix, tmp_path)
    create_topics(made.kafka)
    return CommandLine(
        {
            "STREAMREC_KAFKA_BOOTSTRAP": embedded_kafka,
            "STREAMREC_KAFKA_TOPIC_PREFIX": fresh_prefix.topic,
            "STREAMREC_REDIS_URL": embedded_redis,
        },
        tmp_path,
    )
