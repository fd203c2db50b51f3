"""TLS and passwords on real servers: every kind of client gets in, and who must not is told why.

One Apache Kafka with three doors and one Redis for the whole module.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from streamrec import settings as reader
from streamrec.core.events import Interaction, Kind, Source
from streamrec.core.release.registry import Action, ControlRecord, RegistryState
from streamrec.errors import Unavailable
from streamrec.infra.stores.control_log import KafkaControlLog
from streamrec.infra.stores.redis_client import connect_redis
from streamrec.infra.stores.redis_store import RedisPartitionStore
from streamrec.infra.wire.kafka import KafkaPublisher, client_config, make_consumer
from streamrec.infra.wire.kafka_diagnosis import why_no_kafka
from streamrec.infra.wire.kafka_offsets import end_offsets
from streamrec.infra.wire.kafka_topics import create_topics
from streamrec.settings import KafkaSettings, Settings
from tests.conftest import Prefix
from tests.harness.certificates import Authority
from tests.harness.codec import wire_codec
from tests.harness.command_line import CommandLine
from tests.harness.feature_worker import PARTITIONS, feature_workers, send_events
from tests.harness.secure_servers import MECHANISMS, SecureKafka, SecureRedis, new_secure_kafka
from tests.harness.servers import REPOSITORY, new_redis_server
from tests.harness.waiting import eventually

PASSWORD = "hush-kafka-7391"
REDIS_PASSWORD = "hush-redis-5520"
WRONG = "hush-wrong-8812"
pytestmark = [pytest.mark.apache_kafka, pytest.mark.xdist_group("secure Kafka")]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "ca")


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[SecureKafka]:
    found = new_secure_kafka(tmp_path_factory.mktemp("secure"), authority, PASSWORD)
    yield found
    found.server.kill()


@pytest.fixture(params=[*MECHANISMS, "certificate"])
def client(request: pytest.FixtureRequest, kafka: SecureKafka, fresh_prefix: Prefix):
    if request.param == "certificate":
        return kafka.with_certificate(fresh_prefix.topic)
    return kafka.with_password(request.param, fresh_prefix.topic)


def test_kafka_python_s_clients_get_in(client: KafkaSettings) -> None:
    create_topics(client)  # the admin client
    with closing(KafkaPublisher(client, "t")) as publisher:
        publisher.publish("events", b"ann", b"one")
        publisher.flush()
    with closing(make_consumer(client, ["events"], group="g")) as consumer:
        found = []
        while not found:
            found = [r.value for records in consumer.poll(500).values() for r in records]
    assert found == [b"one"]
    assert sum(end_offsets(client, ["events"]).values()) == 1


def test_the_control_log_gets_in(kafka: SecureKafka, fresh_prefix: Prefix) -> None:
    client = kafka.with_password("SCRAM-SHA-256", fresh_prefix.topic)
    create_topics(client)
    record = ControlRecord(Action.ACTIVATE, "ann", "", 1, RegistryState(1, "g1"), "g1", "d1")
    with KafkaControlLog(client_config(client), wire_codec(), client.topic_prefix) as log:
        log.append(record)
        assert log.latest() == record


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"sasl_password": WRONG}, "it refuses 'streamrec' by SCRAM-SHA-512"),
        ({"sasl_mechanism": "PLAIN", "sasl_password": WRONG}, "it refuses 'streamrec' by PLAIN"),
        ({"ssl_cafile": "stranger"}, "its certificate is not to be trusted"),
        ({"bootstrap": "127.0.0.1:1"}, "nobody listens there"),
    ],
)
def test_who_is_kept_out_is_told_why(kafka, tmp_path, wrong: dict[str, str], said: str) -> None:
    if "ssl_cafile" in wrong:
        wrong = {"ssl_cafile": str(Authority(tmp_path, "stranger").file)}
    settings = replace(kafka.with_password("SCRAM-SHA-512"), **wrong)
    assert said in (why_no_kafka(settings) or "")


def test_doors_that_are_not_ours_are_named(kafka: SecureKafka) -> None:
    without = replace(kafka.with_certificate(), ssl_certfile="", ssl_keyfile="")
    assert "refuses our certificate" in (why_no_kafka(without) or "")
    nobody = replace(without, bootstrap=kafka.with_password("PLAIN").bootstrap)
    assert "no answer when spoken to as SSL" in (why_no_kafka(nobody) or "")
    plain = replace(kafka.with_certificate(), bootstrap=kafka.server.bootstrap)
    assert "no answer when spoken to as SSL" in (why_no_kafka(plain) or "")


# -- the whole loop's edge: a feature worker behind TLS on both sides -------------------


def acl(password: str) -> list[str]:
    """The users of deploy/redis.acl, with a password of ours."""
    return (
        (REPOSITORY / "deploy" / "redis.acl").read_text().replace("CHANGE-ME", password).split("\n")
    )


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory, authority) -> Iterator[SecureRedis]:
    new_redis_server(tmp_path_factory.mktemp("unused"))  # skips where none is installed
    binary = Path(shutil.which("redis-server") or "")
    users = acl(REDIS_PASSWORD)
    with SecureRedis(tmp_path_factory.mktemp("redis"), authority, users, binary) as server:
        yield server


@pytest.fixture
def settings(kafka, redis_server, fresh_prefix, tmp_path) -> Settings:
    return Settings(
        state_dir=tmp_path / "state",
        log_level="DEBUG",
        kafka=replace(
            kafka.with_password("SCRAM-SHA-512", fresh_prefix.topic),
            partitions=PARTITIONS,
            session_timeout_s=6.0,
        ),
        redis=redis_server.settings("streamrec", REDIS_PASSWORD),
    )


def folded(store: RedisPartitionStore) -> int:
    return sum(store.position(Source("events", partition)) for partition in range(PARTITIONS))


@pytest.mark.redis_server
def test_a_feature_worker_gets_in_and_no_password_gets_out(
    settings: Settings, redis_server, tmp_path: Path
) -> None:
    create_topics(settings.kafka)
    events = [
        Interaction(f"e{n}", f"u{n % 7}", f"i{n % 5}", Kind.CLICK, 1_700_000_000_000 + n)
        for n in range(50)
    ]
    with closing(KafkaPublisher(settings.kafka, "t")) as publisher:
        send_events(publisher, events)
    store = RedisPartitionStore(connect_redis(settings.redis), settings.redis.key_prefix)
    with feature_workers(settings, tmp_path) as workers:
        eventually(
            lambda: sum(store.position(Source("events", p)) for p in range(PARTITIONS)) == 50
        )
        lines = str([child.cmdline() for child in psutil.Process().children(recursive=True)])
        status = command_line(settings, tmp_path).run("status", "--json")
        assert status.returncode == 0, status.stderr
    said = [workers[0].log, lines, status.stdout, status.stderr, redis_server.log_tail(1000)]
    said += [
        path.read_text(errors="replace")
        for path in (tmp_path / "state").rglob("*")
        if path.is_file()
    ]
    assert "features-0" in workers[0].log
    assert not any("hush" in text for text in said)


def command_line(settings: Settings, directory: Path) -> CommandLine:
    return CommandLine(reader.environment(settings), directory)


@pytest.mark.redis_server
def test_doctor_says_what_is_wrong_and_keeps_the_secret(settings, tmp_path) -> None:
    wrong = replace(
        settings,
        kafka=replace(settings.kafka, sasl_password=WRONG),
        redis=replace(settings.redis, password=WRONG),
    )
    done = command_line(wrong, tmp_path).run("doctor", "--json")
    assert done.returncode == 1
    problems = {
        f["what"]: f["detail"] for f in json.loads(done.stdout) if f["verdict"] == "problem"
    }
    assert "STREAMREC_KAFKA_SASL_PASSWORD is wrong" in problems["Kafka"]
    assert "STREAMREC_REDIS_PASSWORD is wrong" in problems["Redis"]
    assert "hush" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.redis_server
def test_a_redis_user_without_rights_and_a_strange_authority_are_named(
    settings, redis_server, tmp_path
) -> None:
    elsewhere = replace(settings.redis, key_prefix="other")
    with pytest.raises(Unavailable, match=r"may not do it: docs/operating\.md"):
        RedisPartitionStore(connect_redis(elsewhere), "other").position(Source("events", 0))
    stranger = Authority(tmp_path, "stranger")
    distrusting = replace(settings.redis, ssl_cafile=str(stranger.file))
    with pytest.raises(Unavailable, match=r"certificate is not to be trusted.*SSL_CAFILE"):
        RedisPartitionStore(connect_redis(distrusting)).position(Source("events", 0))
