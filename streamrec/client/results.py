"""What a gateway answers, as frozen values. ``raw``: the answer as it came, newer fields too.

Times are milliseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ServedItem:
    """One item of a list; ``probability`` is the model's, of a click. Fallbacks have neither that
    nor a reason."""

    item_id: str
    title: str
    probability: float | None
    reason: str
    raw: Json = field(repr=False, compare=False, default_factory=dict)

    @staticmethod
    def of(fields: Json) -> ServedItem:
        return ServedItem(
            str(fields["item_id"]),
            str(fields.get("title") or ""),
            fields.get("probability"),
            str(fields.get("reason") or ""),
            fields,
        )


@dataclass(frozen=True, slots=True)
class ServedList:
    """A ranked list, and the generation it is of."""

    recommendation_id: str
    user_id: str
    generation: str
    items: tuple[ServedItem, ...]
    served_at_ms: int
    raw: Json = field(repr=False, compare=False, default_factory=dict)

    @staticmethod
    def of(fields: Json) -> ServedList:
        return ServedList(
            str(fields["recommendation_id"]),
            str(fields["user_id"]),
            str(fields["generation"]),
            tuple(map(ServedItem.of, fields["items"])),
            int(fields["served_at_ms"]),
            fields,
        )


@dataclass(frozen=True, slots=True)
class FallbackList:
    """What is shown when no list is to be had; ``source`` says what it was made from."""

    items: tuple[ServedItem, ...]
    source: str
    raw: Json = field(repr=False, compare=False, default_factory=dict)

    @staticmethod
    def of(fields: Json) -> FallbackList:
        items = tuple(map(ServedItem.of, fields["items"]))
        return FallbackList(items, str(fields.get("source") or ""), fields)


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    item_id: str
    title: str
    action: str
    at_ms: int | None


@dataclass(frozen=True, slots=True)
class UserHistory:
    user_id: str
    history: tuple[HistoryEntry, ...]
    raw: Json = field(repr=False, compare=False, default_factory=dict)

    @staticmethod
    def of(fields: Json) -> UserHistory:
        entries = (
            HistoryEntry(
                str(one["item_id"]),
                str(one.get("title") or ""),
                str(one.get("action") or ""),
                one.get("at_ms"),
            )
            for one in fields["history"]
        )
        return UserHistory(str(fields["user_id"]), tuple(entries), fields)


@dataclass(frozen=True, slots=True)
class LineVerdict:
    """What became of one event or item; ``line`` counts from 1 over all that were given."""

    line: int
    accepted: bool
    id: str
    code: str
    reason: str
    raw: Json = field(repr=False, compare=False, default_factory=dict)


@dataclass(frozen=True, slots=True)
class SendOutcome:
    """A verdict for each event or item, in their order. Accepted: Kafka has acknowledged it."""

    verdicts: tuple[LineVerdict, ...]

    @property
    def accepted(self) -> int:
        return sum(one.accepted for one in self.verdicts)

    @property
    def refused(self) -> tuple[LineVerdict, ...]:
        return tuple(one for one in self.verdicts if not one.accepted)


@dataclass(frozen=True, slots=True)
class SwapOutcome:
    """A change of what answers; workers that have confirmed it, in ms, and those that have not."""

    generation: str
    revision: int
    confirmed_ms: Mapping[str, int]
    refused: Mapping[str, str]
    silent: tuple[str, ...]
    problem: str

    @property
    def complete(self) -> bool:
        return not (self.refused or self.silent or self.problem)

    @staticmethod
    def of(fields: Json) -> SwapOutcome:
        return SwapOutcome(
            str(fields["generation"]),
            int(fields["revision"]),
            dict(fields.get("confirmed_ms") or {}),
            dict(fields.get("refused") or {}),
            tuple(fields.get("silent") or ()),
            str(fields.get("problem") or ""),
        )


@dataclass(frozen=True, slots=True)
class PinState:
    champion: str | None
    pinned: bool

    @staticmethod
    def of(fields: Json) -> PinState:
        return PinState(fields.get("champion"), bool(fields["pinned"]))
