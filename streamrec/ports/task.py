"""What a task must answer, so that the loop can carry it.

The loop folds, trains, judges, releases, serves and takes back; it knows no task. A task is a
folder in ``tasks/`` that says what is learned and what is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from streamrec.core import topics
from streamrec.core.examples import TrainingBatch
from streamrec.core.release.gate import Verdict
from streamrec.core.release.manifest import Manifest
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.state.counters import Counter
from streamrec.core.state.example_maker import ExampleMaker
from streamrec.core.state.statistics import Statistics
from streamrec.ports.example_format import ExampleFormat
from streamrec.ports.messages import Delivered
from streamrec.ports.serving import HotSwap
from streamrec.ports.training import Generations, Learner, NewStart


class Judge(Protocol):
    """Candidate against champion, in the task's own terms."""

    def judge(self, example: Any, candidate: Any, champion: Any, anchor: Any | None) -> Any:
        """What one fresh example says; the others are what each scorer says of it.

        ``anchor``: of a former champion, where there is one.
        """
        ...

    def verdict(
        self, judged: Sequence[Any], champion: str, norms: Mapping[str, float], anchor: str | None
    ) -> Verdict:
        """The decision over what ``judge`` said; ``champion`` and ``anchor``: their names."""
        ...


TRIGGERS = (topics.USER_UPDATES, topics.REQUESTS)
"""Topics that ask for lists."""

MODEL_FAULTS = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
"""What broken weights or code make a model raise."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Something that must be answered, and the message that asks for it."""

    message: Delivered
    user_id: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One message to be published, and what of it is measured.

    ``empty``: it says nothing though there was something to say. ``unmet``: there was nothing,
    whoever answers; it counts neither for nor against a generation. ``beside``: what is published
    with it, by topic.
    """

    asked: Asked
    topic: str
    value: object
    generation: str
    triggered_at_ms: int
    empty: bool = False
    unmet: bool = False
    beside: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answered:
    """Of what was asked. An update about which there is nothing to say has no answer."""

    answers: Sequence[Answer]
    empty: int = 0  # without anything in them, published or not, though there was something
    unmet: Mapping[str, int] = field(default_factory=dict)  # why there was nothing -> how often
    fallbacks: Mapping[str, int] = field(default_factory=dict)  # why no model answered -> how often
    unread: Mapping[str, int] = field(default_factory=dict)  # why a text was not read -> how often


class Answerer(Protocol):
    """A task in a serving worker. One thread answers, another refreshes."""

    @property
    def catalogue(self) -> Catalogue:
        """The items that answers are about, as of the last refresh."""
        ...

    def refresh(self) -> int:
        """Take in what has changed; returns how much. Raises Unavailable."""
        ...

    def asked(self, batch: Sequence[Delivered]) -> tuple[Sequence[Any], int]:
        """What a micro-batch asks for, each an ``Asked``; how many others stand for more."""
        ...

    def answer(self, asked: Sequence[Any], model: Any) -> Answered:
        """All by one generation. Raises Unavailable, MODEL_FAULTS when the model is broken."""
        ...

    def sound(self, model: Any) -> bool:
        """Whether the model can answer somebody who has never been seen."""
        ...


class TrafficWatch(Protocol):
    """Whether this still is the traffic we know. Kept over restarts by ``to_record``."""

    @property
    def alarm(self) -> Sequence[object]:
        """What is unusual, in words as ``str``; empty while nothing is."""
        ...

    @property
    def windows(self) -> int:
        """How many windows of traffic were looked at."""
        ...

    def observe(self, examples: Sequence[Any]) -> bool:
        """Take in examples, in order; whether the alarm was raised or ended by them."""
        ...

    def accept(self) -> None:
        """What is unusual now is usual from here on."""
        ...

    def to_record(self) -> Mapping[str, Any]: ...

    def load(self, record: Mapping[str, Any]) -> None:
        """Go on from ``to_record``. Raises KeyError, TypeError, ValueError."""
        ...


MakeExamples = Callable[[int, Catalogue, Statistics], ExampleMaker]
"""Of a partition: its number, and what all partitions of a worker share."""


@dataclass(frozen=True, slots=True)
class ExampleSource:
    """Who makes a task's examples in a feature worker.

    ``counters``: what its statistics count beside what is counted for all of them.
    """

    task: str
    format: ExampleFormat
    make: MakeExamples
    counters: Sequence[Counter] = ()


@dataclass(frozen=True, slots=True)
class Training:
    """What a trainer learns a task with.

    ``check`` raises InvalidField for a batch that cannot be learned. ``clicks``: whether clicks on
    recommendations tell how good its answers are, for canaries and guards. ``start_from``: the
    generation whose weights the untrained learner has. ``made_with``: versions, processor and
    threads that its weights depend on. ``distance``: how far the weights in one directory are from
    those in another, relative, by group. ``new_start``: how it begins where its settings were
    changed, or its checkpoints are gone. ``gauges``: what more its worker tells of itself.
    """

    learner: Learner
    generations: Generations
    judge: Judge
    check: Callable[[TrainingBatch], None]
    watch: TrafficWatch | None = None
    clicks: bool = False
    start_from: str | None = None
    made_with: Mapping[str, str] = field(default_factory=dict)
    distance: Callable[[Path, Path], Mapping[str, float]] = lambda _, __: {}
    new_start: NewStart = NewStart()
    gauges: Callable[[], Mapping[str, float]] = dict


@dataclass(frozen=True, slots=True)
class Serving:
    """What a serving worker answers a task with.

    ``beside``: by task, those of others whose champions the answers use. ``triggers``: topics that
    ask for answers. ``at_once``: messages of a micro-batch; None: as many as of lists. ``always``:
    also what is old is answered. ``gauges``: what more its worker tells of itself.
    """

    answerer: Answerer
    swap: HotSwap
    beside: Mapping[str, HotSwap] = field(default_factory=dict)
    triggers: Sequence[str] = TRIGGERS
    at_once: int | None = None
    always: bool = False
    gauges: Callable[[], Mapping[str, float]] = dict


Context_contra = TypeVar("Context_contra", contravariant=True)
Settings_contra = TypeVar("Settings_contra", contravariant=True)


class Task(Protocol[Context_contra, Settings_contra]):
    """One thing to be learned and answered. Each method is called in another kind of process.

    A context is what the process lends (``apps.worker_context``).
    """

    @property
    def examples(self) -> ExampleSource:
        """Of a feature worker; its ``task`` is our name."""
        ...

    def training(self, context: Context_contra) -> Training:
        """Of a trainer; what must be closed in the end is given to the context."""
        ...

    def again(self, settings: Settings_contra, manifest: Manifest) -> Training:
        """Untrained, as it was when the manifest's generation was made, to make that again.

        Raises UserError when this version or these settings cannot.
        """
        ...

    def serving(self, context: Context_contra) -> Serving:
        """Of a serving worker."""
        ...
