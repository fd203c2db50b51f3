"""The programs of docs/consuming.md read what a serving worker writes, from Apache Kafka."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import schemas
from streamrec.apps import clients
from streamrec.core.events import Recommendation, RecommendedItem, Trigger
from streamrec.infra.processes.apache_kafka import resolve_jars
from streamrec.infra.wire.kafka import KafkaPublisher
from streamrec.infra.wire.kafka_topics import create_topics
from streamrec.settings import KafkaSettings, OutputFormat, ServingSettings, Settings
from tests.harness.servers import KAFKA_CACHE
from tests.harness.waiting import PATIENCE_S

PAGE = (Path(__file__).parents[2] / "docs/consuming.md").read_text()
SCHEMA = Path(schemas.__file__).parent / "recommendation.avsc"


def program(language: str) -> str:
    return re.search(rf"a test runs it -->\n```{language}\n(.*?)^```", PAGE, re.M | re.S)[1]


def python(folder: Path) -> list[str]:
    source = folder / "consume.py"
    source.write_text(program("python"))
    return [sys.executable, str(source)]


def java(folder: Path) -> list[str]:
    source = folder / "Consume.java"
    source.write_text(program("java"))
    return ["java", "-cp", f"{resolve_jars(KAFKA_CACHE)}/*", str(source)]


@pytest.mark.parametrize("case", [(python, "avro", [str(SCHEMA)]), (java, "json", [])])
def test_the_pages_programs_read_what_is_recommended(apache_kafka, fresh_prefix, tmp_path, case):
    command, output, more = case
    kafka = KafkaSettings(bootstrap=apache_kafka, topic_prefix=fresh_prefix.topic, partitions=1)
    create_topics(kafka)
    serving = ServingSettings(output=OutputFormat(output))
    codec = clients.codec(Settings(kafka=kafka, serving=serving))
    publisher = KafkaPublisher(kafka, "test")
    for user in ("ann", "bob"):
        items = (RecommendedItem("i1", 0.5), RecommendedItem(f"of-{user}", 0.25))
        answer = Recommendation(
            f"request:{user}", user, items, "g1", {}, Trigger.REQUEST, user, 1, 0, 2, "s"
        )
        publisher.publish("recommendations", user.encode(), codec.encode("recommendations", answer))
    publisher.flush()
    publisher.close()
    topic = f"{kafka.topic_prefix}recommendations"
    errors = tmp_path / "errors"
    with (
        errors.open("w") as told,
        subprocess.Popen(
            ["timeout", str(int(PATIENCE_S)), *command(tmp_path), kafka.bootstrap, topic, *more],
            stdout=subprocess.PIPE,
            stderr=told,
            text=True,
        ) as process,
    ):
        read = {process.stdout.readline().strip() for _ in range(2)}
        process.terminate()
    assert read == {"ann i1 of-ann", "bob i1 of-bob"}, errors.read_text()
