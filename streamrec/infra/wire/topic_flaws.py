"""What a topic's own settings will do to us, seen before it happens.

Reads compression, message size and replicas of our topics as the broker has them. Does not know
how many partitions a topic should have (``infra.wire.kafka_topics``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kafka.admin import ConfigResource

from streamrec.core.topics import EVENTS, ITEMS, REQUESTS, TOPICS
from streamrec.infra.wire.kafka import FRAME_BYTES, admin_client, full_name
from streamrec.infra.wire.kafka_codecs import COMPRESSIONS, packages_missing
from streamrec.settings import KafkaSettings

COMPRESSION, LARGEST, LEAST_IN_SYNC = (
    "compression.type",
    "max.message.bytes",
    "min.insync.replicas",
)
OF_PRODUCERS = frozenset({EVENTS, ITEMS, REQUESTS})
"""Written by others: how large their messages may be is between them and the broker."""


@dataclass(frozen=True, slots=True)
class TopicFlaw:
    """``stops``: nothing goes through as it is; else it works until something else fails."""

    said: str
    remedy: str
    stops: bool = True


def topic_flaws(settings: KafkaSettings) -> list[TopicFlaw]:
    """Of every topic of ours that exists; of one whose settings are hidden, only what is seen.

    Raises Unavailable.
    """
    with admin_client(settings) as admin:
        existing = set(admin.list_topics())
        names = {full_name(settings, topic.name): topic.name for topic in TOPICS}
        ours = [name for name in names if name in existing]
        if not ours:
            return []
        configs = _configs(admin, ours)
        return [
            flaw
            for topic in admin.describe_topics(ours)
            for flaw in (
                *_compression(topic["name"], configs[topic["name"]]),
                *_size(topic["name"], names[topic["name"]], configs[topic["name"]], settings),
                *_replicas(topic, configs[topic["name"]]),
            )
        ]


def _configs(admin: Any, names: list[str]) -> dict[str, dict[str, str]]:
    """Topic -> what it is set to, a broker's defaults included; nothing where we may not ask."""
    wanted = [COMPRESSION, LARGEST, LEAST_IN_SYNC]
    asked = [ConfigResource("TOPIC", name, wanted) for name in names]
    found = admin.describe_configs(asked, config_filter="all").get("topic", {})
    return {
        name: {key: str(value["value"]) for key, value in found.get(name, {}).items()}
        for name in names
    }


def _compression(name: str, config: Mapping[str, str]) -> Iterator[TopicFlaw]:
    compression = config.get(COMPRESSION, "")
    if compression in COMPRESSIONS and (missing := packages_missing(compression)):
        yield TopicFlaw(
            f"{name} is compressed with {compression}, which is not installed here",
            f"pip install {' '.join(missing)}",
        )


def _size(
    name: str, topic: str, config: Mapping[str, str], settings: KafkaSettings
) -> Iterator[TopicFlaw]:
    wanted = settings.max_message_bytes + FRAME_BYTES
    largest = int(config.get(LARGEST, wanted))
    if topic not in OF_PRODUCERS and largest < wanted:
        yield TopicFlaw(
            f"{name} takes messages of {largest:,} bytes; ours may have {wanted:,}",
            f"set {LARGEST}={wanted}, or STREAMREC_KAFKA_MAX_MESSAGE_BYTES to at most "
            f"{max(0, largest - FRAME_BYTES)}",
        )


def _replicas(topic: Mapping[str, Any], config: Mapping[str, str]) -> Iterator[TopicFlaw]:
    """More in sync than there are replicas, Kafka does not ask for."""
    name, asked = topic["name"], int(config.get(LEAST_IN_SYNC, 1))
    replicas = min((len(p["replica_nodes"]) for p in topic["partitions"]), default=asked)
    least = min(asked, replicas)
    in_sync = min((len(p["isr_nodes"]) for p in topic["partitions"]), default=least)
    if in_sync < least:
        yield TopicFlaw(
            f"{name} has {in_sync} replicas in sync and {LEAST_IN_SYNC}={least}: nothing can be "
            "written until more are",
            "bring the brokers back; writers wait meanwhile",
        )
    elif least == replicas > 1:
        yield TopicFlaw(
            f"{name} has {replicas} replicas and {LEAST_IN_SYNC}={least}: with one broker away "
            "nothing can be written",
            f"set {LEAST_IN_SYNC}={replicas - 1}",
            stops=False,
        )
