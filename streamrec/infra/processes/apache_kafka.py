"""Apache Kafka 4 as one process: broker and KRaft controller, for tests and drills.

Knows how to get Kafka's jars (Maven resolves ``apache_kafka.pom.xml``), format a data
directory and run the server; docs/adr/0010 says why each step is as it is. Not for
production: one node, replication 1, short time-outs, no authentication unless
``properties`` add it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import uuid
import xml.etree.ElementTree as ET
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path

from streamrec.errors import Unavailable
from streamrec.infra.processes.server_process import HOST, ServerProcess, free_port
from streamrec.infra.wire.kafka_probe import kafka_answers

POM = Path(__file__).with_name("apache_kafka.pom.xml")
MIN_JAVA = 17
MAVEN_S = 600.0
FORMAT_S = 60.0
COPY_JARS = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
JVM = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")  # starts in a second
LOG_LEVEL = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"


def kafka_version() -> str:
    """The version of Apache Kafka that the POM asks for."""
    version = ET.parse(POM).findtext(".//{*}kafka.version")  # noqa: S314 - our own file
    if version is None:
        raise Unavailable(f"{POM} names no kafka.version")
    return version


def why_not(cache_dir: Path) -> str | None:
    """What this machine lacks to run Apache Kafka, in a sentence; None if nothing."""
    java = _java_version()
    if java is None or java < MIN_JAVA:
        found = "Java" if java is None else f"Java {java} found, but Java"
        return f"{found} {MIN_JAVA}" + (" not found" if java is None else " is needed")
    if not _jar_dir(cache_dir).is_dir() and shutil.which("mvn") is None:
        return "Maven not found, and Apache Kafka's jars are not in the cache"
    return None


def resolve_jars(cache_dir: Path) -> Path:
    """The directory with Kafka's jars, fetched with Maven the first time.

    Downloads go into a directory aside that is renamed when complete, so that a killed or
    concurrent download leaves either all jars or none.

    Raises:
        Unavailable: when Maven cannot get them; says what it printed.
    """
    jars = _jar_dir(cache_dir)
    if jars.is_dir():
        return jars
    jars.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=jars.parent, prefix=".fetch-") as aside:
        pom = shutil.copy(POM, aside)  # Maven writes beside the POM it is given
        fetched = Path(aside) / "jars"
        _run(
            [
                *("mvn", "-B", "-q", "--strict-checksums", "-f", str(pom), COPY_JARS),
                *(f"-DoutputDirectory={fetched}", "-DincludeScope=runtime"),
            ],
            MAVEN_S,
            "Maven could not fetch Apache Kafka",
        )
        try:
            fetched.rename(jars)
        except OSError:
            if not jars.is_dir():  # else: somebody else was quicker
                raise
    return jars


class ApacheKafka(ServerProcess):
    """One Apache Kafka node under ``data_dir``, its jars from ``cache_dir``.

    ``properties`` are added to (or replace) lines of server.properties; ``listeners`` are
    more doors beside the plain one: security protocol -> port.
    """

    name = "apache-kafka"
    ready_s = 60.0

    def __init__(
        self,
        data_dir: Path,
        cache_dir: Path,
        port: int | None = None,
        properties: Mapping[str, str] | None = None,
        listeners: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(data_dir, port)
        self._cache_dir = cache_dir
        self._extra = dict(properties or {})
        self._listeners = dict(listeners or {})
        self._controller_port: int | None = None

    @property
    def bootstrap(self) -> str:
        return self.address

    def prepare(self) -> None:
        """Write server.properties; format the storage the first time."""
        formatted = (self.data_dir / "log" / "meta.properties").exists()
        if not formatted or self._controller_port is None:
            self._controller_port = self._known_controller_port() or free_port()
        lines = (f"{key}={value}\n" for key, value in self._properties().items())
        self._config.write_text("".join(lines))
        if not formatted:
            cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
            _run(
                [
                    *(*self._java(), "kafka.tools.StorageTool", "format", "--standalone"),
                    f"--cluster-id={cluster_id}",  # an id may begin with a dash
                    *("--config", str(self._config)),
                ],
                FORMAT_S,
                "Apache Kafka could not format its storage",
            )

    def command(self) -> list[str]:
        return [*self._java(), "kafka.Kafka", str(self._config)]

    def answers(self) -> bool:
        return kafka_answers(self.address)

    @property
    def _config(self) -> Path:
        return self.data_dir / "server.properties"

    def _java(self) -> list[str]:
        jars = resolve_jars(self._cache_dir)
        return ["java", *JVM, LOG_LEVEL, "-cp", str(jars / "*")]

    def _known_controller_port(self) -> int | None:
        # the voter set on disk names it, so a restart must use the one it was formatted with
        if not self._config.exists():
            return None
        found = re.search(r"CONTROLLER://[^:]+:(\d+)", self._config.read_text())
        return int(found[1]) if found else None

    def _properties(self) -> dict[str, str]:
        controller = f"{HOST}:{self._controller_port}"
        doors = {"PLAINTEXT": self.port, **self._listeners}
        clients = ",".join(f"{protocol}://{HOST}:{port}" for protocol, port in doors.items())
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "listeners": f"{clients},CONTROLLER://{controller}",
            "advertised.listeners": clients,
            "listener.security.protocol.map": ",".join(
                ["CONTROLLER:PLAINTEXT", *(f"{protocol}:{protocol}" for protocol in doors)]
            ),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.quorum.bootstrap.servers": controller,
            "log.dirs": str(self.data_dir / "log"),
            "auto.create.topics.enable": "false",
            # one node
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            # groups form and lose members quickly
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            # after SIGKILL the node may register again when its old session has expired
            "broker.session.timeout.ms": "2000",
            "broker.heartbeat.interval.ms": "500",
            # compaction soon enough to be tested, with little memory
            "log.cleaner.backoff.ms": "1000",
            "log.cleaner.dedupe.buffer.size": str(8 << 20),
            "log.initial.task.delay.ms": "1000",
            "num.network.threads": "2",
            "num.io.threads": "4",
            **self._extra,
        }


def _jar_dir(cache_dir: Path) -> Path:
    return cache_dir.absolute() / kafka_version()


def _java_version() -> int | None:
    if shutil.which("java") is None:
        return None
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False)  # noqa: S607 - PATH's java
    found = re.search(r'version "(\d+)', said.stderr)
    return int(found[1]) if found else None


def _run(command: list[str], timeout_s: float, failure: str) -> None:
    try:
        subprocess.run(  # noqa: S603 - the command is built here, not by a user
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=True,
        )
    except FileNotFoundError:
        raise Unavailable(f"{failure}: {command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{failure} within {timeout_s:g} s") from None
    except subprocess.CalledProcessError as error:
        tail = "\n".join(error.stdout.splitlines()[-20:])
        raise Unavailable(f"{failure}:\n{tail}") from None


__all__ = ["ApacheKafka", "kafka_version", "resolve_jars", "why_not"]
