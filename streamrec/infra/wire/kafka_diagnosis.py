"""Why Kafka does not let us in, in a sentence a person can act on.

kafka-python tries for ten seconds and then says "unable to bootstrap", whatever the reason
was. This asks the same brokers once more, by aiokafka's bare connection, which names it:
nobody there, no TLS, a certificate we do not trust, a password refused. Knows no topic.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError, SaslAuthenticationFailed, UnsupportedSaslMechanismError
from aiokafka.protocol.metadata import MetadataRequest

from streamrec.infra.wire.kafka_security import TOKENS, aiokafka_config
from streamrec.settings import KafkaSettings

ASK_MS = 3_000
REFUSED_TOKEN = "it refuses the token that we were given (who it is for, or from when to when)"  # noqa: S105 - said to people
_PORT = 9092


def why_no_kafka(settings: KafkaSettings) -> str | None:
    """What is wrong with the first broker that does not let us in; None if one does.

    Raises:
        UserError: the settings themselves cannot work (``kafka_security``).
    """
    config = aiokafka_config(settings)
    if reason := _no_token(settings, config):
        return reason
    reasons = []
    with ThreadPoolExecutor(1) as aside:  # the caller may be inside an event loop of its own
        for address in settings.bootstrap.split(","):
            reason = aside.submit(asyncio.run, _ask(settings, address.strip(), config)).result()
            if reason is None:
                return None
            reasons.append(reason)
    return reasons[0]


def _no_token(settings: KafkaSettings, config: Mapping[str, object]) -> str | None:
    if TOKENS not in config:
        return None
    from streamrec.infra.wire.kafka_tokens import NoToken, keeper  # noqa: PLC0415

    try:
        keeper(settings).token()
    except NoToken as error:
        return str(error)
    return None


async def _ask(settings: KafkaSettings, address: str, config: dict[str, object]) -> str | None:
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
        return _sentence(settings, error)
    return None if answer.brokers or TOKENS not in config else REFUSED_TOKEN


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
