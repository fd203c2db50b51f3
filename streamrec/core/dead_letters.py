"""Dead letters as an operator sees them: where they stand, what to do, what became of them.

Knows how dead letters are named, chosen and counted, and what each code asks for. Does not know
where dead letters are kept (``infra.stores.dead_letters``) nor how one is sent again
(``loop.ingesting.resend``).

A dead letter has two names: where it stands in the dead-letter topic (``PARTITION:OFFSET``) and
where the refused message stood (``TOPIC:PARTITION:OFFSET``). A crash may leave two dead letters
of one message; they share the second name only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from streamrec.core import tasks, topics
from streamrec.core.events import DeadLetter
from streamrec.errors import UserError


class DeadLetterPosition(NamedTuple):
    """Where a dead letter stands in the dead-letter topic."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


class Origin(NamedTuple):
    """Where a message stood in its own topic (short name)."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"


class DeadLetterRecord(NamedTuple):
    position: DeadLetterPosition
    value: DeadLetter

    @property
    def origin(self) -> Origin:
        return Origin(self.value.topic, self.value.partition, self.value.offset)

    @property
    def task(self) -> str:
        """Whose mini-batch it was; "" for what comes before tasks part."""
        ours = self.value.topic == topics.TRAINING_BATCHES
        return tasks.of_batch_key(self.value.key) if ours else ""


@dataclass(frozen=True, slots=True)
class Resent:
    """What is remembered of a dead letter that was sent again.

    ``to`` is None while nobody knows whether Kafka took it: the sender died in between, or
    is at it right now.
    """

    letter: DeadLetterPosition
    by: str
    at_ms: int
    to: Origin | None = None


@dataclass(frozen=True, slots=True)
class DeadLetterSelection:
    """Which dead letters are wanted; what is empty does not narrow."""

    topic: str = ""
    code: str = ""
    since_ms: int = 0

    def takes(self, letter: DeadLetter) -> bool:
        return (
            self.topic in ("", letter.topic)
            and self.code in ("", letter.code)
            and letter.refused_at_ms >= self.since_ms
        )


def parse_name(name: str) -> DeadLetterPosition | Origin:
    """A dead letter's name as typed. Raises UserError."""
    *topic, partition, offset = name.split(":") if name.count(":") in (1, 2) else ("", "", "", "")
    if not (partition.isdecimal() and offset.isdecimal()):
        raise UserError(
            f"{name!r} names no dead letter: expected PARTITION:OFFSET in the dead-letter topic, "
            "or TOPIC:PARTITION:OFFSET of the refused message, as `dead-letter list` prints both"
        )
    if not topic:
        return DeadLetterPosition(int(partition), int(offset))
    if topic[0] not in {known.name for known in topics.TOPICS}:
        raise UserError(
            f"{topic[0]!r} is no topic; expected one of "
            + ", ".join(known.name for known in topics.TOPICS)
        )
    return Origin(topic[0], int(partition), int(offset))


_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def parse_age_ms(text: str) -> int:
    """Milliseconds in "30s", "15m", "2h" or "7d". Raises UserError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if not found:
        raise UserError(f"{text!r} is no length of time; expected for instance 30s, 15m, 2h or 7d")
    return math.floor(float(found[1]) * _UNITS_MS[found[2]])


def counts(letters: Iterable[DeadLetterRecord]) -> Mapping[tuple[str, str], int]:
    """Dead letters by (topic, code), most frequent first."""
    found: dict[tuple[str, str], int] = {}
    for letter in letters:
        key = (letter.value.topic, letter.value.code)
        found[key] = found.get(key, 0) + 1
    return dict(sorted(found.items(), key=lambda entry: (-entry[1], entry[0])))


ADVICE: Mapping[str, str] = {
    "malformed": (
        "The bytes are cut off or are no Avro or JSON. Mend the producer; to save this message, "
        "`resend --value-file` with what it should have been, or `--edit` where it is text."
    ),
    "unknown-schema": (
        "Nobody here knows the schema it was written with. Set "
        "STREAMREC_KAFKA_SCHEMA_REGISTRY_URL, or upgrade streamrec, restart the workers and "
        "`resend` it as it is."
    ),
    "schema-unavailable": (
        "Nothing is wrong with it: the schema registry did not give the schema of its id. See that "
        "it does (the reason has its answer), then `resend` it as it is."
    ),
    "invalid-field": (
        "The reason names the field. Mend the producer; `resend --edit` (JSON) or "
        "`--value-file` saves this message."
    ),
    "impossible-time": (
        "The reason says whose clock it may be: run NTP there, or send UTC. `resend` gives it the "
        "time of a new record; `resend --edit` another `occurred_at`."
    ),
    "too-late": (
        "It cannot be told from a repetition, and sent again it is refused again. To count it all "
        "the same, `resend --edit` with a later `occurred_at`."
    ),
    "too-large": (
        "Raise STREAMREC_KAFKA_MAX_MESSAGE_BYTES and the topic's max.message.bytes, restart "
        "the workers and `resend` it; or send less at once with `--value-file`."
    ),
    "failed": (
        "The message is readable, but handling it failed: that is a fault of streamrec. The "
        "worker's log has the trace; once it is mended, `resend` it as it is."
    ),
}
"""What to do about each code (``errors.Refused.code``)."""


def advice(letter: DeadLetter) -> str:
    """What an operator should do about it."""
    if "belongs to partition" in letter.reason:
        return (
            "It was sent with the wrong key or partitioner. `resend --key USER_ID` puts it where "
            "it belongs; the producer needs the user_id as key and Kafka's default partitioner."
        )
    if letter.topic == topics.ITEMS and letter.reason.startswith(("the key ", "neither key")):
        return (
            "Its key does not say which item it is about. `resend --key ITEM_ID` mends this one; "
            "the producer, or its key.converter, has to write the item's id as text."
        )
    if letter.topic == topics.TRAINING_BATCHES and letter.value is None:
        return "Made by streamrec and too wide to be trained: there is nothing to send again."
    return ADVICE.get(letter.code, "Read the reason; `resend` sends it again as it is.")
