"""What time it is in each partition of the events, and whose clocks were not believed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.table import Table

from streamrec.apps.status_fields import clocks
from streamrec.cli.console import ago, table
from streamrec.ports import WorkerStatus

COLUMNS = ("ahead", "clipped", "returns", "refused")
AHEAD_MS = 120_000
"""A partition's time this far ahead of ours is told."""


def clocks_table(workers: Iterable[WorkerStatus], now_ms: int) -> list[Table]:
    """For people; nothing where no partition has had an event."""
    rows = [
        (one["partition"], *_when(one["event_time_ms"], now_ms), *(one[c] for c in COLUMNS))
        for one in clocks(workers)
        if one["event_time_ms"]
    ]
    titles = ["ahead: not believed>", "later than its record>", "went back>", "refused times>"]
    return [table("", ["partition", "event time", "", *titles], rows)] if rows else []


def clock_troubles(workers: Sequence[WorkerStatus], now_ms: int) -> list[tuple[str, str]]:
    """What somebody should know of the producers' clocks, and what to do."""
    troubles = []
    for one in clocks(workers):
        if one["event_time_ms"] > now_ms + AHEAD_MS:
            when = ago(one["event_time_ms"] - now_ms)
            said = f"partition {one['partition']} stands {when} in the future"
            troubles.append((said, "its producers' clocks are ahead: run NTP there"))
        odd = [f"{one[what]:,} {words}" for what, words in _ODD.items() if one[what]]
        if odd:
            said = f"partition {one['partition']}: {', '.join(odd)}"
            troubles.append((said, "docs/operating.md, Clocks"))
    return troubles


_ODD = {
    "ahead": "events ahead of the others, not believed",
    "clipped": "events later than their own records (local time without a zone?)",
    "refused": "refused for impossible times",
}


def _when(at_ms: int, now_ms: int) -> tuple[str, str]:
    said = f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"
    behind_ms = now_ms - at_ms
    return said, f"{ago(behind_ms)} ago" if behind_ms >= 0 else f"{ago(-behind_ms)} ahead"
