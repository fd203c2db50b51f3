"""What a worker tells the fleet (``ports.WorkerStatus.gauges``), and which metric each is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from streamrec.core import topics
from streamrec.infra.metrics.declared import (
    COUNTED,
    FEATURES,
    SERVING,
    STATED,
    TIMED,
    TRAINER,
    Declared,
)
from streamrec.ports import FALLBACK, LAG, UNREAD


@dataclass(frozen=True, slots=True)
class Told:
    """``gauge``: of a worker's beat; one that ends in "/" or "_" goes on with a label's value.

    ``given``: the label's value otherwise. What is told in milliseconds (``_ms``) is in seconds.
    """

    role: str
    gauge: str
    metric: Declared
    given: Sequence[str] = ()

    def samples(self, gauges: Mapping[str, float]) -> Iterator[tuple[Sequence[str], float]]:
        """Label values, and the number, in base units."""
        if self.gauge.endswith(("/", "_")):
            for name, value in gauges.items():
                if name.startswith(self.gauge):
                    yield [name.removeprefix(self.gauge)], value
        elif self.gauge in gauges:
            yield self.given, gauges[self.gauge] * (0.001 if self.gauge.endswith("_ms") else 1.0)


def _told(role: str, kind: str, rows: Mapping[str, tuple[str, str]]) -> Iterator[Told]:
    """``rows``: gauge -> name of the metric, and what it means; with "{label}" after the name."""
    for gauge, (name, doc) in rows.items():
        bare, _, label = name.rstrip("}").partition("{")
        labels = (label,) if label else ()
        yield Told(role, gauge, Declared(f"streamrec_{bare}", kind, doc, (role,), labels))


LATE = Declared(
    "streamrec_late_events",
    "counter",
    "Views and clicks that came when their impression had closed: counted, not learned",
    (FEATURES,),
    ("kind",),
)
LAG_RECORDS = Declared(
    "streamrec_consumer_lag_records",
    "gauge",
    "Messages of its partitions that a worker has not taken in yet",
    (FEATURES, TRAINER, SERVING),
    ("topic",),
)
STEPS = Declared("streamrec_training_steps", "counter", "Optimiser steps", (TRAINER,), ("part",))

TOLD: Sequence[Told] = (
    Told(FEATURES, LAG, LAG_RECORDS),
    Told(SERVING, LAG, LAG_RECORDS),
    Told(TRAINER, "lag", LAG_RECORDS, (topics.TRAINING_BATCHES,)),
    Told(FEATURES, "late_clicks", LATE, ("click",)),
    Told(FEATURES, "late_views", LATE, ("view",)),
    Told(TRAINER, "steps", STEPS, ("head",)),
    Told(TRAINER, "encoder_steps", STEPS, ("encoder",)),
    *_told(
        FEATURES,
        "gauge",
        {
            "partitions": ("partitions_assigned", "Partitions of events and items it has"),
            "parked_partitions": (
                "partitions_parked",
                "Those that cannot go on",
            ),
            "watermark_ms": ("event_time_timestamp_seconds", "The latest event time, since 1970"),
            "redis/used_bytes": ("redis_memory_bytes", "Memory used, all servers of it together"),
            "redis/limit_bytes": (
                "redis_memory_limit_bytes",
                "Its maxmemory, or the machine's memory where none is set; 0: it does not say",
            ),
        },
    ),
    *_told(
        FEATURES,
        "counter",
        {
            "items_applied": ("items_applied", "Catalogue records applied"),
            "duplicates": ("duplicate_events", "Events counted before: they changed nothing"),
            "unknown_items": ("unknown_item_events", "Events about no known item: not learned"),
            "unusable_replies": (
                "replies_unusable",
                "Replies whose outcome is known, and whose log says nothing to learn from",
            ),
            "folded_again": ("events_applied_again", "Events that Redis had, and lost"),
            "conflicts": ("commit_conflicts", "Commits that another worker was before"),
            "sent_on": ("events_sent_on", "Events sent on to the partition their user has now"),
            "examples": ("examples_made", "Labelled examples made"),
            "batches": ("mini_batches", "Mini-batches sent to the trainer"),
        },
    ),
    *_told(
        SERVING,
        "gauge",
        {
            "items": ("catalogue_items", "Items that may be recommended"),
            "recall_at_10": (
                "candidate_recall_ratio",
                "Part of the exact ten best that candidates find, in the last lists looked at",
            ),
            "statistics_age_ms": ("statistics_age_seconds", "Since the state was last read"),
            "swap_pause_max_ms": ("swap_pause_max_seconds", "The longest pause for a swap"),
        },
    ),
    *_told(
        SERVING,
        "counter",
        {
            "coalesced": ("updates_coalesced", "Updates answered by a later one of the same user"),
            "superseded": ("updates_superseded", "Updates passed over: a later one was waiting"),
            "stale_": ("triggers_stale{trigger}", "Triggers that were too old to be answered"),
            "skipped": ("updates_skipped", "Updates without a list: there was nothing to say"),
            "unmet_": (
                "lists_unmet{reason}",
                "Lists of which nothing could be in them, whatever the model: why (refused: the "
                "request was)",
            ),
            FALLBACK: (
                "reply_fallbacks{reason}",
                "Replies that a template made, by why the model did not",
            ),
            UNREAD: (
                "queries_unread{reason}",
                "Queries that a list does not keep to, because they were not read: why",
            ),
            "swaps": ("swaps", "Changes of the generation that answers"),
        },
    ),
    *_told(
        TRAINER,
        "gauge",
        {
            "loss_": ("training_loss{loss}", "Mean loss of the last mini-batch, nats an example"),
            "fresh/": (
                "freshness_part_seconds{part}",
                "Mean parts of an event's way to the last activation: batch, learn, wait, judge, "
                "stage, activate",
            ),
            "events_behind": ("champion_events_behind", "Events applied, and not learned by it"),
            "champion_created_ms": (
                "champion_created_timestamp_seconds",
                "When the champion was made, since 1970",
            ),
        },
    ),
    *_told(
        TRAINER,
        "counter",
        {
            "examples": ("examples_learned", "Examples learned"),
            "limited_by_quota": ("examples_limited", "Examples weighed down by a quota"),
            "seen_again": ("examples_seen_again", "Examples learned before: dropped"),
            "quarantined": ("examples_quarantined", "Examples that an undo keeps out"),
            "candidates": ("candidates", "Candidates frozen"),
            "encoders_tried": ("encoders_tried", "Encoder versions tried beside the one in use"),
            "encoders_taken": ("encoders_taken", "Encoder versions that won, and were taken"),
            "lost_offsets": ("offsets_lost", "Events given up, or never come as mini-batches"),
            "diverged": ("divergences", "Losses that were no number: back to the checkpoint"),
            "relearned": ("relearns", "Times the learner was taken back"),
            "tracker_failures": ("tracker_failures", "Things MLflow or another was not told"),
        },
    ),
)


def every() -> list[Declared]:
    """All metrics there are, each once, by name."""
    found = [*STATED, *COUNTED.values(), *TIMED.values(), *(one.metric for one in TOLD)]
    return sorted({metric.name: metric for metric in found}.values(), key=lambda m: m.name)
