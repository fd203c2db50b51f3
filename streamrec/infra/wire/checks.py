"""Checks of one field of a producer's input, with messages that say what was expected.

Knows what an id, a time, a text and a number must look like, and in which other forms they come:
null is absence, a scalar is its text. Does not know which value
has which fields (``infra.wire.values``). Every function raises ``InvalidField``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

from streamrec.core.events import Variant
from streamrec.errors import InvalidField

Fields = Mapping[str, Any]
Texts = tuple[str, ...]

MAX_ID_BYTES = 256
MAX_INT = 2**31 - 1
MAX_K = 1000
EARLIEST_MS = 631_152_000_000
"""1990-01-01: nothing clicked before the web. Catches seconds sent as milliseconds."""
LATEST_MS = 253_402_300_799_999
SECONDS_BELOW = 1e11
"""A number up to this is seconds since the epoch, above it milliseconds, then finer units."""

EXACT_BELOW = 2**53
"""Above it, a floating-point number may stand for several whole numbers."""

_AN_ID = f"a string of 1 to {MAX_ID_BYTES} bytes, or a whole number"
_FLAGS = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}
_DIGITS = re.compile(r"\d{9,19}(\.\d+)?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def invalid(name: str, found: object, expected: str) -> InvalidField:
    if found is None:
        return InvalidField(f"{name} is missing; expected {expected}", name)
    shown = repr(found)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return InvalidField(f"{name} is {shown}; expected {expected}", name)


Choice = TypeVar("Choice", bound=StrEnum)


def one_of(choices: type[Choice], fields: Fields, name: str) -> Choice:
    """The member a field names. A newer version may know more of them: not ours to guess."""
    found = fields[name]
    try:
        return choices(found)
    except ValueError:
        raise invalid(name, found, f"one of {', '.join(choices)}") from None


def identifier(fields: Fields, name: str) -> str:
    """An id: a string, or a whole number's decimal text."""
    value = fields.get(name)
    if not isinstance(value, str):
        value = id_text(name, value)
    # a character is at most four bytes of UTF-8: short strings need no encoding to be measured
    if value and (len(value) <= MAX_ID_BYTES // 4 or len(value.encode()) <= MAX_ID_BYTES):
        return value
    raise invalid(name, value, _AN_ID)


def id_text(name: str, value: object) -> str:
    """The text of an id; a number with a fraction, or one that may have lost digits, is none."""
    if isinstance(value, str | UUID):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value}"
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return f"{value.to_integral_value():f}"
    if isinstance(value, float) and value.is_integer() and abs(value) <= EXACT_BELOW:
        return f"{int(value)}"
    raise invalid(name, value, _AN_ID)


def scalar_text(name: str, value: object) -> str:
    """The text of anything that is one value: 1984, 4.5, "true", a UUID, an ISO 8601 time."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | UUID):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return f"{int(value)}" if value.is_integer() and abs(value) <= EXACT_BELOW else repr(value)
    if isinstance(value, Decimal) and value.is_finite():
        return f"{value:f}"
    if isinstance(value, date | time):
        return value.isoformat()
    raise invalid(name, value, "a text, a number, true or false")


def text(fields: Fields, name: str) -> str:
    """Of any scalar; empty where there is none."""
    value = fields.get(name)
    return "" if value is None else scalar_text(name, value)


EntryText = Callable[[str, object], str]


def texts(fields: Fields, name: str, entry: EntryText = scalar_text, at: str = "") -> Texts:
    """A list of scalars without its nulls; one scalar is a list of itself, "" of nothing.

    ``at``: the path to ``fields``, with its dot.
    """
    value = fields.get(name)
    if value is None or value == "":
        return ()
    path = at + name
    if isinstance(value, list | tuple):
        found = enumerate(value)
        return tuple(entry(f"{path}[{n}]", one) for n, one in found if one is not None)
    if isinstance(value, Mapping):
        raise invalid(path, value, "a list of texts")
    return (entry(path, value),)


def text_map(fields: Fields, name: str, at: str = "") -> dict[str, str]:
    """Scalars by name, as texts; null is absence. A list of pairs is a map of Kafka Connect's."""
    value, path = fields.get(name), at + name
    if value is None:
        return {}
    if isinstance(value, list) and all(map(_is_pair, value)):
        value = {scalar_text(f"{path}.key", one["key"]): one["value"] for one in value}
    if not isinstance(value, Mapping):
        raise invalid(path, value, "an object whose values are texts, numbers, true or false")
    found = value.items()
    return {key: scalar_text(f"{path}.{key}", one) for key, one in found if one is not None}


def _is_pair(value: object) -> bool:
    return isinstance(value, dict) and set(value) == {"key", "value"}


def flag(fields: Fields, name: str, default: bool) -> bool:
    value = fields.get(name)
    if value is None:
        return default
    if isinstance(value, bool | int | float | str):
        found = _FLAGS.get(scalar_text(name, value).lower())
        if found is not None:
            return found
    raise invalid(name, value, "true or false")


def variants(fields: Fields) -> tuple[Variant, ...]:
    """Wordings of an item, each with an id of its own and a title."""
    found = fields.get("variants")
    if found is None:
        return ()
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise invalid("variants", found, "a list of objects")
    made = tuple(
        Variant(identifier(one, "variant_id"), text(one, "title"), text(one, "text"))
        for one in found
    )
    if len({one.variant_id for one in made}) < len(made):
        raise invalid("variants", found, "a variant_id of its own for each")
    if not all(one.title.strip() for one in made):
        raise invalid("variants", found, "a title in each")
    return made


def finite(name: str, value: object) -> float:
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        with suppress(OverflowError):  # a whole number of four hundred digits
            if math.isfinite(value):
                return float(value)
    raise invalid(name, value, "a finite number")


def whole(name: str, value: object, minimum: int, maximum: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise invalid(name, value, f"a whole number from {minimum} to {maximum}")
    if minimum <= value <= maximum and value == int(value):
        return int(value)
    raise invalid(name, value, f"a whole number from {minimum} to {maximum}")


def time_ms(fields: Fields, name: str) -> int:
    """``<name>_ms``, or ``<name>`` as ISO 8601 (UTC if it names no zone) or a number.

    A number says its unit by its size, under either name: a field called ``_ms`` that holds
    seconds is plain enough.
    """
    value = fields.get(name + "_ms")
    if isinstance(value, int) and not isinstance(value, bool):
        return _sane(name + "_ms", value, _number_ms(value))
    if value is None:
        value = fields.get(name)
    if isinstance(value, str):
        return _sane(name, value, _text_ms(name, value))
    if isinstance(value, datetime):  # an Avro logical type of somebody else's schema
        return _sane(name, value, _moment_ms(value))
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return _sane(name, value, _number_ms(value))
    raise invalid(name, value, "an ISO 8601 time or a number of seconds or milliseconds")


def _number_ms(value: float | Decimal) -> int | None:
    """By its size: seconds, milli-, micro- or nanoseconds since 1970 do not overlap."""
    if not 0 <= value < 1e19:
        return None
    if value <= SECONDS_BELOW:
        return round(value * 1000)
    if value <= LATEST_MS:
        return round(value)
    return int(value) // (1_000 if value <= LATEST_MS * 1_000 else 1_000_000)


def _text_ms(name: str, value: str) -> int | None:
    if _DIGITS.fullmatch(value):
        return _number_ms(Decimal(value))
    try:
        return _moment_ms(datetime.fromisoformat(value.strip()))
    except ValueError:
        raise invalid(name, value, "an ISO 8601 time or a number") from None


def _moment_ms(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MILLISECOND


def _sane(name: str, found: object, at_ms: int | None) -> int:
    if at_ms is not None and EARLIEST_MS <= at_ms <= LATEST_MS:
        return at_ms
    raise invalid(name, found, "a time after 1990 (a *_ms field is milliseconds)")
