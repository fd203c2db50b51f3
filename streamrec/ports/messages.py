"""Messages in and out, and the two feeds that are not the feature worker's.

Topics are short names; does not know prefixes, groups or formats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from streamrec.core.events import Recommendation, Request, UserUpdate
from streamrec.core.examples import TrainingBatch
from streamrec.core.tasks import RANKING
from streamrec.errors import Refused
from streamrec.ports.tracing import Header

EXAMPLE = "example"
"""Not a topic: one example of a mini-batch, as a ``Codec`` writes it into an outbox."""


class Codec(Protocol):
    """Values to wire bytes and back; ``infra.wire.codec`` is the real one.

    Topics are short names, or ``EXAMPLE``.
    """

    def encode(self, topic: str, value: object) -> bytes: ...

    def encode_batch(self, topic: str, batch: TrainingBatch, encoded: Sequence[bytes]) -> bytes:
        """The same of a mini-batch whose examples are encoded already, each as an ``EXAMPLE``."""
        ...

    def decode(self, topic: str, data: bytes) -> Any:
        """The value. Raises Refused, and nothing else, whatever the bytes."""
        ...

    def ids(self, key: bytes) -> Sequence[str]:
        """The ids that a message's key may mean, as it stands first. Raises Refused."""
        ...


class Publisher(Protocol):
    """Sends to Kafka. Topics are short names ("dead-letter"); the prefix is a setting.

    ``failures``: messages handed over that Kafka has not taken, ever. One ``publish`` or ``flush``
    raises for them; whose they were, nobody says.
    """

    failures: int

    def publish(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[Header] = (),
    ) -> None:
        """Hand over a message; it is on its way, not yet acknowledged."""
        ...

    def flush(self) -> None:
        """Return when everything handed over is acknowledged. Raises Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Delivered:
    """One message of what asks for answers; Refused where it could not be read."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    data: bytes
    value: UserUpdate | Request | Recommendation | Refused
    traceparent: str = ""


class FollowedRecord(NamedTuple):
    """One message. ``value`` is decoded; ``Refused`` where that was not possible.

    ``task``: whose mini-batch it is; every other topic is of no task. ``stamped_by_broker``: the
    timestamp is by the broker's clock.
    """

    topic: str  # short name
    partition: int
    offset: int
    timestamp_ms: int
    value: Any
    task: str = RANKING
    stamped_by_broker: bool = False


class TriggerFeed(Protocol):
    """What asks for recommendations, shared out among the serving workers.

    Requests come before updates. ``superseded``: updates passed over so far, because a later one of
    their user was waiting too.

    Raises (every method): Unavailable when Kafka does not answer.
    """

    @property
    def superseded(self) -> int: ...

    def poll(self, timeout_s: float, limit: int) -> list[Delivered]:
        """The next messages, at most ``limit``; none if nothing came in time."""
        ...

    def stay(self, timeout_s: float) -> None:
        """Wait, staying a member of the group, without taking messages."""
        ...

    def commit(self) -> None:
        """Everything polled so far is answered."""
        ...

    def lag(self) -> Mapping[str, int]:
        """Messages of our partitions that have not been polled, by topic."""
        ...


@dataclass(frozen=True, slots=True)
class DeliveredBatch:
    """One message of ``training-batches``; ``batch`` is a Refused where it could not be read."""

    offset: int
    key: bytes | None
    data: bytes
    batch: TrainingBatch | Refused
    traceparent: str = ""
    timestamp_ms: int = 0  # Kafka's; 0: it is not told


class BatchFeed(Protocol):
    """A task's part of ``training-batches`` in its one order, from wherever it is told to start.

    Raises (every method): Unavailable when Kafka does not answer.
    """

    def seek(self, offset: int) -> int:
        """Start at ``offset``, or at the first batch still kept after it: where that is.

        Raises UserError when the topic ends before ``offset``: it was made anew.
        """
        ...

    def poll(self, timeout_s: float, limit: int) -> list[DeliveredBatch]:
        """The next batches, at most ``limit``; none if nothing came in time."""
        ...

    def lag(self) -> int:
        """Messages in the topic that have not been passed, all tasks' together."""
        ...
