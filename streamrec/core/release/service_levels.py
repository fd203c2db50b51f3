"""Whether a generation serves worse than it may: slow, empty or failing lists.

Knows the levels and how two generations compare. Does not know who measures or what is
done about a breach (``loop.releasing.guard``, ``loop.releasing.canary_rollout``).

A breach that the other generation has too is nobody's fault: the machine is slow. Only what is
*new* counts. Whoever asks for what does not exist (filters that match nothing) wants no list of
any generation: it is in no level.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Level:
    """What one generation did lately. ``latency_p95_ms``: None when nothing was answered."""

    lists: int = 0  # wanted of it, where there was something to show: answered, empty or failed
    empty: int = 0
    faults: int = 0
    latency_p95_ms: float | None = None


@dataclass(frozen=True, slots=True)
class LevelRules:
    """0 or less: no limit. ``min_lists``: of fewer lists nothing is said."""

    max_latency_ms: float = 0.0
    max_empty_ratio: float = 0.2
    max_fault_ratio: float = 0.05
    min_lists: int = 20


def together(levels: Iterable[Level]) -> Level:
    """Of a whole fleet; its latency is that of its slowest worker."""
    lists = empty = faults = 0
    slowest: float | None = None
    for level in levels:
        lists, empty, faults = lists + level.lists, empty + level.empty, faults + level.faults
        if level.latency_p95_ms is not None:
            slowest = max(slowest or 0.0, level.latency_p95_ms)
    return Level(lists, empty, faults, slowest)


def breaches(level: Level, rules: LevelRules) -> dict[str, str]:
    """Which limits are broken, by name, with the numbers for people."""
    if level.lists < rules.min_lists:
        return {}
    found = {}
    for name, count, limit in (
        ("empty lists", level.empty, rules.max_empty_ratio),
        ("faults", level.faults, rules.max_fault_ratio),
    ):
        if limit > 0 and count > limit * level.lists:
            found[name] = f"{name}: {count} of {level.lists} (at most {limit:.0%})"
    latency, limit_ms = level.latency_p95_ms, rules.max_latency_ms
    if limit_ms > 0 and latency is not None and latency > limit_ms:
        found["latency"] = f"latency: 95 % within {latency:.0f} ms (at most {limit_ms:.0f})"
    return found


def new_breaches(level: Level, rules: LevelRules, known: Collection[str]) -> str:
    """The breaches that are not among ``known``, in words; empty when there is none."""
    return "; ".join(text for name, text in breaches(level, rules).items() if name not in known)


def to_fields(level: Level) -> dict[str, Any]:
    """As it travels in a worker's beat."""
    return {
        "lists": level.lists,
        "empty": level.empty,
        "faults": level.faults,
        "latency_p95_ms": level.latency_p95_ms,
    }


def from_fields(fields: Mapping[str, Any]) -> Level:
    """The reverse; a field that is not there counts as nothing."""
    return Level(
        int(fields.get("lists", 0)),
        int(fields.get("empty", 0)),
        int(fields.get("faults", 0)),
        fields.get("latency_p95_ms"),
    )
