"""An Apache Kafka whose users have the rights they were given, and no others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType

from streamrec.infra.processes.apache_kafka import ApacheKafka
from streamrec.infra.processes.server_process import HOST, free_port
from streamrec.settings import KafkaSettings, SecurityProtocol
from tests.harness.servers import REPOSITORY, new_apache_kafka

DOCUMENT = REPOSITORY / "docs" / "operating.md"
PREFIX = "streamrec."
_LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule"


@dataclass(frozen=True)
class Right:
    user: str
    kind: str  # topic or group
    name: str  # short
    operation: str  # as Kafka names it


def documented() -> list[Right]:
    """The table of docs/operating.md, cell by cell; users are named as its columns are."""
    text = DOCUMENT.read_text().split("## Rights in Kafka")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| ")
    ]
    users = [name.removeprefix("your ") for name in rows[0][1:]]
    found = []
    for resource, *cells in rows[1:]:
        named = re.fullmatch(
            r"(topic|group) `([a-z-]+)`(, of another task `[a-zA-Z-]+`)?", resource
        )
        assert named, resource
        for user, cell in zip(users, cells, strict=True):
            operations = [name.strip().replace("-", "_").upper() for name in cell.split(",")]
            found += [Right(user, *named.groups()[:2], name) for name in operations if name]
    return found


@dataclass(frozen=True)
class GuardedKafka:
    """The plain door is the administrator's."""

    server: ApacheKafka
    port: int

    @property
    def administrator(self) -> KafkaSettings:
        return KafkaSettings(bootstrap=self.server.bootstrap, topic_prefix=PREFIX, partitions=2)

    def user(self, name: str) -> KafkaSettings:
        return KafkaSettings(
            bootstrap=f"{HOST}:{self.port}",
            topic_prefix=PREFIX,
            partitions=2,
            security_protocol=SecurityProtocol.SASL_PLAINTEXT,
            sasl_mechanism="PLAIN",
            sasl_username=name,
            sasl_password=f"{name}-secret",
        )

    def grant(self, *rights: Right) -> None:
        acls = [
            ACL(
                f"User:{right.user}",
                "*",
                ACLOperation[right.operation],
                ACLPermissionType.ALLOW,
                ResourcePattern(ResourceType[right.kind.upper()], PREFIX + right.name),
            )
            for right in rights
        ]
        with closing(KafkaAdminClient(bootstrap_servers=self.server.bootstrap)) as admin:
            assert not admin.create_acls(acls)["failed"]


@contextmanager
def guarded_kafka(directory: Path, *users: str) -> Iterator[GuardedKafka]:
    """Started, without topics and rights; skips where Apache Kafka cannot run."""
    port = free_port()
    logins = " ".join(f'user_{name}="{name}-secret"' for name in users)
    properties = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": f"{_LOGIN} required {logins};",
    }
    server = new_apache_kafka(directory, properties, listeners={"SASL_PLAINTEXT": port})
    server.start()
    try:
        yield GuardedKafka(server, port)
    finally:
        server.kill()
