"""Why Kafka does not let us in, in a sentence a person can act on.

kafka-python tries for ten seconds and then says "unable to bootstrap", whatever the reason
was. This asks the same brokers once more, by aiokafka's bare connection, which names it:
nobody there, no TLS, a certificate we do not trust, a password refused. Knows no topic.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError, SaslAuthenticationFailed, UnsupportedSaslMechanismError
from aiokafka.protocol.metadata import MetadataRequest

from streamrec.infra.wire.kafka_security import TOKENS, aiokafka_config
from streamrec.settings import KafkaSettings

ASK_MS = 3_000
REFUSED_TOKEN = "it refuses the token that we were given (who it is for, or from when to when)"  # noqa: S105 - said to people
_PORT = 9092


class BootstrapAnswer(NamedTuple):
    """What one address of the bootstrap list said: ``reason`` it does not let us in, or brokers."""

    address: str
    reason: str | None
    brokers: frozenset[str] = frozenset()  # host:port, as they are advertised


def why_no_kafka(settings: KafkaSettings) -> str | None:
    """What is wrong with the first broker that does not let us in; None if one does.

    Raises:
        UserError: the settings themselves cannot work (``kafka_security``).
    """
    asked = list(bootstrap(settings, until_one_answers=True))
    return None if any(one.reason is None for one in asked) else asked[0].reason


def bootstrap(
    settings: KafkaSettings, *, until_one_answers: bool = False
) -> Iterator[BootstrapAnswer]:
    """Every address of the bootstrap list, asked on a connection of its own. Raises UserError."""
    config = aiokafka_config(settings)
    if reason := _no_token(settings, config):
        yield BootstrapAnswer(settings.bootstrap, reason)
        return
    with ThreadPoolExecutor(1) as aside:  # the caller may be inside an event loop of its own
        for address in settings.bootstrap.split(","):
            asked = aside.submit(asyncio.run, _ask(settings, address.strip(), config)).result()
            yield asked
            if until_one_answers and asked.reason is None:
                return


def _no_token(settings: KafkaSettings, config: Mapping[str, object]) -> str | None:
    if TOKENS not in config:
        return None
    from streamrec.infra.wire.kafka_tokens import NoToken, keeper  # noqa: PLC0415

    try:
        keeper(settings).token()
    except NoToken as error:
        return str(error)
    return None


async def _ask(settings: KafkaSettings, address: str, config: dict[str, object]) -> BootstrapAnswer:
    host, _, port = address.rpartition(":")
    known = (host, int(port)) if host and port.isdigit() else (address, _PORT)
    try:
        async with asyncio.timeout(ASK_MS / 1000):
            connection = await create_conn(*known, request_timeout_ms=ASK_MS, **config)
            try:
                # one that wants SASL hangs up here; one that refuses a token knows no broker, as
                # aiokafka takes its refusal for the end of the talk
                answer = await connection.send(MetadataRequest([]))
            finally:
                connection.close()
    except (KafkaError, OSError, TimeoutError) as error:
        return BootstrapAnswer(address, _sentence(settings, error))
    if TOKENS in config and not answer.brokers:
        return BootstrapAnswer(address, REFUSED_TOKEN)
    brokers = frozenset(f"{host}:{port}" for _, host, port, *_ in answer.brokers)
    return BootstrapAnswer(address, None, brokers)


def _sentence(settings: KafkaSettings, error: BaseException) -> str:
    cause = error if isinstance(error, OSError) else error.__cause__ or error.__context__
    if isinstance(cause, ssl.SSLError):
        return _of_tls(settings, cause)
    if isinstance(error, SaslAuthenticationFailed | UnsupportedSaslMechanismError):
        return _of_sasl(settings, error)
    if isinstance(cause, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(error, socket.gaierror):
        return f"{error.strerror}: no such host"
    return (
        f"no answer when spoken to as {settings.security_protocol}: is "
        "STREAMREC_KAFKA_SECURITY_PROTOCOL what this port wants?"
    )


def _of_sasl(settings: KafkaSettings, error: KafkaError) -> str:
    mechanism = settings.sasl_mechanism
    if isinstance(error, UnsupportedSaslMechanismError):
        return f"it does not take STREAMREC_KAFKA_SASL_MECHANISM {mechanism}"
    if mechanism == "OAUTHBEARER":
        return REFUSED_TOKEN
    return (
        f"it refuses {settings.sasl_username!r} by {mechanism}: "
        "STREAMREC_KAFKA_SASL_USERNAME or STREAMREC_KAFKA_SASL_PASSWORD is wrong"
    )


def _of_tls(settings: KafkaSettings, error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        trusted = settings.ssl_cafile or "not set, so this machine's own are trusted"
        return (
            f"its certificate is not to be trusted ({error.verify_message}); "
            f"STREAMREC_KAFKA_SSL_CAFILE is {trusted}"
        )
    if "CERTIFICATE" in str(error.reason):
        ours = settings.ssl_certfile or "not set"
        return (
            f"it refuses our certificate ({error.reason}); STREAMREC_KAFKA_SSL_CERTFILE is {ours}"
        )
    return f"no TLS there ({error.reason}): is STREAMREC_KAFKA_SECURITY_PROTOCOL right?"
