"""Where logs begin and end, and where groups stand in them.

For measuring lag and finding gaps; reads no message.
"""

from __future__ import annotations

from collections.abc import Sequence

from streamrec.core.state.source_log import Log
from streamrec.infra.wire.kafka import (
    READ_COMMITTED,
    admin_client,
    assignment,
    full_name,
    kafka_errors,
    make_consumer,
)
from streamrec.settings import KafkaSettings

NO_ID = ("00000000-0000-0000-0000-000000000000", "AAAAAAAAAAAAAAAAAAAAAA")
"""What a broker that knows no topic ids says."""


def end_offsets(
    settings: KafkaSettings, topics: Sequence[str], *, committed: bool = True
) -> dict[tuple[str, int], int]:
    """Where what can be read of every partition ends, by (short name, partition).

    Without ``committed``, where what is written ends: between the two lies what waits for the
    end of a transaction. Raises Unavailable; UserError for a topic that is not there.
    """
    level = READ_COMMITTED if committed else "read_uncommitted"
    consumer = make_consumer(settings, client_id="streamrec-lag", isolation_level=level)
    try:
        with kafka_errors(settings, "asking for end offsets"):
            ends = consumer.end_offsets(assignment(consumer, settings, topics))
    finally:
        consumer.close()
    prefix = len(settings.topic_prefix)
    return {(tp.topic[prefix:], tp.partition): end for tp, end in ends.items()}


def log_bounds(
    settings: KafkaSettings, topics: Sequence[str]
) -> dict[tuple[str, int], tuple[int, int]]:
    """First available and next offset of every partition, by (short name, partition).

    Raises Unavailable; UserError for a topic that is not there.
    """
    consumer = make_consumer(settings, client_id="streamrec-bounds")
    try:
        with kafka_errors(settings, "asking for offsets"):
            partitions = assignment(consumer, settings, topics)
            firsts = consumer.beginning_offsets(partitions)
            ends = consumer.end_offsets(partitions)
    finally:
        consumer.close()
    prefix = len(settings.topic_prefix)
    return {(tp.topic[prefix:], tp.partition): (firsts[tp], ends[tp]) for tp in partitions}


def logs(settings: KafkaSettings, topics: Sequence[str]) -> dict[tuple[str, int], Log]:
    """What the broker says of every partition, by (short name, partition).

    Raises Unavailable; UserError for a topic that is not there.
    """
    bounds = log_bounds(settings, topics)
    with admin_client(settings) as admin:
        described = admin.describe_topics([full_name(settings, topic) for topic in topics])
    ids = {topic["name"]: topic.get("topic_id") for topic in described}
    known = {
        topic: "" if not (found := ids.get(full_name(settings, topic))) else str(found)
        for topic in topics
    }
    return {
        (topic, partition): Log(first, end, "" if known[topic] in NO_ID else known[topic])
        for (topic, partition), (first, end) in bounds.items()
    }


def offsets_since(settings: KafkaSettings, topic: str, at_ms: int) -> dict[int, int]:
    """By partition, the first offset whose timestamp is ``at_ms`` or later; else the end.

    Raises Unavailable; UserError for a topic that is not there.
    """
    consumer = make_consumer(settings, client_id="streamrec-since")
    try:
        with kafka_errors(settings, "asking for offsets by time"):
            partitions = assignment(consumer, settings, (topic,))
            found = consumer.offsets_for_times(dict.fromkeys(partitions, at_ms))
            ends = consumer.end_offsets(partitions)
    finally:
        consumer.close()
    return {tp.partition: found[tp].offset if found.get(tp) else ends[tp] for tp in partitions}


def group_offsets(settings: KafkaSettings, group: str) -> dict[tuple[str, int], int]:
    """Where a consumer group stands, by (short name, partition). Raises Unavailable."""
    name, prefix = full_name(settings, group), len(settings.topic_prefix)
    with admin_client(settings) as admin:
        committed = admin.list_group_offsets(name).get(name, {})
    return {
        (tp.topic[prefix:], tp.partition): found.offset
        for tp, found in committed.items()
        if tp.topic.startswith(settings.topic_prefix)
    }
