"""Dead letters: read, sent again, and remembered as sent.

Does not know how dead letters are named or counted (``core.dead_letters``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from streamrec.core.dead_letters import DeadLetterPosition, DeadLetterRecord, Origin, Resent


class DeadLetterLog(Protocol):
    """The dead-letter topic as far as it goes now. Raises (every method): Unavailable."""

    def read(self, since_ms: int = 0) -> Iterator[DeadLetterRecord]:
        """Dead letters the topic still holds, oldest first, published from ``since_ms`` on."""
        ...

    def at(self, position: DeadLetterPosition) -> DeadLetterRecord | None:
        """The dead letter at exactly this place; None when there is none (any more)."""
        ...


class Producer(Protocol):
    """Sends one message at a time."""

    def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Mapping[str, str]
    ) -> Origin:
        """Where the message stands, once Kafka has acknowledged it.

        Raises Unavailable, TooLarge.
        """
        ...


class ResendLedger(Protocol):
    """Which dead letters were sent again, by whom, and where they are now. Raises Unavailable."""

    def claim(self, resent: Resent) -> Resent | None:
        """Write it down before sending; whose claim was there first, if anybody's."""
        ...

    def confirm(self, resent: Resent) -> None:
        """Kafka has taken it; ``resent.to`` says where."""
        ...

    def withdraw(self, letter: DeadLetterPosition) -> None:
        """It was certainly not sent."""
        ...

    def all(self) -> Mapping[DeadLetterPosition, Resent]: ...
