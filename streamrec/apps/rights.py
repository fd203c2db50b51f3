"""What each role does in Kafka and Redis, and whether they let us.

The same as the tables of docs/operating.md, Rights in Kafka and Rights in Redis. Knows no error of
theirs (``infra.wire.kafka_rights``, ``infra.stores.redis_rights``). Loads neither torch nor faust.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from redis import Redis

from streamrec.apps.local_loop import FEATURES, GATEWAY, SERVING, TRAINER
from streamrec.core import tasks
from streamrec.core.tasks import RANKING
from streamrec.core.topics import (
    ADAPTERS,
    DEAD_LETTER,
    EVENTS,
    ITEMS,
    RECOMMENDATIONS,
    REPLIES,
    REQUESTS,
    TRAINING_BATCHES,
    USER_UPDATES,
)
from streamrec.infra.stores import redis_rights
from streamrec.infra.wire.kafka_topics import lacking
from streamrec.settings import KafkaSettings, Settings


@dataclass(frozen=True, slots=True)
class Needs:
    """Topics by what is done with them; ``group``: of consumers, short."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    describes: tuple[str, ...] = ()
    group: str | None = None

    @property
    def operations(self) -> dict[str, set[str]]:
        """Topic -> operations, as Kafka names them; reading and writing include describing."""
        found: dict[str, set[str]] = {}
        for operation, topics in (
            ("READ", self.reads),
            ("WRITE", self.writes),
            ("DESCRIBE", self.describes),
        ):
            for topic in topics:
                found.setdefault(topic, set()).add(operation)
        return found


ROLES = {
    FEATURES: Needs(
        reads=(ITEMS, EVENTS),
        writes=(USER_UPDATES, TRAINING_BATCHES, DEAD_LETTER),
        group="features",
    ),
    TRAINER: Needs(
        reads=(TRAINING_BATCHES, ADAPTERS),
        writes=(ADAPTERS, DEAD_LETTER),
        describes=(EVENTS, ITEMS),
    ),
    SERVING: Needs(
        reads=(USER_UPDATES, REQUESTS, ADAPTERS),
        writes=(RECOMMENDATIONS, DEAD_LETTER),
        describes=(EVENTS, ITEMS),
        group="serving",
    ),
    GATEWAY: Needs(
        reads=(EVENTS, RECOMMENDATIONS, REPLIES, ADAPTERS, DEAD_LETTER),
        writes=(EVENTS, ITEMS, REQUESTS, ADAPTERS),
    ),
}
REDIS_KEYS: Mapping[str, Mapping[str, str]] = {
    FEATURES: {
        "{events-*}:*": "read, write",
        "{items-*}:*": "read, write",
        "{fleet}:*": "read, write",
        "memory": "read, write",
        "layout": "read, write",
        "installation": "read, write",
    },
    TRAINER: {
        "{events-*}:*": "read",
        "{items-*}:*": "read",
        "{fleet}:*": "read, write",
        "{trainer*}:*": "read, write",
        "live*": "read, write",
        "{training-batches*}:*": "read, write",
        "layout": "read",
        "installation": "read, write",
    },
    SERVING: {
        "{events-*}:*": "read",
        "{items-*}:*": "read",
        "{fleet}:*": "read, write",
        "why:*": "read, write",
        "replies*": "read, write",
        "conversations:*": "read, write",
        "shown:*": "read, write",
        "layout": "read",
        "installation": "read, write",
    },
    GATEWAY: {
        "{events-*}:*": "read",
        "{items-*}:*": "read",
        "{fleet}:*": "read, write",
        "live*": "read",
        "why:*": "read",
        "replies*": "read",
        "conversations:*": "read",
        "dead-letters:*": "read, write",
        "api-keys": "write",
        "layout": "read",
        "installation": "read, write",
    },
}
"""Keys without their prefix, as a Redis ACL names them, and what is done with them."""
REPLYING = Needs(
    reads=(RECOMMENDATIONS, ADAPTERS),
    writes=(REPLIES, EVENTS, DEAD_LETTER),
    describes=(ITEMS,),
    group="serving",
)
"""A serving worker's of the task replies, instead."""
WATCHER = Needs(reads=(RECOMMENDATIONS, EVENTS), writes=())
"""A trainer's, in addition, where it watches what users do (``apps.live``)."""


def needs(role: str, task: str = RANKING) -> Needs:
    """What a worker of ``role`` does in Kafka."""
    return REPLYING if (role, task) == (SERVING, tasks.REPLIES) else ROLES[role]


def watches_outcomes(settings: Settings) -> bool:
    """Whether somebody asks what users do with their lists."""
    return bool(settings.canary.share or settings.serving.explore or settings.guard.click_drop)


def not_granted(settings: Settings, role: str, task: str = RANKING) -> list[str]:
    """Rights that ``role`` needs and we lack, in words. Raises Unavailable."""
    found = _lacking(settings.kafka, needs(role, task), task)
    if role == TRAINER and watches_outcomes(settings):
        found += _lacking(settings.kafka, WATCHER, task)
    return found


def redis_not_granted(settings: Settings, client: Redis, role: str) -> list[str]:
    """What ``role`` does in Redis and this user may not, in words. Raises Unavailable."""
    prefix = f"{settings.redis.key_prefix}:"
    keys = {
        prefix + pattern.replace("-*", "-0").replace("*", ""): "write" in rights
        for pattern, rights in REDIS_KEYS[role].items()
    }
    return redis_rights.lacking(client, f"{prefix}{{fleet}}:", keys)


def _lacking(kafka: KafkaSettings, needs: Needs, task: str) -> list[str]:
    group = tasks.key(needs.group, task) if needs.group else None
    return lacking(kafka, needs.operations, group)
