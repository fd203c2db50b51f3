"""Apache Kafka and Redis that let nobody in without TLS and a password."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import redis
from kafka import KafkaAdminClient
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion

from streamrec.infra.processes.apache_kafka import ApacheKafka
from streamrec.infra.processes.embedded import EmbeddedRedis
from streamrec.infra.processes.server_process import HOST, free_port
from streamrec.settings import KafkaSettings, RedisSettings, SecurityProtocol
from tests.harness.certificates import Authority, Identity
from tests.harness.servers import new_apache_kafka
from tests.harness.waiting import PATIENCE_S

USER = "streamrec"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_JAAS = "org.apache.kafka.common.security"


@dataclass(frozen=True)
class SecureKafka:
    """One node with three doors: TLS and a password, TLS and a client certificate, and the
    plain one that the harness itself goes through."""

    server: ApacheKafka
    authority: Authority
    client: Identity
    password: str
    ports: dict[str, int]

    def with_password(self, mechanism: str, topic_prefix: str = "streamrec.") -> KafkaSettings:
        return KafkaSettings(
            bootstrap=f"{HOST}:{self.ports['SASL_SSL']}",
            topic_prefix=topic_prefix,
            security_protocol=SecurityProtocol.SASL_SSL,
            sasl_mechanism=mechanism,
            sasl_username=USER,
            sasl_password=self.password,
            ssl_cafile=str(self.authority.file),
        )

    def with_certificate(self, topic_prefix: str = "streamrec.") -> KafkaSettings:
        return KafkaSettings(
            bootstrap=f"{HOST}:{self.ports['SSL']}",
            topic_prefix=topic_prefix,
            security_protocol=SecurityProtocol.SSL,
            ssl_cafile=str(self.authority.file),
            ssl_certfile=str(self.client.certificate),
            ssl_keyfile=str(self.client.key),
        )


def new_secure_kafka(directory: Path, authority: Authority, password: str) -> SecureKafka:
    """Started; skips where Apache Kafka cannot run."""
    ports = {"SASL_SSL": free_port(), "SSL": free_port()}
    server = new_apache_kafka(directory / "kafka", _doors(authority, password), listeners=ports)
    server.ready_s = PATIENCE_S
    server.start()
    with closing(KafkaAdminClient(bootstrap_servers=server.bootstrap)) as admin:
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            upsert = UserScramCredentialUpsertion(USER, mechanism, password.encode())
            assert admin.alter_user_scram_credentials([upsert]) == {USER: None}
    return SecureKafka(server, authority, authority.issue("client"), password, ports)


def _doors(authority: Authority, password: str) -> dict[str, str]:
    sasl = "listener.name.sasl_ssl."
    scram = f"{_JAAS}.scram.ScramLoginModule required;"
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(authority.issue("kafka").both),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.file),
        "listener.name.ssl.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": ",".join(MECHANISMS),
        f"{sasl}plain.sasl.jaas.config": f"{_JAAS}.plain.PlainLoginModule required "
        f'user_{USER}="{password}";',
        f"{sasl}scram-sha-256.sasl.jaas.config": scram,
        f"{sasl}scram-sha-512.sasl.jaas.config": scram,
    }


class SecureRedis(EmbeddedRedis):
    """TLS only, client certificates not asked for; ``acl``: lines of an ACL file."""

    name = "secure-redis"

    def __init__(
        self, directory: Path, authority: Authority, acl: Sequence[str], binary: Path | None = None
    ) -> None:
        super().__init__(directory, binary=binary)
        self._authority = authority
        self._identity = authority.issue("redis")
        self._acl = acl

    def prepare(self) -> None:
        (self.data_dir / "users.acl").write_text("".join(f"{line}\n" for line in self._acl))

    def command(self) -> list[str]:
        plain = super().command()
        place = plain.index("--port")
        return [
            *(*plain[:place], "--port", "0", "--tls-port", str(self.port), *plain[place + 2 :]),
            *("--tls-cert-file", str(self._identity.certificate)),
            *("--tls-key-file", str(self._identity.key)),
            *("--tls-ca-cert-file", str(self._authority.file), "--tls-auth-clients", "no"),
            *("--aclfile", str(self.data_dir / "users.acl")),
        ]

    def answers(self) -> bool:
        with redis.Redis(
            HOST, self.port, ssl=True, ssl_ca_certs=str(self._authority.file), socket_timeout=1
        ) as client:
            try:
                return bool(client.ping())
            except redis.AuthenticationError:
                return True  # it answers that it does not know us
            except redis.RedisError:
                return False

    def settings(self, user: str, password: str, key_prefix: str = "sr") -> RedisSettings:
        return RedisSettings(
            url=f"rediss://{self.address}/0",
            username=user,
            password=password,
            ssl_cafile=str(self._authority.file),
            key_prefix=key_prefix,
        )
