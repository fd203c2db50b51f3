"""Every topic: its key and value, who writes and who reads it, and how long it has to be kept."""

from __future__ import annotations

from collections.abc import Mapping

import schemas
from streamrec.apps.rights import REPLYING, ROLES
from streamrec.core import topics
from streamrec.core.topics import TOPICS, Topic
from streamrec.settings import load
from tests.reference.markdown import code, page, table

SCHEMAS: Mapping[str, str] = {
    topic.name: topic.name.replace("-", "_").removesuffix("s") for topic in TOPICS
} | {topics.TRAINING_BATCHES: "training_batch", topics.REPLIES: "reply"}

OUTSIDE: Mapping[str, tuple[str, str]] = {
    topics.ITEMS: ("your catalogue", ""),
    topics.EVENTS: ("your service", "a trainer that watches outcomes"),
    topics.REQUESTS: ("your service", ""),
    topics.ADAPTERS: ("`streamrec adapters`", "operators"),
    topics.RECOMMENDATIONS: ("", "your service, a trainer that watches outcomes"),
    topics.REPLIES: ("", "your service, a gateway"),
    topics.DEAD_LETTER: ("", "`streamrec dead-letter`"),
}
"""Who else writes and reads than the workers, whose rights are in ``apps.rights``."""

KEEP: Mapping[str, str] = {
    topics.ITEMS: "compacted: the last value of every item; a null value removes it",
    topics.EVENTS: "never compacted. Longer than a feature worker may be away, and as long as a "
    "Redis without a backup shall be built anew from it",
    topics.USER_UPDATES: "longer than serving may be away: what is gone is not answered",
    topics.REQUESTS: "the same",
    topics.TRAINING_BATCHES: "never compacted. Longer than a trainer may be away, and as far back "
    "as `rollback --relearn` and `adapters reproduce` shall reach",
    topics.ADAPTERS: "compacted: the last record of a slot holds the registry's whole state. "
    "`adapters log` shows what compaction has left",
    topics.RECOMMENDATIONS: "longer than your consumers may be away",
    topics.REPLIES: "the same",
    topics.DEAD_LETTER: "as long as somebody may take to look at it",
}

INTRO = """\
A topic's full name is `STREAMREC_KAFKA_TOPIC_PREFIX` (default `{prefix}`) and the name below.
`streamrec topics create` makes what is missing, with the partitions below,
`STREAMREC_KAFKA_REPLICATION` copies, and `max.message.bytes` a little above
`STREAMREC_KAFKA_MAX_MESSAGE_BYTES`. Retention is the broker's default: set it for each topic, by
the last table. Rights of each role: [operating](../operating.md#rights-in-kafka).
"""


def topics_page() -> str:
    """docs/reference/topics.md"""
    prefix = load({}).kafka.topic_prefix
    head = ("topic", "key", "value", "written by", "read by", "partitions")
    return page(
        "Topics",
        INTRO.format(prefix=prefix),
        table(head, [row(topic) for topic in TOPICS]),
        "What each has to keep:\n",
        table(("topic", "kept"), [(code(topic.name), KEEP[topic.name]) for topic in TOPICS]),
    )


def row(topic: Topic) -> tuple[str, ...]:
    schema = SCHEMAS[topic.name]
    writers, readers = OUTSIDE.get(topic.name, ("", ""))
    return (
        code(topic.name),
        key(schema),
        f"[{schema}](schemas.md#{schema})",
        ", ".join(filter(None, [*roles(topic, "WRITE"), writers])),
        ", ".join(filter(None, [*roles(topic, "READ"), readers])),
        "1: its order is total" if topic.one_partition else "`STREAMREC_KAFKA_PARTITIONS`",
    )


def key(schema: str) -> str:
    """As the schema's own words say it."""
    return str(schemas.load(schema)["doc"].split("Key: ")[1].split(".")[0])


def roles(topic: Topic, operation: str) -> list[str]:
    every = {**ROLES, "replies": REPLYING}
    return [
        role for role, needs in every.items() if operation in needs.operations.get(topic.name, ())
    ]
