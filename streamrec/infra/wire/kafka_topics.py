"""Our topics on a broker: which there are, and making those that are not."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource
from kafka.errors import TopicAlreadyExistsError

from streamrec.core.topics import EVENTS, TOPICS, Topic
from streamrec.errors import UserError
from streamrec.infra.wire import kafka_rights
from streamrec.infra.wire.kafka import FRAME_BYTES, admin_client, full_name, kafka_errors
from streamrec.settings import KafkaSettings


def partition_counts(settings: KafkaSettings) -> dict[str, int]:
    """Partitions of each of our topics that exists, by short name. Raises Unavailable."""
    with admin_client(settings) as admin:
        return _counts(admin, settings)


def cluster_id(settings: KafkaSettings) -> str:
    """Kafka's own name of itself; empty where it has none. Raises Unavailable."""
    with admin_client(settings) as admin:
        try:
            return str(admin.describe_cluster().get("cluster_id") or "")
        except KeyError:  # of an answer by an older protocol: kafka-python 3.0.12
            return ""


def check_visible(settings: KafkaSettings, names: Sequence[str]) -> None:
    """Raises NotAllowed when one of these topics (short names) is hidden from us: ask this
    before saying that it is not there. Raises Unavailable."""
    with admin_client(settings) as admin:
        full = [full_name(settings, name) for name in names]
        kafka_rights.check_visible(admin, settings.sasl_username, full)


def lacking(
    settings: KafkaSettings, operations: Mapping[str, Collection[str]], group: str | None = None
) -> list[str]:
    """What Kafka does not allow us of these operations by topic, and of reading as ``group``.

    Of a topic that is not there, and by a broker that does not say, everything is allowed.
    Raises Unavailable.
    """
    wanted = {full_name(settings, name): needed for name, needed in operations.items()}
    with admin_client(settings) as admin:
        allowed = kafka_rights.rights(admin, list(wanted))
        found = [
            f"{operation.lower()} {name}"
            for name, needed in wanted.items()
            for operation in sorted(kafka_rights.without(needed, allowed.get(name)))
        ]
        if group and not kafka_rights.may_join(admin, full_name(settings, group)):
            found.append(f"read the consumer group {full_name(settings, group)}")
    return found


def _counts(admin: KafkaAdminClient, settings: KafkaSettings) -> dict[str, int]:
    existing = set(admin.list_topics())
    ours = {full_name(settings, topic.name): topic.name for topic in TOPICS}
    names = [name for name in ours if name in existing]
    described = admin.describe_topics(names) if names else []
    return {ours[topic["name"]]: len(topic["partitions"]) for topic in described}


def create_topics(settings: KafkaSettings) -> list[str]:
    """Create the topics that are missing; returns their full names.

    Existing topics are left as they are, after a check that we can live with them.

    Raises:
        UserError: an existing topic is unusable: several partitions where the order must
            be total, or an events topic that is compacted (its offsets must be contiguous).
        Unavailable: Kafka does not answer, or refuses.
    """
    with admin_client(settings) as admin:
        counts = _counts(admin, settings)
        if problems := _problems(admin, settings, counts):
            raise UserError("; ".join(problems))
        missing = {
            full_name(settings, topic.name): _layout(settings, topic)
            for topic in TOPICS
            if topic.name not in counts
        }
        for name, layout in missing.items():  # one by one: another process may be creating too
            with kafka_errors(settings, f"creating {name}"):
                try:
                    admin.create_topics({name: layout}, wait_for_metadata=True)
                except TopicAlreadyExistsError:
                    admin.wait_for_topics([name])
    return list(missing)


def layout_problems(settings: KafkaSettings) -> list[str]:
    """What makes existing topics unusable; missing ones are no problem. Raises Unavailable."""
    with admin_client(settings) as admin:
        return _problems(admin, settings, _counts(admin, settings))


def _problems(
    admin: KafkaAdminClient, settings: KafkaSettings, counts: Mapping[str, int]
) -> list[str]:
    return [*_wrong_counts(settings, counts), *_compacted_events(admin, settings, counts)]


def _layout(settings: KafkaSettings, topic: Topic) -> dict[str, Any]:
    configs = {"max.message.bytes": str(settings.max_message_bytes + 2 * FRAME_BYTES)}
    if topic.compacted:
        configs["cleanup.policy"] = "compact"
    return {
        "num_partitions": 1 if topic.one_partition else settings.partitions,
        "replication_factor": settings.replication,
        "configs": configs,
    }


def _wrong_counts(settings: KafkaSettings, counts: Mapping[str, int]) -> list[str]:
    return [
        f"{full_name(settings, topic.name)} has {counts[topic.name]} partitions, but its order "
        "must be total: recreate it with one"
        for topic in TOPICS
        if topic.one_partition and counts.get(topic.name, 1) != 1
    ]


def _compacted_events(
    admin: KafkaAdminClient, settings: KafkaSettings, counts: Mapping[str, int]
) -> list[str]:
    if EVENTS not in counts:
        return []
    name = full_name(settings, EVENTS)
    described = admin.describe_configs([ConfigResource("TOPIC", name, ["cleanup.policy"])])
    if "compact" in str(described):
        return [f"{name} is compacted, which removes events; set cleanup.policy=delete"]
    return []
