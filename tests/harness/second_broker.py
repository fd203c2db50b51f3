"""A second broker beside an Apache Kafka that runs: what replicas need."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamrec.infra.processes.apache_kafka import (
    JVM,
    LOG_LEVEL,
    ApacheKafka,
    resolve_jars,
)
from streamrec.infra.processes.server_process import HOST, ServerProcess, free_port
from streamrec.infra.wire.kafka_probe import kafka_answers
from tests.harness.servers import KAFKA_CACHE


class SecondBroker(ServerProcess):
    """Broker 2 of ``first``'s cluster; the controller is ``first``'s."""

    name = "second-broker"
    ready_s = 60.0

    def __init__(self, data_dir: Path, first: ApacheKafka) -> None:
        super().__init__(data_dir, free_port())
        self._first = first

    def prepare(self) -> None:
        """Its own settings; its storage is formatted the first time."""
        doors = f"PLAINTEXT://{self.address}"
        text = (self._first.data_dir / "server.properties").read_text()
        for name, value in {
            "process.roles": "broker",
            "node.id": "2",
            "listeners": doors,
            "advertised.listeners": doors,
            "log.dirs": str(self.data_dir / "log"),
        }.items():
            text = re.sub(rf"^{re.escape(name)}=.*$", f"{name}={value}", text, flags=re.M)
        (self.data_dir / "server.properties").write_text(text)
        if not (self.data_dir / "log").exists():
            meta = (self._first.data_dir / "log" / "meta.properties").read_text()
            cluster = re.search(r"^cluster.id=(.*)$", meta, flags=re.M)
            assert cluster, meta
            tool = ("kafka.tools.StorageTool", "format", "--no-initial-controllers")
            self._java(*tool, f"--cluster-id={cluster[1].strip()}", "--config", self._config)

    def command(self) -> list[str]:
        return [*_java(), "kafka.Kafka", self._config]

    def answers(self) -> bool:
        return kafka_answers(f"{HOST}:{self.port}")

    @property
    def _config(self) -> str:
        return str(self.data_dir / "server.properties")

    def _java(self, *arguments: str) -> None:
        subprocess.run([*_java(), *arguments], check=True, capture_output=True)


def _java() -> list[str]:
    return ["java", *JVM, LOG_LEVEL, "-cp", str(resolve_jars(KAFKA_CACHE) / "*")]


@contextmanager
def second_broker(directory: Path, first: ApacheKafka) -> Iterator[SecondBroker]:
    found = SecondBroker(directory, first)
    found.start()
    try:
        yield found
    finally:
        found.kill()
