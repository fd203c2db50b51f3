"""One cell as what its field wants: an id, a time, a number, a list.

A table of text says less than JSON: what a cell may mean twice is refused, with the option that
decides it. Whether the value is sensible is checked where every producer's is
(``infra.wire.checks``). Every function raises ``InvalidField``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from streamrec.errors import InvalidField, UserError
from streamrec.infra.wire.checks import (
    EARLIEST_MS,
    LATEST_MS,
    finite,
    id_text,
    invalid,
    scalar_text,
    time_ms,
)

UNITS = {"s": Decimal(1_000), "ms": Decimal(1), "us": Decimal("1e-3"), "ns": Decimal("1e-6")}
NO_IDS = frozenset({"NULL", "null", "None", "none", "nan", "NaN", "NA", "N/A", "<NA>", "undefined"})
"""What programs write where they have none: as an id, all of them would be one user's."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_DIGITS = re.compile(r"\d+(\.\d+)?")
_HOW = "--time-format says how it is written, as in --time-format '%d.%m.%Y %H:%M:%S'"


@dataclass(frozen=True, slots=True)
class TimeForm:
    """How times are written, where that is not plain. Raises UserError."""

    unit: str = ""  # of numbers: a key of UNITS
    pattern: str = ""  # as strptime has it
    zone: str = ""  # of times that name none

    def __post_init__(self) -> None:
        if self.unit and self.unit not in UNITS:
            raise UserError(f"--time-unit {self.unit}: expected one of {', '.join(UNITS)}")
        if self.unit and (self.pattern or self.zone):
            raise UserError("--time-unit is for numbers, --time-format and --time-zone for text")
        self._tz()

    def ms(self, name: str, value: object) -> int:
        """Since 1970."""
        if self.unit:
            return self._counted(name, value)
        moment = self._moment(name, value)
        if isinstance(moment, datetime) and moment.tzinfo is None:
            moment = moment.replace(tzinfo=self._tz())
        try:
            return time_ms({name: moment}, name)
        except InvalidField as error:
            if isinstance(value, str) and not self.pattern:
                raise InvalidField(f"{error}: {_HOW}") from None
            raise

    def _counted(self, name: str, value: object) -> int:
        text = f"{value}" if isinstance(value, int | float | Decimal | str) else ""
        if _NUMBER.fullmatch(text) and not isinstance(value, bool):
            found = int(Decimal(text) * UNITS[self.unit])
            if EARLIEST_MS <= found <= LATEST_MS:
                return found
        raise invalid(name, value, f"a time after 1990 as a number, by --time-unit {self.unit}")

    def _moment(self, name: str, value: object) -> object:
        if not isinstance(value, str):
            return value
        if self.pattern:
            try:
                return datetime.strptime(value, self.pattern)  # noqa: DTZ007 - the zone comes later
            except ValueError:
                raise invalid(name, value, f"a time as {self.pattern}") from None
        if self.zone and not _DIGITS.fullmatch(value):
            try:
                return datetime.fromisoformat(value)
            except ValueError:
                return value  # whoever checks it says what is wrong
        return value

    def _tz(self) -> tzinfo:
        try:
            return ZoneInfo(self.zone) if self.zone else UTC
        except (ValueError, OSError, KeyError):  # a name that is none, or a directory's
            raise UserError(
                f"--time-zone {self.zone}: no such zone; expected one as Europe/Berlin"
            ) from None


def identity(name: str, value: object) -> str:
    """A text that stands for nobody is none."""
    if isinstance(value, str) and value in NO_IDS:
        raise InvalidField(f"{name} is {value!r}; where that means none, --null {value} says so")
    return id_text(name, value)


def number(name: str, value: object) -> float:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    return finite(name, value)


def listed(name: str, value: object, separator: str) -> object:
    """Of a text: its parts, where a separator is known; a list, where it is one in JSON."""
    if not isinstance(value, str):
        return value
    if separator:
        return [part.strip() for part in value.split(separator) if part.strip()]
    return (
        structured(name, value, f"or a text and --split {name}=SEPARATOR")
        if (value.startswith("["))
        else value
    )


def structured(name: str, value: object, otherwise: str = "in JSON") -> object:
    """Of a text: the object or list that it is in JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise invalid(name, value, f"an object or a list, as JSON, {otherwise}") from None


def as_json(fields: dict[str, Any]) -> bytes:
    """Also of times, decimals and UUIDs: as their text."""
    return json.dumps(fields, default=lambda value: scalar_text("a cell", value)).encode()
