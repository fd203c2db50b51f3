"""What the stages ask of the outside world, as Protocols.

The real things live in ``infra``, the fakes in ``tests/fakes``; one contract suite runs
over both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from streamrec.core.catalogue import Catalogue
from streamrec.core.events import Request, Source, UserUpdate
from streamrec.core.examples import Example, FloatArray, TrainingBatch
from streamrec.core.features import FeatureMaker
from streamrec.core.registry import ControlRecord
from streamrec.core.user_state import UserState
from streamrec.errors import Refused


class Clock(Protocol):
    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        ...


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
    """Everything one commit changes, all or nothing.

    ``users`` are read one by one; ``rows`` are shared statistics (or catalogue items) that
    readers mirror (``PartitionStore.read_rows``); ``updates`` and ``examples`` go to the
    outboxes of the same names.
    """

    users: Mapping[str, Record] = field(default_factory=dict)
    rows: Mapping[str, Record] = field(default_factory=dict)
    updates: Sequence[OutboxEntry] = ()
    examples: Sequence[OutboxEntry] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """Rows of a source touched since some position."""

    position: int  # ask for changes since this one next time
    rows: Mapping[str, Record]


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

    def outbox(self, source: Source, name: str, limit: int) -> list[OutboxEntry]:
        """The oldest unpublished entries of the outbox ``updates`` or ``examples``."""
        ...

    def trim_outbox(self, source: Source, name: str, through: OutboxEntry) -> None:
        """Forget entries up to and including ``through``: they were acknowledged."""
        ...


EXAMPLE = "example"
"""Not a topic: one example of a mini-batch, as an ``Encoder`` writes it into an outbox."""


class Encoder(Protocol):
    """Values to wire bytes; ``infra.codec`` is the real one."""

    def encode(self, topic: str, value: object) -> bytes: ...


class Codec(Encoder, Protocol):
    """Values to wire bytes and back. Topics are short names, or ``EXAMPLE``."""

    def decode(self, topic: str, data: bytes) -> Any:
        """The value. Raises Refused, and nothing else, whatever the bytes."""
        ...


class Publisher(Protocol):
    """Sends to Kafka. Topics are short names ("dead-letter"); the prefix is a setting."""

    def publish(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        """Hand over a message; it is on its way, not yet acknowledged."""
        ...

    def flush(self) -> None:
        """Return when everything handed over is acknowledged. Raises Unavailable."""
        ...


class ControlLog(Protocol):
    """The one-partition log the workers obey. One instance belongs to one thread."""

    def latest(self) -> ControlRecord | None:
        """The newest accepted record, having read to the end. Raises Unavailable."""
        ...

    def poll(self, timeout_s: float) -> ControlRecord | None:
        """Wait at most so long for news: the newest record accepted since the last read."""
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


class RegistryStore(Protocol):
    """Immutable generation directories by id."""

    def put(self, generation: str, directory: Path) -> None:
        """Copy a finished directory in; it becomes visible whole or not at all."""
        ...

    def get(self, generation: str) -> Path:
        """A local directory holding the generation. Raises GenerationRefused if unknown."""
        ...

    def generations(self) -> list[str]: ...


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
    refused: Mapping[str, str] = field(default_factory=dict)  # generation -> why
    revision: int = 0  # control-log revision obeyed
    gauges: Mapping[str, float] = field(default_factory=dict)  # counts, rates, ages


class Fleet(Protocol):
    """Who is alive and what they serve."""

    def beat(self, status: WorkerStatus) -> None: ...

    def leave(self, worker_id: str) -> None: ...

    def workers(self) -> Iterator[WorkerStatus]:
        """Workers that have said something lately."""
        ...


class ServingModel(Protocol):
    """One generation, whole and checked, ready to rank.

    Its weights never change. Its item vectors follow the catalogue (``HotSwap.ensure``);
    one call sees one state of them. Shapes: B users, Q texts, N catalogue rows that
    ``features`` was made of.
    """

    @property
    def generation(self) -> str: ...

    @property
    def trained_through(self) -> Mapping[str, int]:
        """Source partition (as text) -> next offset it was not trained on."""
        ...

    def rank(
        self, users: Sequence[UserState], now_ms: Sequence[int], features: FeatureMaker
    ) -> FloatArray:
        """Scores (B, N) of every catalogue row for each user; more is better."""
        ...

    def probability(self, scores: FloatArray) -> FloatArray:
        """P(accept | shown) of scores, of any shape; keeps their order."""
        ...

    def query_similarities(self, queries: Sequence[str], rows: int) -> FloatArray:
        """Cosine of each text with the first ``rows`` catalogue rows: (Q, rows)."""
        ...


class HotSwap(Protocol):
    """The generations a serving worker holds in memory. Safe to call from several threads."""

    @property
    def active(self) -> ServingModel | None: ...

    def stage(self, generation: str, directory: Path, catalogue: Catalogue) -> None:
        """Check and load it whole and encode the catalogue, beside what is active.

        May take seconds; repeating it for a warm generation is free. Raises GenerationRefused.
        """
        ...

    def is_warm(self, generation: str) -> bool:
        """Whether ``activate`` would succeed at once."""
        ...

    def activate(self, generation: str) -> None:
        """Flip one reference. Raises GenerationRefused when it is not warm."""
        ...

    def keep(self, generations: Sequence[str]) -> None:
        """Forget warm generations that are neither named here nor active."""
        ...

    def ensure(self, catalogue: Catalogue) -> int:
        """Encode new and changed items for every warm generation; returns how many."""
        ...


@dataclass(frozen=True, slots=True)
class Delivered:
    """One message of ``user-updates`` or ``requests``; Refused where it could not be read."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    data: bytes
    value: UserUpdate | Request | Refused


class TriggerFeed(Protocol):
    """What asks for recommendations, shared out among the serving workers.

    Raises (every method): Unavailable when Kafka does not answer.
    """

    def poll(self, timeout_s: float, limit: int) -> list[Delivered]:
        """The next messages, at most ``limit``; none if nothing came in time."""
        ...

    def stay(self, timeout_s: float) -> None:
        """Wait, staying a member of the group, without taking messages."""
        ...

    def commit(self) -> None:
        """Everything polled so far is answered."""
        ...

    def lag(self) -> int:
        """Messages of our partitions that have not been polled."""
        ...


@dataclass(frozen=True, slots=True)
class LearnReport:
    """What one call of ``Learner.learn`` did."""

    examples: int
    steps: int  # optimiser steps of the fast lane (head)
    encoder_steps: int  # optimiser steps of the slow lane (encoder adapter)
    losses: Mapping[str, float]  # mean loss by name, over the steps taken


class Scorer(Protocol):
    """Frozen weights of one generation that can score logged examples."""

    def score(self, examples: Sequence[Example]) -> list[FloatArray]:
        """P(accept | shown) of each example's candidates: one (C,) array each."""
        ...


class Learner(Protocol):
    """The weights being trained, and everything needed to resume."""

    def learn(self, examples: Sequence[Example]) -> LearnReport:
        """Take the steps that these examples are due, replaying older ones beside them."""
        ...

    def snapshot(self) -> Scorer:
        """An immutable copy of the current weights."""
        ...

    def write_generation(self, scorer: Scorer, directory: Path) -> None:
        """Write the snapshot's weight files (adapter, head) in the generation layout."""
        ...

    def save(self, directory: Path) -> None:
        """Everything a resume needs: weights, optimisers, random state, replay memory."""
        ...

    def load(self, directory: Path) -> None:
        """Resume from ``save``. Raises GenerationRefused when a file is missing or wrong."""
        ...


@dataclass(frozen=True, slots=True)
class DeliveredBatch:
    """One message of ``training-batches``; ``batch`` is a Refused where it could not be read."""

    offset: int
    key: bytes | None
    data: bytes
    batch: TrainingBatch | Refused


class BatchFeed(Protocol):
    """The topic ``training-batches`` in its one order, from wherever it is told to start.

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
        """Batches in the topic that have not been polled."""
        ...


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """``record`` is what was saved; ``directory`` holds the learner's files."""

    record: Record
    directory: Path


class Checkpoints(Protocol):
    """Places to resume from. The newest whole one counts."""

    def save(self, record: Record, write: Callable[[Path], None]) -> None:
        """Keep ``record`` and the files that ``write`` puts into a directory, or neither."""
        ...

    def newest(self) -> Checkpoint | None: ...


class Scalars(Protocol):
    """Curves for people: one point per step on each."""

    def write(self, step: int, values: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a generation comes from: what its manifest says beside names and digests."""

    sequence: int
    parent: str | None  # the generation whose training this one continues
    offsets: Mapping[int, tuple[int, int]]  # source partition -> [from, to) since the parent
    holes: Mapping[int, Sequence[tuple[int, int]]]  # parts of them that were never trained
    training_batches: tuple[int, int]  # [from, to) of that topic, since the parent
    examples: int  # trained since the parent
    gate: Record | None  # the report and decision (``core.gate.to_record``)
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class Sealed:
    """A finished generation directory. ``digest`` is its manifest's."""

    generation: str
    digest: str


class Generations(Protocol):
    """Weight files to generation directories and back (``model.generation``)."""

    def seal(self, directory: Path, provenance: Provenance) -> Sealed:
        """Write the manifest over the weight files in ``directory``: it is finished."""
        ...

    def scorer(self, directory: Path) -> Scorer:
        """Load a finished one. Raises GenerationRefused when a check fails."""
        ...

    def norms(self, directory: Path, champion: Path | None) -> Mapping[str, float]:
        """How far its weights are from the champion's: ``update_norm/<file>``, relative."""
        ...
