"""State by source partition, as one commit leaves it.

Does not know what an event does to it (``core.state.fold``), nor that it is Redis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from streamrec.core.events import Source
from streamrec.core.state.source_log import SourceLog

Record = Mapping[str, Any]
"""A JSON-able mapping; the store turns it into bytes and back."""


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A message that must be published because of a commit. (offset, index) orders entries."""

    offset: int
    index: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Writes:
    """Everything one commit changes, all or nothing. None removes.

    ``users`` are read one by one; ``rows`` are shared statistics (or catalogue items) that
    readers mirror (``PartitionStore.read_rows``), ``own`` rows nobody mirrors; ``logs`` are bytes
    to append; ``outboxes``: messages caused, by name of the outbox.
    """

    users: Mapping[str, Record | None] = field(default_factory=dict)
    rows: Mapping[str, Record | None] = field(default_factory=dict)
    outboxes: Mapping[str, Sequence[OutboxEntry]] = field(default_factory=dict)
    own: Mapping[str, Record | None] = field(default_factory=dict)
    logs: Mapping[str, bytes | None] = field(default_factory=dict)
    seen_ms: Mapping[str, int] = field(
        default_factory=dict
    )  # of ``users``, if ``silent`` is to name them


@dataclass(frozen=True, slots=True)
class Changes:
    """Rows of a source touched since some position; None: removed."""

    position: int  # ask for changes since this one next time
    rows: Mapping[str, Record | None]
    whole: bool = False  # these are all rows there are: others that were known are gone


class PartitionStore(Protocol):
    """State that is a pure function of a source's log up to ``position``.

    All keys of a source share a hash tag, so that one script can change them atomically
    on Redis Cluster.

    Raises (every method): Unavailable when the store does not answer.
    """

    def position(self, source: Source) -> int:
        """The next offset to apply; 0 for a source never seen."""
        ...

    def commit(self, source: Source, expected: int, position: int, writes: Writes) -> None:
        """Apply ``writes`` and move the source from ``expected`` to ``position``.

        Raises PositionConflict, having changed nothing, when the source is elsewhere.
        Repeating a commit whose answer was lost is safe: it raises PositionConflict with
        ``actual == position``.
        """
        ...

    def read_users(
        self, source: Source, user_ids: Sequence[str]
    ) -> tuple[int, list[Record | None]]:
        """The source's position and the users' states at exactly that position."""
        ...

    def read_rows(self, source: Source, since: int) -> Changes:
        """Rows changed by commits that moved the position beyond ``since`` (0: all rows)."""
        ...

    def read_own(self, source: Source) -> Mapping[str, Record]:
        """All own rows."""
        ...

    def read_logs(self, source: Source, names: Sequence[str]) -> list[bytes]:
        """Logs whole; empty where there is none."""
        ...

    def silent(self, source: Source, until_ms: int, limit: int) -> list[tuple[int, str]]:
        """Users not seen after ``until_ms``, with when they were; by time, then by id."""
        ...

    def index_users(self, source: Source) -> None:
        """Let ``silent`` know of users that a version without it has written. Slow, once."""
        ...

    def outbox(self, source: Source, name: str, limit: int) -> list[OutboxEntry]:
        """The oldest unpublished entries of an outbox."""
        ...

    def log_of(self, source: Source) -> SourceLog:
        """Which log of the broker the source's state belongs to."""
        ...

    def keep_log(self, source: Source, log: SourceLog) -> None:
        """From now on it is this one; the position stays."""
        ...

    def trim_outbox(self, source: Source, name: str, through: OutboxEntry) -> None:
        """Forget entries up to and including ``through``: they were acknowledged."""
        ...
