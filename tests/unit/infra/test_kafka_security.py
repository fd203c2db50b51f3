"""What our settings make of TLS and SASL, and which of them cannot go together."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from streamrec.errors import UserError
from streamrec.infra.wire.kafka_security import security_config
from streamrec.settings import KafkaSettings, SecurityProtocol
from tests.harness.certificates import Authority

GOOD = KafkaSettings(
    bootstrap="kafka:9092",
    security_protocol=SecurityProtocol.SASL_SSL,
    sasl_mechanism="SCRAM-SHA-512",
    sasl_username="streamrec",
    sasl_password="hush",
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "ca")


def test_certificates_and_host_names_are_checked(authority: Authority) -> None:
    config = security_config(replace(GOOD, ssl_cafile=str(authority.file)))
    context = config["ssl_context"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert config["sasl_mechanism"] == "SCRAM-SHA-512"


def test_no_security_needs_nothing() -> None:
    assert security_config(KafkaSettings()) == {"security_protocol": "PLAINTEXT"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sasl_mechanism": ""}, "SASL_MECHANISM is not set; with SASL_SSL it must be one of"),
        ({"sasl_mechanism": "GSSAPI"}, "SASL_MECHANISM is GSSAPI; .* PLAIN, SCRAM-SHA-256"),
        ({"sasl_username": ""}, "SASL_USERNAME is not set"),
        ({"sasl_password": ""}, "SASL_PASSWORD is not set"),
        ({"security_protocol": SecurityProtocol.SSL}, "set it to SASL_SSL"),
        ({"security_protocol": SecurityProtocol.PLAINTEXT}, "set it to SASL_SSL"),
        ({"ssl_cafile": "/nowhere/ca.pem"}, "SSL_CAFILE: /nowhere/ca.pem: No such file"),
        ({"ssl_certfile": "/nowhere/c.pem"}, "SSL_CERTFILE and _KEYFILE: /nowhere/c.pem"),
    ],
)
def test_settings_that_cannot_work_are_named(change: dict[str, str], said: str) -> None:
    with pytest.raises(UserError, match=said) as raised:
        security_config(replace(GOOD, **change))
    assert "hush" not in str(raised.value)


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path, authority: Authority) -> None:
    other = tmp_path / "notes.pem"
    other.write_text("not a certificate")
    with pytest.raises(UserError, match=r"SSL_CAFILE: .*notes\.pem: not the PEM files"):
        security_config(replace(GOOD, ssl_cafile=str(other)))
    one, two = authority.issue("one"), authority.issue("two")
    mixed = replace(GOOD, ssl_certfile=str(one.certificate), ssl_keyfile=str(two.key))
    with pytest.raises(UserError, match=r"do not belong together \(KEY_VALUES_MISMATCH\)"):
        security_config(mixed)
