"""Plays a click stream onto the topic ``events`` at a steady rate, with a little dirt in it.

Knows the rate and what has been sent. The caller says how late it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from streamrec.core import topics
from streamrec.core.events import Interaction
from streamrec.ports import Codec, Publisher

BURST_S = 0.5
"""After a pause at most this much is caught up at once; the rest of the pause is lost."""

JUNK = (
    b"clicked on something, I think",
    b'{"event_id": "x", "user_id": "1", "kind": "click", "occurred_at": 881250949}',
    b'{"event_id": "x", "user_id": "1", "item_id": "1", "kind": "stare", "occurred_at": 1e9}',
    b'{"event_id": "x", "user_id": "1", "item_id": "1", "kind": "click", "occurred_at": "soon"}',
    b"\xc3\x01\x00\x01\x02\x03\x04\x05\x06\x07 nobody's schema",
)
"""What every real topic holds sooner or later: no JSON, a field missing, an unknown kind, an
unreadable time, an unknown schema."""


class Player:
    """Sends ``interactions`` in order; one piece of junk after every ``junk_every`` of them."""

    def __init__(
        self,
        interactions: Sequence[Interaction],
        codec: Codec,
        publisher: Publisher,
        rate: float,
        junk_every: int = 500,
    ) -> None:
        self._interactions = interactions
        self._codec = codec
        self._publisher = publisher
        self._rate = rate
        self._junk_every = junk_every
        self._junk_sent = 0
        self._sent = 0
        self._forgiven_s = 0.0

    @property
    def sent(self) -> int:
        """Messages sent, junk included."""
        return self._sent + self._junk_sent

    @property
    def finished(self) -> bool:
        return self._sent == len(self._interactions)

    def play(self, elapsed_s: float) -> None:
        """Send what is due ``elapsed_s`` after the start, and wait until it is acknowledged.

        Raises Unavailable when Kafka does not take it.
        """
        behind_s = elapsed_s - self._forgiven_s - self._sent / self._rate
        self._forgiven_s += max(0.0, behind_s - BURST_S)
        due = int(min(behind_s, BURST_S) * self._rate + 1e-6)  # 0.1 s at 100/s is 10, not 9.99
        for event in self._interactions[self._sent : self._sent + due]:
            data = self._codec.encode(topics.EVENTS, event)
            self._publisher.publish(topics.EVENTS, event.user_id.encode(), data)
            self._sent += 1
            if self._sent % self._junk_every == 0 and self._junk_sent < len(JUNK):
                self._publisher.publish(topics.EVENTS, b"junk", JUNK[self._junk_sent])
                self._junk_sent += 1
        self._publisher.flush()
