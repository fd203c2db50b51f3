"""Which readable events may be folded where they were found, and when their records were made.

Knows what no clock of a producer should say. What time it is in the partition is decided
later, in the order of the log (``core.state.event_clock``).
"""

from __future__ import annotations

from datetime import UTC, datetime

from streamrec.core.events import Interaction, Source
from streamrec.core.state.fold import Located
from streamrec.errors import ImpossibleTime, InvalidField
from streamrec.loop.ingesting.raw import RawRecord

RELEASED_MS = 1_764_547_200_000
"""2025-12-01: a worker's own clock that says less is wrong, and is not used."""
YEAR_MS = 366 * 86_400_000
FUTURE_TOLERANCE_MS = 86_400_000
"""An event further ahead of its record's timestamp is refused."""
EARLIEST_MS = 631_152_000_000
SECONDS_BELOW, MILLIS_BELOW, MICROS_BELOW = 10**11, 10**14, 10**17


def located(
    record: RawRecord, event: Interaction, now_ms: int, future_tolerance_ms: int
) -> Located:
    """The event at its place, with a record's time that can be used.

    A record's timestamp in another unit is understood; one that says nothing (0, -1, years from
    now) is replaced by the event's own. ``now_ms``: the wall clock's, which only tells what is
    more than a year ahead of it.

    Raises ImpossibleTime.
    """
    latest_ms = max(now_ms, RELEASED_MS) + YEAR_MS
    at_ms, made_ms = event.occurred_at_ms, record_time_ms(record.timestamp_ms, latest_ms)
    if at_ms > latest_ms:
        raise ImpossibleTime(
            f"occurred_at says {_said(at_ms)}, more than a year from now: its producer's clock is "
            "wrong, or the number's unit is"
        )
    if made_ms is not None and at_ms - made_ms > future_tolerance_ms:
        raise ImpossibleTime(
            f"occurred_at is {(at_ms - made_ms) / 1000:.0f} s ahead of the record's own time; at "
            f"most {future_tolerance_ms / 1000:.0f} s are accepted. It says {_said(at_ms)}, the "
            f"record's timestamp {_said(made_ms)}: one of its producer's clocks is wrong, "
            f"{_whose(at_ms, made_ms, now_ms)}"
        )
    made_ms = at_ms if made_ms is None else made_ms
    return Located(record.offset, made_ms, event, record.stamped_by_broker)


def check_partition(event: Interaction, source: Source, belongs: int, told: str = "") -> None:
    """``belongs``: the partition of its user. ``told``: what is known of the key.

    Raises InvalidField.
    """
    if belongs != source.partition:
        raise InvalidField(
            f"user {event.user_id!r} belongs to partition {belongs}; expected the key to be "
            "the user_id and the partitioner Kafka's default (murmur2)"
            f"{told}"
        )


def record_time_ms(stamp: int, latest_ms: int) -> int | None:
    """A record's timestamp in milliseconds, whatever its unit; None when it says nothing."""
    if stamp <= SECONDS_BELOW:
        stamp *= 1_000
    elif stamp > MILLIS_BELOW:
        stamp //= 1_000 if stamp <= MICROS_BELOW else 1_000_000
    return stamp if EARLIEST_MS <= stamp <= latest_ms else None


def _whose(at_ms: int, made_ms: int, now_ms: int) -> str:
    """The one that is farther from the worker's own."""
    events = abs(at_ms - now_ms) > abs(made_ms - now_ms)
    return f"most likely the {'event' if events else 'record'}'s"


def _said(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"
