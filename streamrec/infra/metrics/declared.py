"""Every metric: its name, its labels, who has it, what it means.

Names are Prometheus' own: base units, ``_total`` for what only grows. docs/monitoring.md is made
from this table. Labels are bounded: no user, no item, no text that somebody sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from streamrec.core import topics
from streamrec.core.dead_letters import ADVICE
from streamrec.core.events import Kind
from streamrec.loop.releasing.canary_rollout import Ending
from streamrec.loop.releasing.release import Outcome
from streamrec.ports import Counted, Timed

FEATURES, TRAINER, SERVING, GATEWAY = "features", "trainer", "serving", "gateway"
EVERY = (FEATURES, TRAINER, SERVING, GATEWAY)

QUICK_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
SLOW_S = (0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
"""Upper ends of the histograms' buckets, in seconds."""


@dataclass(frozen=True, slots=True)
class Declared:
    """``known``: label values that are there, at 0, before anything is counted; by role."""

    name: str
    kind: str  # counter, gauge or histogram
    doc: str
    roles: Sequence[str]
    labels: Sequence[str] = ()
    known: Mapping[str, Sequence[Sequence[str]]] = field(default_factory=dict)
    buckets_s: Sequence[float] = QUICK_S

    @property
    def shown(self) -> str:
        """As it is asked for: a counter's samples end in ``_total``."""
        return f"{self.name}_total" if self.kind == "counter" else self.name

    @property
    def endings(self) -> Sequence[str]:
        """What the names of its samples have behind ``shown``."""
        return ("_bucket", "_sum", "_count") if self.kind == "histogram" else ("",)


def _each(role: str, *values: Sequence[str]) -> dict[str, list[Sequence[str]]]:
    return {role: list(product(*values))}


CODES = tuple(ADVICE)
COUNTED: Mapping[Counted, Declared] = {
    Counted.EVENTS: Declared(
        "streamrec_events",
        "counter",
        "Events applied to state, by what the user did",
        (FEATURES,),
        ("kind",),
        _each(FEATURES, tuple(Kind)),
    ),
    Counted.DEAD_LETTERS: Declared(
        "streamrec_dead_letters",
        "counter",
        "Messages refused to the dead-letter topic, by where they stood and why",
        (FEATURES, TRAINER, SERVING),
        ("topic", "code"),
        _each(FEATURES, (topics.EVENTS, topics.ITEMS), CODES)
        | _each(SERVING, (topics.REQUESTS, topics.USER_UPDATES), CODES)
        | _each(TRAINER, (topics.TRAINING_BATCHES,), CODES),
    ),
    Counted.LISTS: Declared(
        "streamrec_lists",
        "counter",
        "Lists published, by what asked for them: update (an event) or request",
        (SERVING,),
        ("trigger",),
        _each(SERVING, ("update", "request")),
    ),
    Counted.EMPTY_LISTS: Declared(
        "streamrec_empty_lists",
        "counter",
        "Lists without an item though there was something to show",
        (SERVING,),
        (),
        _each(SERVING),
    ),
    Counted.FAULTS: Declared(
        "streamrec_list_faults",
        "counter",
        "Lists that a generation failed at: answered by the champion, or tried again",
        (SERVING,),
        (),
        _each(SERVING),
    ),
    Counted.VERDICTS: Declared(
        "streamrec_gate_verdicts",
        "counter",
        "Verdicts of the gate; a rejected candidate counts once under each thing it was worse in",
        (TRAINER,),
        ("verdict", "reason"),
        {TRAINER: [("accepted", "none"), *product(["rejected"], ["log_loss", "mrr"])]},
    ),
    Counted.RELEASES: Declared(
        "streamrec_releases",
        "counter",
        "Releases of candidates that passed the gate, by what became of them",
        (TRAINER,),
        ("outcome",),
        _each(TRAINER, tuple(Outcome)),
    ),
    Counted.CANARIES: Declared(
        "streamrec_canaries",
        "counter",
        "Canaries that ended, by how",
        (TRAINER,),
        ("ending",),
        _each(TRAINER, tuple(Ending)),
    ),
    Counted.CONTROL_RECORDS: Declared(
        "streamrec_control_records",
        "counter",
        "Changes of the registry while this trainer ran, by who made them: guard, click-guard, "
        "canary, alarm, or other (the trainer, a person)",
        (TRAINER,),
        ("action", "by"),
        {TRAINER: [*product(["rollback"], ["guard", "click-guard", "other"])]},
    ),
    Counted.HTTP_REQUESTS: Declared(
        "streamrec_http_requests",
        "counter",
        "Requests answered by the gateway",
        (GATEWAY,),
        ("route", "method", "status"),
        _each(GATEWAY, ("/v1/recommendations",), ("POST",), ("200", "503", "504")),
    ),
    Counted.KEYS_FILES: Declared(
        "streamrec_keys_files",
        "counter",
        "Changes of the file of API keys: read, or broken (what was read before stays valid)",
        (GATEWAY,),
        ("outcome",),
        _each(GATEWAY, ("read", "broken")),
    ),
}
TIMED: Mapping[Timed, Declared] = {
    Timed.STAGE: Declared(
        "streamrec_stage_seconds",
        "histogram",
        "How long a stage takes: ingest (a run of records), batch (oldest event to mini-batch), "
        "learn (a mini-batch), gate (frozen to verdict), stage and activate (until every serving "
        "worker has), list (a micro-batch of lists)",
        (FEATURES, TRAINER, SERVING),
        ("stage",),
        _each(FEATURES, ("ingest", "batch"))
        | _each(TRAINER, ("learn", "gate", "stage", "activate"))
        | _each(SERVING, ("list",)),
    ),
    Timed.ANSWER: Declared(
        "streamrec_answer_seconds",
        "histogram",
        "Event or request in Kafka to its list acknowledged by Kafka",
        (SERVING,),
        ("trigger",),
        _each(SERVING, ("update", "request")),
    ),
    Timed.LEARNED: Declared(
        "streamrec_learned_seconds",
        "histogram",
        "Event in Kafka to its example learned",
        (TRAINER,),
        (),
        _each(TRAINER),
        SLOW_S,
    ),
    Timed.FRESHNESS: Declared(
        "streamrec_freshness_seconds",
        "histogram",
        "Event in Kafka to the activation of a generation that has learned it",
        (TRAINER,),
        (),
        _each(TRAINER),
        SLOW_S,
    ),
    Timed.HTTP: Declared(
        "streamrec_http_request_seconds",
        "histogram",
        "Request to the first byte of its answer, in the gateway",
        (GATEWAY,),
        ("route",),
        _each(GATEWAY, ("/v1/recommendations",)),
    ),
}
"""Measured where it happens (``ports.meter``)."""


BUILD = Declared(
    "streamrec_build_info", "gauge", "1; which version runs", EVERY, ("version", "python")
)
WORKER = Declared(
    "streamrec_worker_info", "gauge", "1; who this is", EVERY, ("worker", "role", "task")
)
READY = Declared("streamrec_ready", "gauge", "1 when /readyz says so, else 0", EVERY)
GENERATION = Declared(
    "streamrec_generation_info",
    "gauge",
    "1; a generation and what it is here: active (it answers; in the trainer, the champion), "
    "staged, canary or refused",
    (SERVING, TRAINER),
    ("generation", "state"),
)
LIVE_LISTS = Declared(
    "streamrec_live_lists",
    "gauge",
    "Lists of a generation whose outcome is known, since the trainer started (docs/canary.md)",
    (TRAINER,),
    ("generation", "arm"),
)
LIVE_RATIO = Declared(
    "streamrec_live_click_ratio",
    "gauge",
    "Part of them that were clicked: champion, canary, former (the one before)",
    (TRAINER,),
    ("generation", "arm"),
)
STATED: Sequence[Declared] = (BUILD, WORKER, READY, GENERATION, LIVE_LISTS, LIVE_RATIO)
"""Read from the process itself."""
