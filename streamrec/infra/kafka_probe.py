"""Whether something speaks Kafka at an address, and who sits in a consumer group.

Works on Apache Kafka and on the embedded broker alike; knows no topic and no message.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import MemberToRemove
from kafka.errors import KafkaError

from streamrec.infra.kafka_connect import connect

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


def evict_dead_members(bootstrap: str, group: str, alive_client_ids: Collection[str]) -> list[str]:
    """Remove a group's members whose client id is not among the living; return theirs.

    The embedded broker keeps a member that died without leaving for ever, and with it the
    member's partitions; whoever supervises the workers calls this after a death. On Apache
    Kafka it only makes the takeover quicker than the session time-out.

    Raises:
        KafkaError: when the broker refuses or does not answer.
    """
    with admin_client(bootstrap) as admin:
        described = admin.describe_groups([group]).get(group, {})
        dead = [
            member
            for member in described.get("members", ())
            if member["client_id"] not in alive_client_ids
        ]
        if dead:
            admin.remove_group_members(
                group, [MemberToRemove(member_id=member["member_id"]) for member in dead]
            )
    return sorted(member["client_id"] for member in dead)


@contextmanager
def admin_client(bootstrap: str) -> Iterator[Any]:
    admin = connect(KafkaAdminClient, bootstrap_servers=bootstrap, request_timeout_ms=REQUEST_MS)
    try:
        yield admin
    finally:
        admin.close()


__all__ = ["admin_client", "evict_dead_members", "kafka_answers"]
