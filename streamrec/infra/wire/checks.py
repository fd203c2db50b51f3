"""Checks of one field of a producer's input, with messages that say what was expected.

Knows what an id, a time, a text and a number must look like. Does not know which value
has which fields (``infra.wire.values``). Every function raises ``InvalidField``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from streamrec.errors import InvalidField

Fields = Mapping[str, Any]

MAX_ID_BYTES = 256
MAX_INT = 2**31 - 1
MAX_K = 1000
EARLIEST_MS = 631_152_000_000
"""1990-01-01: nothing clicked before the web. Catches seconds sent as milliseconds."""
LATEST_MS = 253_402_300_799_999
SECONDS_BELOW = 1e11
"""A JSON number up to this is seconds since the epoch, above it milliseconds."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def invalid(name: str, found: object, expected: str) -> InvalidField:
    if found is None:
        return InvalidField(f"{name} is missing; expected {expected}")
    shown = repr(found)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return InvalidField(f"{name} is {shown}; expected {expected}")


Choice = TypeVar("Choice", bound=StrEnum)


def one_of(choices: type[Choice], fields: Fields, name: str) -> Choice:
    """The member a field names. A newer version may know more of them: not ours to guess."""
    found = fields[name]
    try:
        return choices(found)
    except ValueError:
        raise invalid(name, found, f"one of {', '.join(choices)}") from None


def identifier(fields: Fields, name: str) -> str:
    value = fields.get(name)
    # a character is at most four bytes of UTF-8: short strings need no encoding to be measured
    if (
        isinstance(value, str)
        and value
        and (len(value) <= MAX_ID_BYTES // 4 or len(value.encode()) <= MAX_ID_BYTES)
    ):
        return value
    raise invalid(name, value, f"a string of 1 to {MAX_ID_BYTES} bytes")


def text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise invalid(name, value, "a string")
    return value


def texts(fields: Fields, name: str) -> tuple[str, ...]:
    value = fields.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise invalid(name, value, "a list of strings")
    return tuple(value)


def text_map(fields: Fields, name: str) -> dict[str, str]:
    value = fields.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(entry, str) for entry in value.values()):
        raise invalid(name, value, "an object whose values are strings")
    return value


def flag(fields: Fields, name: str, default: bool) -> bool:
    value = fields.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise invalid(name, value, "true or false")
    return value


def finite(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise invalid(name, value, "a finite number")
    return float(value)


def whole(name: str, value: object, minimum: int, maximum: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
        raise invalid(name, value, f"a whole number from {minimum} to {maximum}")
    return value


def time_ms(fields: Fields, name: str) -> int:
    """``<name>_ms`` as it is, or ``<name>`` as ISO 8601 (UTC if it names no zone) or a number."""
    value = fields.get(name + "_ms")
    if isinstance(value, int):
        return _sane(name + "_ms", value, value)
    if value is None:
        value = fields.get(name)
    if isinstance(value, str):
        return _sane(name, value, _moment_ms(_parse_iso(name, value)))
    if isinstance(value, datetime):  # an Avro logical type of somebody else's schema
        return _sane(name, value, _moment_ms(value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        in_ms = value if value > SECONDS_BELOW else value * 1000
        return _sane(name, value, round(in_ms) if math.isfinite(in_ms) else None)
    raise invalid(name, value, "an ISO 8601 time or a number of seconds or milliseconds")


def _parse_iso(name: str, value: str) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise invalid(name, value, "an ISO 8601 time or a number") from None


def _moment_ms(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MILLISECOND


def _sane(name: str, found: object, at_ms: int | None) -> int:
    if at_ms is not None and EARLIEST_MS <= at_ms <= LATEST_MS:
        return at_ms
    raise invalid(name, found, "a time after 1990 (a *_ms field is milliseconds)")
