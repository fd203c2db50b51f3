"""What the coverage-guided fuzzer runs, once for each input."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from streamrec.core.examples import TrainingBatch
from streamrec.errors import Refused, Unavailable
from streamrec.tasks.ranking.examples import RankingExample
from tests.fuzz.consumers import CONSUMERS, RegistryFramed
from tests.harness.codec import wire_codec

CODEC = wire_codec()
FRAMED = RegistryFramed(Path()).codec
TOPICS = (
    "events", "items", "requests", "user-updates", "training-batches", "adapters",
    "recommendations", "dead-letter",
)  # fmt: skip
FRAMED_AT = len(TOPICS)


def good_inputs() -> list[bytes]:
    """Every consumer's own good inputs, with the byte that chooses the topic."""
    found = []
    for make in CONSUMERS:
        if make.topic in TOPICS:  # corpus() needs none of what __init__ sets up
            consumer = make.__new__(make)
            found += [bytes([TOPICS.index(make.topic)]) + data for data in consumer.corpus()]
    framed = RegistryFramed(Path())
    return found + [bytes([FRAMED_AT]) + data for data in framed.corpus()]


def one_input(data: bytes) -> None:
    """Raises whatever decoding should not have raised, AssertionError when a value changed."""
    if not data:
        return
    place, message = data[0] % (FRAMED_AT + 1), data[1:]
    codec, topic = (FRAMED, "events") if place == FRAMED_AT else (CODEC, TOPICS[place])
    try:
        value = codec.decode(topic, message)
    except (Refused, Unavailable):
        return
    again = CODEC.decode(topic, CODEC.encode(topic, value))
    assert _same(value, again), (topic, value, again)


def _same(one: Any, other: Any) -> bool:
    """Equal, arrays and numbers that are none included."""
    if isinstance(one, TrainingBatch | RankingExample):
        names = one.__dataclass_fields__
        return all(_same(getattr(one, name), getattr(other, name)) for name in names)
    if hasattr(one, "tobytes"):
        return bool(one.tobytes() == other.tobytes())
    if isinstance(one, float) and math.isnan(one):
        return math.isnan(other)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(_same, one, other))
    if hasattr(one, "__dataclass_fields__"):
        return all(
            _same(getattr(one, name), getattr(other, name)) for name in one.__dataclass_fields__
        )
    return bool(one == other)
