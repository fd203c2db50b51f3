"""A producer of transactions that takes one in five back, and sends the same again.

Whoever reads what was taken back counts it twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from kafka import KafkaProducer
from kafka.errors import KafkaError

from streamrec.errors import Unavailable
from streamrec.infra.wire.kafka import full_name, kafka_errors, make_producer
from streamrec.ports.tracing import Header
from streamrec.settings import KafkaSettings

TAKEN_BACK = 5
"""Of so many transactions, the first is aborted before it is committed."""
PATIENCE_MS = 120_000
"""For a broker that was killed: giving up a commit would leave open whether it was one."""


FLUSH_S = 10.0
"""Before a commit is asked for, giving up leaves nothing open. kafka-python now and then never
sends what it held while the broker was away."""


class TransactionalPublisher:
    """``ports.Publisher``: what is handed over goes out with the next ``flush``, all or nothing."""

    failures = 0

    def __init__(self, settings: KafkaSettings, client_id: str) -> None:
        self.taken_back = 0
        self._settings = settings
        self._client_id = client_id
        self._held: list[tuple[str, bytes | None, bytes | None, Sequence[Header]]] = []
        self._count = 0
        self._producer: KafkaProducer | None = None

    def publish(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[Header] = (),
    ) -> None:
        self._held.append((full_name(self._settings, topic), key, value, headers))

    def flush(self) -> None:
        """Return when it is committed. Raises Unavailable; it may then be called again."""
        if not self._held:
            return
        try:
            with kafka_errors(self._settings, "ending a transaction"):
                if self._count % TAKEN_BACK == 0:
                    self._begun().abort_transaction()
                    self.taken_back += 1
                self._begun().commit_transaction()
        except Unavailable:
            self.close()
            raise
        self._count += 1
        self._held.clear()

    def close(self) -> None:
        """Let go; a transaction that is open is taken back."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaError):
                producer.close(timeout=1)

    def _begun(self) -> KafkaProducer:
        """In a transaction that holds everything held, acknowledged."""
        if self._producer is None:
            self._producer = make_producer(
                self._settings,
                self._client_id,
                transactional_id=full_name(self._settings, self._client_id),
                max_block_ms=PATIENCE_MS,
            )
            self._producer.init_transactions()
        self._producer.begin_transaction()
        for name, key, value, headers in self._held:
            self._producer.send(name, key=key, value=value, headers=list(headers))
        self._producer.flush(timeout=FLUSH_S)
        return self._producer
