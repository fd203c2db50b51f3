"""A run of events of one partition: by which rules it is folded, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from streamrec.core.events import Interaction, UserUpdate
from streamrec.core.examples import Example, ForgetMark

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Located:
    """An event and where it stands in its partition.

    ``stamped_by_broker``: ``produced_at_ms`` is by the broker's clock, not by the producer's.
    """

    offset: int
    produced_at_ms: int
    event: Interaction
    stamped_by_broker: bool = False


@dataclass(frozen=True, slots=True)
class FoldRules:
    """``partitions`` of the events topic: half-lives by events are shared out over them.

    ``remember_ms``: event ids are known for so long. ``keep_ms``: users and items of whom nothing
    has been heard for so long are forgotten; 0: never. Both by event time.
    """

    partitions: int = 1
    attribution_window_ms: int = 300_000
    remember_ms: int = 172_800_000
    keep_ms: int = 0
    repeats: int = 3  # of one item among a user's last accepted ones; more lift it no further


@dataclass(frozen=True, slots=True)
class FoldResult:
    """What a commit must write and publish (``examples``, ``updates``).

    ``users``, ``rows``, ``own``, ``logs``, ``seen_ms``: as ``ports.Writes`` has them; None: nothing
    is known any more. ``examples``: by task. ``forgotten``: marks for those of every task, in their
    place. ``refused``: events that nobody can use, by offset, and why.
    """

    users: dict[str, dict[str, Any] | None]
    rows: dict[str, dict[str, Any] | None]
    own: dict[str, dict[str, Any] | None]
    logs: dict[str, bytes | None]
    seen_ms: dict[str, int]
    examples: dict[str, list[Example]]
    updates: list[UserUpdate]
    duplicates: int
    unknown_items: int
    late_clicks: int  # of impressions already closed: counted, not learned
    late_views: int  # likewise
    forgotten: list[ForgetMark]
    refused: dict[int, str]
    expired_users: int
    expired_items: int
    unusable_replies: int  # whose outcome is known, and whose log says nothing to learn from


@dataclass(slots=True)
class Gathered:
    """What one run gathers."""

    now_ms: int
    users: dict[str, None] = field(default_factory=dict)  # ordered set of those touched
    updates: list[UserUpdate] = field(default_factory=list)
    forgotten: list[ForgetMark] = field(default_factory=list)
    duplicates: int = 0
    unknown_items: int = 0
    late_clicks: int = 0
    late_views: int = 0
    refused: dict[int, str] = field(default_factory=dict)
    expired_users: int = 0
    expired_items: int = 0
    unusable_replies: int = 0

    def result(self, **written: Any) -> FoldResult:
        """``written``: what is not gathered event by event."""
        gathered = {spec.name: getattr(self, spec.name) for spec in fields(self)}
        del gathered["now_ms"], gathered["users"]
        return FoldResult(**gathered, **written)


def update(partition: int, at: Located, now_ms: int) -> UserUpdate:
    """What tells the serving workers of an event."""
    event = at.event
    return UserUpdate(
        user_id=event.user_id,
        item_id=event.item_id,
        kind=event.kind,
        partition=partition,
        offset=at.offset,
        occurred_at_ms=event.occurred_at_ms,
        produced_at_ms=at.produced_at_ms,
        applied_at_ms=now_ms,
    )
