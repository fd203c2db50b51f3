"""Dead letters sent again, and remembered as sent.

Does not know how dead letters are named or counted (``core.dead_letters``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from streamrec.core.dead_letters import DeadLetterPosition, Origin, Resent

Send = Callable[[str, bytes | None, bytes | None, Mapping[str, str]], Origin]
"""Topic, key, value and headers of one message to where it stands, once Kafka has acknowledged
it. Raises Unavailable, TooLarge."""


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
