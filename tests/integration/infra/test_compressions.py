"""Every compression Kafka has, on every topic, for every client; what is not installed is named.

Producers choose it, or the topic does: then Apache Kafka compresses anew, as Java's clients do
(snappy in xerial's framing).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from kafka import KafkaAdminClient, KafkaProducer

from streamrec import settings as reader
from streamrec.core.events import Request
from streamrec.core.release.registry import Action, ControlRecord, RegistryState
from streamrec.core.topics import TOPICS
from streamrec.infra.feeds.batch_feed import KafkaBatchFeed
from streamrec.infra.feeds.trigger_feed import KafkaTriggerFeed
from streamrec.infra.stores.control_log import KafkaControlLog
from streamrec.infra.wire.kafka import client_config, full_name, make_consumer
from streamrec.infra.wire.kafka_codecs import COMPRESSIONS
from streamrec.infra.wire.topic_flaws import topic_flaws
from streamrec.settings import KafkaSettings, RedisSettings, Settings
from tests.harness.codec import wire_codec
from tests.harness.command_line import CommandLine
from tests.harness.training_worker import Stream
from tests.harness.waiting import PATIENCE_S, eventually

pytestmark = pytest.mark.apache_kafka
CODEC = wire_codec()
CONTROL = ControlRecord(Action.ACTIVATE, "ann", "", 1, RegistryState(1, "g1"), "g1", "d1")
VALUE = b"the same again, so that there is something to compress " * 40


@pytest.fixture
def settings(apache_kafka, fresh_prefix) -> KafkaSettings:
    return KafkaSettings(bootstrap=apache_kafka, topic_prefix=fresh_prefix.topic)


def create(settings: KafkaSettings, compression: str) -> None:
    """All topics, of one partition each, compressed so by the broker."""
    configs = {"compression.type": compression, "max.message.bytes": str(2_000_000)}
    layout = {"num_partitions": 1, "replication_factor": 1, "configs": configs}
    with closing(KafkaAdminClient(bootstrap_servers=settings.bootstrap)) as admin:
        for topic in TOPICS:
            admin.create_topics({full_name(settings, topic.name): layout}, wait_for_metadata=True)


def send(
    settings: KafkaSettings, values: Mapping[str, bytes], compression: str | None = None
) -> None:
    """As somebody else's producer would."""
    with closing(
        KafkaProducer(bootstrap_servers=settings.bootstrap, compression_type=compression)
    ) as producer:
        for topic, value in values.items():
            producer.send(full_name(settings, topic), key=b"0", value=value)
        producer.flush()


def read(settings: KafkaSettings, count: int) -> set[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []

    def all_came() -> bool:
        for messages in consumer.poll(200).values():
            found.extend((m.topic.removeprefix(settings.topic_prefix), m.value) for m in messages)
        return len(found) >= count

    with closing(make_consumer(settings, [topic.name for topic in TOPICS])) as consumer:
        eventually(all_came, every_s=0)
    return set(found)


async def read_by_aiokafka(settings: KafkaSettings, count: int) -> set[tuple[str, bytes]]:
    names = [full_name(settings, topic.name) for topic in TOPICS]
    async with AIOKafkaConsumer(
        *names, bootstrap_servers=settings.bootstrap, auto_offset_reset="earliest"
    ) as consumer:
        found = [await asyncio.wait_for(consumer.getone(), PATIENCE_S) for _ in range(count)]
    return {(m.topic.removeprefix(settings.topic_prefix), m.value) for m in found}


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_every_client_reads_every_topic(settings, compression: str) -> None:
    create(settings, compression)
    (batch,) = Stream(partitions=1).next_batches(1)
    request = Request("r1", "ann", 1_767_323_044_000, k=4)
    values = {topic.name: VALUE for topic in TOPICS} | {
        "requests": CODEC.encode("requests", request),
        "training-batches": CODEC.encode("training-batches", batch),
    }
    send(settings, values)  # the broker compresses it
    by_producer = {topic.name: VALUE * 2 for topic in TOPICS}
    send(settings, by_producer, compression)  # the broker takes it as it is
    sent = {*values.items(), *by_producer.items()}
    assert read(settings, len(sent)) == sent
    assert asyncio.run(read_by_aiokafka(settings, len(sent))) == sent
    assert topic_flaws(settings) == []
    with closing(KafkaTriggerFeed(settings, CODEC, "t")) as triggers:
        got: list[object] = []
        eventually(lambda: got.extend(m.value for m in triggers.poll(0.2, 9)) or request in got)
    with closing(KafkaBatchFeed(settings, CODEC, "t")) as batches:
        batches.seek(0)
        assert eventually(partial(batches.poll, 0.2, 1))[0].data == values["training-batches"]
    with KafkaControlLog(client_config(settings), CODEC, settings.topic_prefix) as log:
        log.append(CONTROL)
        assert log.records() == [CONTROL]


@pytest.mark.redis_server
def test_a_slim_installation_does_not_wait_but_says_what_to_install(
    settings, redis_url, fresh_prefix, tmp_path: Path
) -> None:
    create(settings, "zstd")
    send(settings, {"dead-letter": VALUE, "events": VALUE})
    slim = tmp_path / "slim"
    slim.mkdir()
    for package in ("cramjam", "zstandard"):
        (slim / f"{package}.py").write_text("raise ImportError\n")
    redis = RedisSettings(url=redis_url, key_prefix=fresh_prefix.redis)
    whole = Settings(state_dir=tmp_path / "state", kafka=settings, redis=redis)
    command = CommandLine(reader.environment(whole), tmp_path)
    command.environment |= {"PYTHONPATH": f"{slim}:{command.environment.get('PYTHONPATH', '')}"}
    said = "compressed with zstd, which this installation cannot read: pip install zstandard"
    for arguments in (("worker", "features"), ("dead-letter", "list")):
        done = command.run(*arguments)
        assert done.returncode == 1, done.stderr
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    found = json.loads(command.run("doctor", "--json").stdout)
    remedies = [f["remedy"] for f in found if "compressed with zstd" in f["detail"]]
    assert remedies == ["pip install zstandard cramjam"] * len(TOPICS)
