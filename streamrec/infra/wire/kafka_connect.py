"""A repair of kafka-python 3.0.12: a client that cannot connect must leave nothing behind.

When no broker answers, the constructors of ``KafkaConsumer`` and ``KafkaAdminClient`` raise
but leave their I/O thread running, with its sockets: a worker that retries once a second
while Kafka is down would run out of both (docs/adr/0011).
"""

from __future__ import annotations

import contextlib
from typing import Any, TypeVar

from kafka.errors import KafkaError

Client = TypeVar("Client")


def connect(kind: type[Client], **config: Any) -> Client:
    """``kind(**config)``, cleaned up after when it fails.

    Raises:
        KafkaError: what the constructor raised.
    """
    client = kind.__new__(kind)
    try:
        client.__init__(**config)  # type: ignore[misc]
    except BaseException:
        inner: Any = getattr(client, "_client", None)
        if inner is not None:
            with contextlib.suppress(KafkaError, OSError, RuntimeError):
                inner.close()
            inner._manager._net.stop()
        raise
    return client


__all__ = ["connect"]
