"""Why Kafka does not let us in, in a sentence a person can act on.

kafka-python tries for ten seconds and then says "unable to bootstrap", whatever the reason
was. This asks the same brokers once more, by aiokafka's bare connection, which names it:
nobody there, no TLS, a certificate we do not trust, a password refused. Knows no topic.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor

from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError, SaslAuthenticationFailed, UnsupportedSaslMechanismError
from aiokafka.protocol.metadata import MetadataRequest

from streamrec.infra.wire.kafka_security import security_config
from streamrec.settings import KafkaSettings

ASK_MS = 3_000
_PORT = 9092


def why_no_kafka(settings: KafkaSettings) -> str | None:
    """What is wrong with the first broker that does not let us in; None if one does.

    Raises:
        UserError: the settings themselves cannot work (``kafka_security``).
    """
    config = security_config(settings)
    reasons = []
    with ThreadPoolExecutor(1) as aside:  # the caller may be inside an event loop of its own
        for address in settings.bootstrap.split(","):
            reason = aside.submit(asyncio.run, _ask(settings, address.strip(), config)).result()
            if reason is None:
                return None
            reasons.append(reason)
    return reasons[0]


async def _ask(settings: KafkaSettings, address: str, config: dict[str, object]) -> str | None:
    host, _, port = address.rpartition(":")
    known = (host, int(port)) if host and port.isdigit() else (address, _PORT)
    try:
        async with asyncio.timeout(ASK_MS / 1000):
            connection = await create_conn(*known, request_timeout_ms=ASK_MS, **config)
            try:
                await connection.send(MetadataRequest([]))  # one that wants SASL hangs up here
            finally:
                connection.close()
    except (KafkaError, OSError, TimeoutError) as error:
        return _sentence(settings, error)
    return None


def _sentence(settings: KafkaSettings, error: BaseException) -> str:
    cause = error if isinstance(error, OSError) else error.__cause__ or error.__context__
    if isinstance(cause, ssl.SSLError):
        return _of_tls(settings, cause)
    if isinstance(error, SaslAuthenticationFailed):
        return (
            f"it refuses {settings.sasl_username!r} by {settings.sasl_mechanism}: "
            "STREAMREC_KAFKA_SASL_USERNAME or STREAMREC_KAFKA_SASL_PASSWORD is wrong"
        )
    if isinstance(error, UnsupportedSaslMechanismError):
        return f"it does not take STREAMREC_KAFKA_SASL_MECHANISM {settings.sasl_mechanism}"
    if isinstance(cause, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(error, socket.gaierror):
        return f"{error.strerror}: no such host"
    return (
        f"no answer when spoken to as {settings.security_protocol}: is "
        "STREAMREC_KAFKA_SECURITY_PROTOCOL what this port wants?"
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
