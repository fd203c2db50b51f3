"""The topics by their short names, and how each is laid out.

A topic's full name is ``STREAMREC_KAFKA_TOPIC_PREFIX`` + its short name.
"""

from __future__ import annotations

from dataclasses import dataclass

from streamrec.core.tasks import RANKING

ITEMS = "items"
EVENTS = "events"
USER_UPDATES = "user-updates"
REQUESTS = "requests"
TRAINING_BATCHES = "training-batches"
ADAPTERS = "adapters"
RECOMMENDATIONS = "recommendations"
REPLIES = "replies"
DEAD_LETTER = "dead-letter"


@dataclass(frozen=True, slots=True)
class Topic:
    """``one_partition`` topics are totally ordered: one log, one order, one truth."""

    name: str
    compacted: bool = False
    one_partition: bool = False


TOPICS = (
    Topic(ITEMS, compacted=True),
    Topic(EVENTS),
    Topic(USER_UPDATES),
    Topic(REQUESTS),
    Topic(TRAINING_BATCHES, one_partition=True),
    Topic(ADAPTERS, compacted=True, one_partition=True),
    Topic(RECOMMENDATIONS),
    Topic(REPLIES),
    Topic(DEAD_LETTER, one_partition=True),
)


def of_task(topic: str, task: str) -> str:
    """How a codec names the shape of a task's messages in a topic that all tasks write to."""
    return topic if task == RANKING else f"{topic}@{task}"


def batch_key(task: str, partition: int) -> bytes:
    """The key of a task's mini-batches from one partition of the events."""
    return f"{partition}".encode() if task == RANKING else f"{task}/{partition}".encode()
