"""Who we are to Kafka, and whom we trust: TLS and SASL from our settings.

Knows which settings go together, and refuses at once, by name, those that do not: a client
that fell back to something weaker would be worse than none. Knows no topic and no client.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from streamrec.errors import UserError
from streamrec.settings import KafkaSettings, SecurityProtocol

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
TOKENS = "sasl_oauth_token_provider"
_ENCRYPTED = frozenset({SecurityProtocol.SSL, SecurityProtocol.SASL_SSL})
_WITH_PASSWORD = frozenset({SecurityProtocol.SASL_PLAINTEXT, SecurityProtocol.SASL_SSL})


def aiokafka_config(settings: KafkaSettings) -> dict[str, Any]:
    """What aiokafka is told. Raises UserError."""
    config = security_config(settings)
    if TOKENS in config:
        from streamrec.infra.wire.kafka_tokens import AiokafkaTokens  # noqa: PLC0415

        config[TOKENS] = AiokafkaTokens(settings)
    return config


def security_config(settings: KafkaSettings) -> dict[str, Any]:
    """What kafka-python is told. Raises UserError."""
    protocol = settings.security_protocol
    config: dict[str, Any] = {"security_protocol": protocol.value}
    if protocol in _ENCRYPTED:
        config["ssl_context"] = _tls_context(settings)
    if protocol in _WITH_PASSWORD:
        _check_sasl(settings)
        config |= {"sasl_mechanism": settings.sasl_mechanism, **_credentials(settings)}
    elif settings.sasl_mechanism:
        raise UserError(
            f"STREAMREC_KAFKA_SASL_MECHANISM is {settings.sasl_mechanism}, but "
            f"STREAMREC_KAFKA_SECURITY_PROTOCOL is {protocol}: set it to SASL_SSL"
        )
    return config


def _credentials(settings: KafkaSettings) -> dict[str, Any]:
    if settings.sasl_mechanism == "OAUTHBEARER":
        from streamrec.infra.wire.kafka_tokens import KafkaPythonTokens  # noqa: PLC0415

        return {TOKENS: KafkaPythonTokens(settings)}
    return {
        "sasl_plain_username": settings.sasl_username,
        "sasl_plain_password": settings.sasl_password,
    }


def _check_sasl(settings: KafkaSettings) -> None:
    if settings.sasl_mechanism not in MECHANISMS:
        raise UserError(
            f"STREAMREC_KAFKA_SASL_MECHANISM is {settings.sasl_mechanism or 'not set'}; with "
            f"{settings.security_protocol} it must be one of {', '.join(MECHANISMS)}"
        )
    if settings.sasl_mechanism == "OAUTHBEARER":
        if bool(settings.sasl_oauth_token_url) == bool(settings.sasl_oauth_provider):
            raise UserError(
                "OAUTHBEARER needs STREAMREC_KAFKA_SASL_OAUTH_TOKEN_URL or "
                "STREAMREC_KAFKA_SASL_OAUTH_PROVIDER, one of them"
            )
        if settings.sasl_oauth_provider:
            return
    for name, value in (("USERNAME", settings.sasl_username), ("PASSWORD", settings.sasl_password)):
        if not value:
            raise UserError(
                f"STREAMREC_KAFKA_SASL_{name} is not set, and {settings.security_protocol} needs it"
            )


def _tls_context(settings: KafkaSettings) -> ssl.SSLContext:
    """Certificates and host names are always checked."""
    with _files_of("STREAMREC_KAFKA_SSL_CAFILE", settings.ssl_cafile):
        context = ssl.create_default_context(cafile=settings.ssl_cafile or None)
    if settings.ssl_certfile:
        pair = f"{settings.ssl_certfile} and {settings.ssl_keyfile or 'the key in it'}"
        with _files_of("STREAMREC_KAFKA_SSL_CERTFILE and _KEYFILE", pair):
            context.load_cert_chain(settings.ssl_certfile, settings.ssl_keyfile or None)
    return context


@contextmanager
def _files_of(names: str, paths: str) -> Iterator[None]:
    """Turns what ``ssl`` says of files into one line that names the setting."""
    try:
        yield
    except ssl.SSLError as error:
        raise UserError(
            f"{names}: {paths}: not the PEM files they should be, or they do not belong "
            f"together ({error.reason or error.args[-1]})"
        ) from None
    except OSError as error:
        raise UserError(f"{names}: {paths}: {error.strerror}") from None


__all__ = ["MECHANISMS", "aiokafka_config", "security_config"]
