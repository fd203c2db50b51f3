"""What is released, to whom, and who has said so.

Does not know what is in a generation, nor which change is allowed (``core.release.transitions``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from streamrec.core.release.registry import ControlRecord
from streamrec.core.tasks import RANKING


class ControlLog(Protocol):
    """One task's slot in the one-partition log that workers follow. An instance is one thread's."""

    def latest(self) -> ControlRecord | None:
        """The newest accepted record, having read to the end. Raises Unavailable."""
        ...

    def poll(self, timeout_s: float) -> ControlRecord | None:
        """Wait at most so long for news: the newest record accepted since the last read."""
        ...

    def prepare(self) -> None:
        """Connect for writing, before the read that ``append`` stands on. Raises Unavailable."""
        ...

    def append(self, record: ControlRecord) -> None:
        """Write the record and see it accepted.

        Raises RegistryConflict when another writer was first (the log has been repaired),
        Unavailable when the log did not answer (the record may or may not be in it).
        """
        ...

    def records(self) -> list[ControlRecord]:
        """Every accepted record the log still holds, oldest first. Raises Unavailable."""
        ...

    def tasks(self) -> list[str]:
        """Those that the log has records of, by name. Raises Unavailable."""
        ...


class RegistryStore(Protocol):
    """Immutable generation directories by id."""

    def put(self, generation: str, directory: Path) -> None:
        """Copy a finished directory in; it becomes visible whole or not at all."""
        ...

    def get(self, generation: str) -> Path:
        """A local directory holding the generation. Raises GenerationRefused if unknown."""
        ...

    def generations(self) -> list[str]: ...


FRESH = "fresh/"
"""Gauges of the parts of an event's way to the last activation begin so; in seconds."""
LAG = "lag/"
"""Gauges of what a worker has not read yet begin so; then the topic."""
FALLBACK = "fallback_"
"""Gauges of replies that a template made begin so; then why."""
UNREAD = "unread_"
"""Gauges of queries that lists do not keep to begin so; then why."""


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """What a worker says of itself, about once a second and at every change."""

    worker_id: str
    role: str  # "features" | "trainer" | "serving"
    host: str
    pid: int
    started_at_ms: int
    beat_at_ms: int
    active: str | None = None  # generation in use
    staged: str | None = None  # generation loaded and ready
    canary: str | None = None  # generation that answers its share of the users here
    refused: Mapping[str, str] = field(default_factory=dict)  # generation -> why
    revision: int = 0  # control-log revision observed
    gauges: Mapping[str, float] = field(default_factory=dict)  # counts, rates, ages
    snapshots: Sequence[str] = ()  # generations a trainer can go back to
    levels: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by generation
    task: str = RANKING  # that it trains or serves; a features worker makes examples for all


class Fleet(Protocol):
    """Who is alive and what they serve: everybody, or the workers of one task."""

    def beat(self, status: WorkerStatus) -> None: ...

    def leave(self, worker_id: str) -> None:
        """Be gone at once, if that can be said; never raises: silence says the same, later."""
        ...

    def workers(self) -> Iterator[WorkerStatus]:
        """Workers that have said something lately."""
        ...
