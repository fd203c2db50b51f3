"""Leaves configured servers as they were: the demo's topics and keys are removed.

Embedded servers keep theirs, to look at, until the next demo starts afresh.
"""

from __future__ import annotations

from collections.abc import Callable

from kafka.errors import KafkaError

from streamrec.core.topics import TOPICS
from streamrec.errors import StreamrecError
from streamrec.infra.stores.redis_client import connect_redis, redis_errors
from streamrec.infra.wire.kafka import admin_client, full_name
from streamrec.settings import Settings


def remove_traces(given: Settings, used: Settings, say: Callable[[str], None]) -> None:
    """Remove what the demo made on servers that were configured. Says what it could not."""
    try:
        if given.kafka.bootstrap:
            with admin_client(used.kafka) as admin:
                admin.delete_topics([full_name(used.kafka, topic.name) for topic in TOPICS])
        if given.redis.url:
            with redis_errors("removing keys"), connect_redis(used.redis) as client:
                for key in client.scan_iter(match=f"{used.redis.key_prefix}:*", count=1_000):
                    client.unlink(key)
    except (StreamrecError, KafkaError) as error:
        say(f"the demo's topics {used.kafka.topic_prefix}* or keys may be left over: {error}")
