"""What the loop asks of the outside world, as Protocols.

state.py            state by source partition: read, commit, outboxes
messages.py         bytes to values and back, the publisher, the feeds
releases.py         control log, registry, fleet
serving.py          generations that rank, and their swap
training.py         the learner, checkpoints, generations being made, who is told
clock.py            what time it is
tracing.py          how one message led to the next: spans, and what travels in a header
dead_letters.py     dead letters: read, sent again, and remembered as sent
task.py             what a task must answer, so that the loop can carry it
meter.py            what stages measure for monitoring
edges.py            the edges that most of the loop works with, together
generating.py       who writes replies: what is asked for, and what comes back
example_format.py   how a task's examples travel: Avro, in batches that name their schema

The real things live in ``infra`` and ``models``, the fakes in ``tests/fakes``; one contract
suite runs over both.
"""

from __future__ import annotations

from streamrec.ports.clock import Clock
from streamrec.ports.edges import Edges
from streamrec.ports.example_format import ExampleFormat, example_format
from streamrec.ports.generating import (
    Generator,
    GeneratorStatus,
    Grammar,
    OnText,
    Wanted,
    Written,
)
from streamrec.ports.messages import (
    EXAMPLE,
    BatchFeed,
    Codec,
    Delivered,
    DeliveredBatch,
    FollowedRecord,
    Publisher,
    TriggerFeed,
)
from streamrec.ports.meter import Counted, Meter, Timed
from streamrec.ports.releases import (
    FALLBACK,
    FRESH,
    LAG,
    UNREAD,
    ControlLog,
    Fleet,
    RegistryStore,
    WorkerStatus,
)
from streamrec.ports.serving import HotSwap, ServingModel
from streamrec.ports.state import Changes, OutboxEntry, PartitionStore, Record, Writes
from streamrec.ports.task import (
    MODEL_FAULTS,
    TRIGGERS,
    Answer,
    Answered,
    Answerer,
    Asked,
    ExampleSource,
    Judge,
    Serving,
    Task,
    TrafficWatch,
    Training,
)
from streamrec.ports.tracing import (
    LINKS,
    NO_SPAN,
    NO_TRACER,
    Span,
    Spans,
    Tracer,
    carried,
    headers,
    sampled,
    within,
)
from streamrec.ports.training import (
    Checkpoint,
    Checkpoints,
    Generations,
    Learner,
    LearnReport,
    NewStart,
    Provenance,
    Scorer,
    Sealed,
    ShadowResult,
    Snapshots,
    Tracker,
)

__all__ = [
    "EXAMPLE",
    "FALLBACK",
    "FRESH",
    "LAG",
    "LINKS",
    "MODEL_FAULTS",
    "NO_SPAN",
    "NO_TRACER",
    "TRIGGERS",
    "UNREAD",
    "Answer",
    "Answered",
    "Answerer",
    "Asked",
    "BatchFeed",
    "Changes",
    "Checkpoint",
    "Checkpoints",
    "Clock",
    "Codec",
    "ControlLog",
    "Counted",
    "Delivered",
    "DeliveredBatch",
    "Edges",
    "ExampleFormat",
    "ExampleSource",
    "Fleet",
    "FollowedRecord",
    "Generations",
    "Generator",
    "GeneratorStatus",
    "Grammar",
    "HotSwap",
    "Judge",
    "LearnReport",
    "Learner",
    "Meter",
    "NewStart",
    "OnText",
    "OutboxEntry",
    "PartitionStore",
    "Provenance",
    "Publisher",
    "Record",
    "RegistryStore",
    "Scorer",
    "Sealed",
    "Serving",
    "ServingModel",
    "ShadowResult",
    "Snapshots",
    "Span",
    "Spans",
    "Task",
    "Timed",
    "Tracer",
    "Tracker",
    "TrafficWatch",
    "Training",
    "TriggerFeed",
    "Wanted",
    "WorkerStatus",
    "Writes",
    "Written",
    "carried",
    "example_format",
    "headers",
    "sampled",
    "within",
]
