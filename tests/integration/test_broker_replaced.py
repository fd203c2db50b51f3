"""A broker that comes back at another address, and bootstrap servers that are gone for ever."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from streamrec import settings as reader
from streamrec.core.events import Source
from streamrec.infra.processes.server_process import HOST, free_port
from streamrec.infra.stores.redis_client import connect_redis
from streamrec.infra.stores.redis_store import RedisPartitionStore
from streamrec.infra.wire.kafka import KafkaPublisher
from streamrec.infra.wire.kafka_diagnosis import why_no_kafka
from streamrec.infra.wire.kafka_topics import create_topics
from tests.fakes.streams import interactions
from tests.harness.command_line import CommandLine
from tests.harness.feature_worker import PARTITIONS, feature_workers, make_settings, send_events
from tests.harness.forwarder import forwarder
from tests.harness.servers import new_apache_kafka
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.apache_kafka, pytest.mark.redis_server]


def test_a_worker_whose_brokers_have_moved_ends_says_so_and_finds_them_again(
    redis_url: str, fresh_prefix, tmp_path: Path
) -> None:
    before = new_apache_kafka(tmp_path / "kafka")
    before.start()
    with forwarder(before.port) as name:
        settings = make_settings(f"{HOST}:{name.port}", redis_url, fresh_prefix, tmp_path)
        gone = f"{HOST}:{free_port()},{HOST}:{free_port()}"
        settings = replace(
            settings, kafka=replace(settings.kafka, bootstrap=f"{gone},{HOST}:{name.port}")
        )
        store = RedisPartitionStore(connect_redis(settings.redis), settings.redis.key_prefix)
        create_topics(settings.kafka)
        assert why_no_kafka(settings.kafka) is None
        events = interactions(60, seed=3)

        def applied() -> int:
            return sum(store.position(Source("events", p)) for p in range(PARTITIONS))

        def send(some: list) -> None:
            with closing(KafkaPublisher(settings.kafka, "t")) as publisher:
                send_events(publisher, some)

        with feature_workers(settings, tmp_path) as (worker,):
            send(events[:30])
            worker.until(lambda: applied() == 30)
            assert_doctor_names(settings, tmp_path, gone)
            before.kill()
            with new_apache_kafka(tmp_path / "kafka") as after:
                assert after.port != before.port
                name.target = after.port
                send(events[30:])
                eventually(lambda: not worker.running, what=lambda: worker.log)
                assert worker.wait() == 1
                assert f"another address: {after.address}, no longer {before.address}" in worker.log
                worker.start()
                worker.until(lambda: applied() == 60)


def assert_doctor_names(settings, directory: Path, gone: str) -> None:
    done = CommandLine(reader.environment(settings), directory).run_here("doctor", "--json")
    notes = [f["detail"] for f in json.loads(done.stdout) if f["verdict"] == "note"]
    for address in gone.split(","):
        assert f"{address}: nobody listens there" in notes
