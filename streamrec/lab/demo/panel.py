"""What is seen while the demo runs: a panel in a terminal, a line now and then elsewhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from streamrec.core.measures.list_quality import quality
from streamrec.core.measures.percentiles import percentiles
from streamrec.core.printable import one_line
from streamrec.core.release.registry import Action, ControlRecord
from streamrec.lab.demo.watcher import Watcher
from streamrec.lab.measures.loop_watch import LoopWatch

RECENT_CLICKS = 1_000
RECENT_MESSAGES = 1_000
RATE_OVER_S = 5.0

_STYLES = {
    Action.ACTIVATE: "green",
    Action.ROLLBACK: "yellow",
    Action.REJECT: "red",
    Action.STAGE: "dim",
}


class Panels:
    """Renders a watcher's findings; remembers a little to show rates."""

    def __init__(self, watcher: Watcher, title: str) -> None:
        self._watcher = watcher
        self._title = title
        self._applied: deque[tuple[float, int]] = deque()
        self.act = "starting"

    def tick(self, elapsed_s: float) -> None:
        """Take note of where things are; call it a few times a second."""
        self._applied.append((elapsed_s, self._watcher.loop.applied))
        while elapsed_s - self._applied[0][0] > RATE_OVER_S:
            self._applied.popleft()

    def line(self) -> str:
        """Everything in one line."""
        loop = self._watcher.loop
        served, popular = _recent_quality(loop)
        return (
            f"{self.act}: {self._rate():.0f} events/s, {_behind(loop)} behind, "
            f"{loop.published:,} lists, "
            f"hit rate {served:.3f} (popular {popular:.3f}), {_milliseconds(loop)}, "
            f"champion {loop.champion or '-'}"
        )

    def panel(self) -> RenderableType:
        """The whole picture."""
        loop = self._watcher.loop
        served, popular = _recent_quality(loop)
        fresh = percentiles(loop.freshness_s[-RECENT_MESSAGES:], 50)["p50"]
        counts = loop.generations
        grid = Table.grid(padding=(0, 2))
        for name, value in (
            ("events", f"{self._rate():.0f}/s, {loop.applied:,} applied, {_behind(loop)} behind"),
            ("lists", f"{loop.published:,} published, {loop.walk.mixed} mixed"),
            ("hit rate@10", f"{served:.3f} served, {popular:.3f} most popular (last clicks)"),
            ("event → list", _milliseconds(loop)),
            ("click → model", "-" if fresh is None else f"{fresh:.1f} s (median)"),
            (
                "generations",
                f"{len(counts.candidates)} candidates, {len(counts.activated)} activated, "
                f"{len(counts.rejected)} rejected",
            ),
            ("dead letters", f"{loop.dead_letters}"),
        ):
            grid.add_row(Text(name, style="bold"), Text(value))
        return Panel(
            Group(grid, Text(), log_of([record for _, record in self._watcher.records])),
            title=Text(self._title),
            subtitle=Text(self.act),
            title_align="left",
            subtitle_align="left",
        )

    def _rate(self) -> float:
        if len(self._applied) < 2:
            return 0.0
        (start_s, before), (end_s, after) = self._applied[0], self._applied[-1]
        return (after - before) / max(end_s - start_s, 1e-3)


def log_of(records: Iterable[ControlRecord]) -> RenderableType:
    """What was done to generations, the newest last."""
    lines = Table.grid(padding=(0, 1))
    for record in records:
        style = _STYLES.get(record.action, "")
        lines.add_row(
            Text(record.action.value, style=style),
            Text(record.generation or ""),
            Text(one_line(record.reason), style="dim", no_wrap=True, overflow="ellipsis"),
        )
    return lines


def _behind(loop: LoopWatch) -> int:
    return max(0, loop.produced - loop.applied - loop.dead_letters)


def _recent_quality(loop: LoopWatch) -> tuple[float, float]:
    ranks = loop.quality
    served = quality(ranks.served_ranks[-RECENT_CLICKS:])
    return served.hit_rate, quality(ranks.popular_ranks[-RECENT_CLICKS:]).hit_rate


def _milliseconds(loop: LoopWatch) -> str:
    found = percentiles(loop.latency_ms[-RECENT_MESSAGES:], 50, 95)
    if found["p50"] is None:
        return "no list yet"
    return f"{found['p50']:.0f} ms, 95 % {found['p95']:.0f} ms"
