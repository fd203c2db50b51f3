"""Whether something speaks Kafka at an address, and who sits in a consumer group.

Works on Apache Kafka and on the embedded broker alike; knows no topic and no message.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import MemberToRemove
from kafka.errors import KafkaError

from streamrec.infra.wire.kafka import client_config
from streamrec.infra.wire.kafka_connect import connect
from streamrec.settings import KafkaSettings

REQUEST_MS = 5_000
_BROKER_CHATTER = logging.getLogger("kafka")


def kafka_answers(bootstrap: str) -> bool:
    """True if a broker answers a metadata request. Quiet, for polling one that starts."""
    level = _BROKER_CHATTER.level
    _BROKER_CHATTER.setLevel(logging.CRITICAL)
    try:
        with admin_client(bootstrap) as admin:
            admin.list_topics()
    except (KafkaError, OSError, ValueError):
        return False
    finally:
        _BROKER_CHATTER.setLevel(level)
    return True


def evict_members(settings: KafkaSettings, group: str, client_ids: Collection[str]) -> list[str]:
    """Remove the members of a group that have these client ids; those that were in it.

    For whoever knows that they are dead. On Apache Kafka it only makes the takeover quicker
    than the session time-out; the embedded broker keeps a member that died without leaving
    for ever, and with it the member's partitions.

    Raises:
        KafkaError: when the broker refuses or does not answer.
    """
    with closing(
        connect(KafkaAdminClient, **client_config(settings), request_timeout_ms=REQUEST_MS)
    ) as admin:
        described = admin.describe_groups([group]).get(group, {})
        dead = [m for m in described.get("members", ()) if m["client_id"] in client_ids]
        if dead:
            admin.remove_group_members(
                group, [MemberToRemove(member_id=member["member_id"]) for member in dead]
            )
    return sorted(member["client_id"] for member in dead)


@contextmanager
def admin_client(bootstrap: str) -> Iterator[Any]:
    """To a server of ours, which asks for no password."""
    with closing(
        connect(KafkaAdminClient, bootstrap_servers=bootstrap, request_timeout_ms=REQUEST_MS)
    ) as admin:
        yield admin


__all__ = ["admin_client", "evict_members", "kafka_answers"]
