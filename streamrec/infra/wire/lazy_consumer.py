"""A consumer that is made at first use, and made anew once it is in doubt.

Knows when a consumer must be thrown away: after an answer that cannot be decoded nobody can say
what the next one belongs to. Where a new one begins, whoever makes it knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

from kafka import KafkaConsumer
from kafka.errors import KafkaError

from streamrec.infra.wire.kafka import UNDECODABLE, Garbled

CLOSE_TIMEOUT_MS = 3_000


class LazyConsumer:
    """At most one consumer at a time, for one thread."""

    def __init__(self, make: Callable[[], KafkaConsumer]) -> None:
        """``make``: assigned or subscribed, and standing where it should. It may raise."""
        self._make = make
        self._made: KafkaConsumer | None = None

    def get(self) -> KafkaConsumer:
        """The consumer. Raises what making it raises."""
        if self._made is None:
            self._made = self._make()
        return self._made

    @contextmanager
    def asked(self, errors: AbstractContextManager[None]) -> Iterator[KafkaConsumer]:
        """The consumer, for a block inside ``errors``; after ``Garbled`` it is gone."""
        consumer = self.get()
        try:
            with errors:
                yield consumer
        except Garbled:
            self.drop()
            raise

    def drop(self) -> None:
        """Throw it away, without committing; whatever closing it raises is done with."""
        consumer, self._made = self._made, None
        if consumer is not None:
            with suppress(KafkaError, OSError, RuntimeError, *UNDECODABLE):
                consumer.close(autocommit=False, timeout_ms=CLOSE_TIMEOUT_MS)

    def close(self) -> None:
        """Leave, at once; a group hears of it unless it is in the middle of a rebalance."""
        consumer, self._made = self._made, None
        if consumer is not None:
            consumer.close(autocommit=False, timeout_ms=CLOSE_TIMEOUT_MS)
