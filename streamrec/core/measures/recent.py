"""What the loop did in the last quarter of an hour: rates, latency, freshness, hit rate.

Knows sums by short intervals of time, and that they are forgotten. Feed it messages in the order of
their Kafka timestamps; the measures are those of ``freshness`` and ``list_quality``:

- *latency*: timestamp of a list minus that of the event that triggered it.
- *freshness*: from a click to the moment a generation answers that has learned it.
- *hit rate*: of clicks after a list, whether the item was among its first ten; *popular*: whether
  it was among the ten most clicked since counting began, without what the user had already.

Not every user has to be told of here: rates count messages, the rest is of those that were told.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from streamrec.core.events import Interaction, Recommendation, Trigger
from streamrec.core.measures.freshness import ClickFreshness
from streamrec.core.measures.list_quality import ListQuality
from streamrec.core.measures.percentiles import percentiles

STEP_MS = 5_000
STEPS = 180
NOW_STEPS = 12
"""A minute: what is said of now."""
MEASURED = 400
"""Latencies of one step that are kept."""
USERS = 20_000
CLICKS = 20_000
"""Of a partition, that wait for a generation which has learned them."""


@dataclass(slots=True)
class Step:
    """Sums over ``STEP_MS``."""

    events: int = 0
    lists: int = 0
    clicks: int = 0  # after a list, that were scored
    hits: int = 0
    popular_hits: int = 0
    latency_ms: list[float] = field(default_factory=list)
    freshness_s: list[float] = field(default_factory=list)


class RecentLoop:
    """Gathers; one thread at a time."""

    def __init__(self) -> None:
        self._steps: OrderedDict[int, Step] = OrderedDict()
        self._quality = ListQuality(most_users=USERS)
        self._freshness = ClickFreshness(CLICKS)

    def counted(self, at_ms: int, *, events: int = 0, lists: int = 0) -> None:
        """So many messages are on their topics."""
        step = self._step(at_ms)
        step.events += events
        step.lists += lists

    def happened(self, event: Interaction, partition: int, offset: int, at_ms: int) -> None:
        """An event of a user who is watched."""
        quality, step = self._quality, self._step(at_ms)
        quality.happened(event)
        for served, popular in zip(quality.served_ranks, quality.popular_ranks, strict=True):
            step.clicks += 1
            step.hits += served is not None
            step.popular_hits += popular is not None
        quality.served_ranks.clear()
        quality.popular_ranks.clear()
        if event.accepted:
            self._freshness.clicked(partition, offset, at_ms)

    def recommended(self, message: Recommendation, at_ms: int) -> None:
        """A list of a user who is watched; one that was asked for is not scored."""
        if message.trigger is not Trigger.USER_UPDATE:
            return
        step, latency_ms = self._step(at_ms), at_ms - message.triggered_at_ms
        if latency_ms >= 0 and len(step.latency_ms) < MEASURED:  # else: clocks that disagree
            step.latency_ms.append(latency_ms)
        self._quality.recommended(message.user_id, [item.item_id for item in message.items])

    def champion(self, at_ms: int, through: Mapping[str, int]) -> None:
        """A generation answers from now on; ``through``: as its manifest has it."""
        self._step(at_ms).freshness_s += self._freshness.trained(at_ms, through)

    def now(self, now_ms: int) -> dict[str, Any]:
        """The last minute that is over, as JSON fields; None: there was nothing to measure."""
        return _fields(
            [self._steps.get(number, Step()) for number in self._over(now_ms, NOW_STEPS)]
        )

    def series(self, now_ms: int) -> list[dict[str, Any]]:
        """The same of every step that is over, the oldest first, each with its ``at_ms``."""
        return [
            {"at_ms": number * STEP_MS, **_fields([self._steps.get(number, Step())])}
            for number in self._over(now_ms, STEPS)
        ]

    def _over(self, now_ms: int, most: int) -> range:
        """Steps that are over, since counting began."""
        last = now_ms // STEP_MS
        return range(max(last - most, min(self._steps, default=last)), last)

    def _step(self, at_ms: int) -> Step:
        number = at_ms // STEP_MS
        if number not in self._steps:
            self._steps[number] = Step()
            while len(self._steps) > STEPS + 1:
                del self._steps[min(self._steps)]
        return self._steps.get(number, Step())  # of longer ago than is remembered: counts nowhere


def _fields(steps: Sequence[Step]) -> dict[str, Any]:
    seconds = max(1, len(steps)) * STEP_MS / 1000
    clicks = sum(step.clicks for step in steps)
    return {
        "events_per_s": round(sum(step.events for step in steps) / seconds, 2),
        "lists_per_s": round(sum(step.lists for step in steps) / seconds, 2),
        "latency_ms": percentiles([ms for step in steps for ms in step.latency_ms], 50, 95),
        "freshness_s": percentiles([s for step in steps for s in step.freshness_s], 50, 95),
        "clicks": clicks,
        "hits": sum(step.hits for step in steps),
        "popular_hits": sum(step.popular_hits for step in steps),
    }
