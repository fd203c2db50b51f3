"""What is seen while headlines are played, and what is left when that ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from streamrec.core.measures.percentiles import percentiles
from streamrec.lab.demo.headline_watch import HeadlineWatch
from streamrec.lab.demo.newsroom import Newsroom, worth
from streamrec.lab.demo.panel import log_of
from streamrec.lab.demo.stage import Stage

RECENT = 500


class HeadlinePanel:
    """Renders what is found. ``act``: what happens now."""

    def __init__(self, watch: HeadlineWatch, newsroom: Newsroom) -> None:
        self._watch, self._newsroom = watch, newsroom
        self.act = "starting"

    def picture(self, played_s: float) -> tuple[RenderableType, str]:
        """The panel, and all of it in one line."""
        watch, every = self._watch, self._newsroom.tests
        found, later = worth(every), worth([test for test in every if test.learned])
        counts, over = watch.generations, sum(test.over for test in every)
        latency = percentiles(watch.latency_ms[-RECENT:], 50)["p50"]
        rows = {
            "impressions": f"{found['impressions']:,}, {found['clicks']:,} clicked; "
            f"{found['impressions'] / max(played_s, 1):.0f}/s, {watch.behind:,} events behind",
            "tests": f"{len(every) - over} run, {over} are over",
            "clicks": clicks_in_words(found),
            "since it learned": clicks_in_words(later),
            "request → list": "-" if latency is None else f"{latency:.0f} ms (median)",
            "generations": f"{len(counts.candidates)} candidates, {len(counts.activated)} "
            f"activated, {len(counts.rejected)} rejected; champion {watch.champion or '-'}",
        }
        grid = Table.grid(padding=(0, 2))
        for name, text in rows.items():
            grid.add_row(Text(name, style="bold"), Text(text))
        panel = Panel(
            Group(grid, Text(), log_of(watch.records)),
            title=Text("streamrec demo · headlines"),
            subtitle=Text(self.act),
            title_align="left",
            subtitle_align="left",
        )
        told = ("impressions", "tests", "clicks", "generations")
        return panel, f"{self.act}: " + "; ".join(f"{name} {rows[name]}" for name in told)


def clicks_in_words(found: Mapping[str, Any]) -> str:
    """Over showing all equally, and the prior's part."""
    if found["lift"] is None:
        return "-"
    part = found["prior_part"]
    return (
        f"{found['lift']:+.1%} over showing all equally, of it by the prior "
        f"{100 * part['mean']:+.1f} points"
    )


def headline_summary(
    stage: Stage, watch: HeadlineWatch, newsroom: Newsroom, *, interrupted: bool
) -> dict[str, Any]:
    """The numbers, JSON-able. None: there was nothing to measure."""
    every, counts = newsroom.tests, watch.generations
    memory, rollback = stage.memory, stage.rolled_back
    return {
        "stream": "headlines",
        "events": {
            "produced": watch.produced,
            "applied": watch.applied,
            "dead_letter": watch.dead_letters,
        },
        "tests": {
            "opened": len(every),
            "over": sum(test.over for test in every),
            "left_out": newsroom.left_out,
        },
        "all": worth(every),
        "opened_after_learning": worth([test for test in every if test.learned]),
        "latency_ms": {"request_to_recommendation": percentiles(watch.latency_ms, 50, 95, 99)},
        "generations": {
            "candidates": len(counts.candidates),
            "activated": len(counts.activated),
            "rejected": len(counts.rejected),
        },
        "swap_ms": {
            "rollback_all_workers": rollback.back_ms,
            "forward_all_workers": rollback.forward_ms,
        },
        "peak_memory_mb": {name: round(size) for name, size in sorted(memory.peak_mb.items())},
        "peak_memory_total_mb": round(memory.total_mb),
        "run": {
            "played_s": stage.played_s,
            "ready_after_s": stage.ready_after_s,
            "rolled_back_from": rollback.undone,
            "worker_restarts": stage.loop.deaths,
            "interrupted": interrupted,
        },
    }


def headlines_in_words(summary: Mapping[str, Any]) -> RenderableType:
    """The summary for people."""
    return Group(*(Text.assemble((f"{name:<18}", "bold"), text) for name, text in _lines(summary)))


def _lines(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    events, made, run = summary["events"], summary["generations"], summary["run"]
    found, later, swap = summary["all"], summary["opened_after_learning"], summary["swap_ms"]
    latency = summary["latency_ms"]["request_to_recommendation"]
    restarts = [("restarts", f"{run['worker_restarts']} workers")] if run["worker_restarts"] else []
    median = "-" if latency["p50"] is None else f"{latency['p50']:.0f} ms"
    return [
        ("played", f"{summary['tests']['opened']} tests of headlines in {run['played_s']:.0f} s"),
        ("impressions", f"{found['impressions']:,}, {found['clicks']:,} of them clicked"),
        (
            "events",
            f"{events['produced']:,} produced, {events['applied']:,} applied, "
            f"{events['dead_letter']:,} refused to the dead-letter topic",
        ),
        ("clicks", _clicks(found)),
        ("opened after it", f"had learned, {later['tests']} tests: {_clicks(later)}"),
        (
            "generations",
            f"{made['candidates']} candidates, {made['activated']} activated, "
            f"{made['rejected']} rejected by the gate",
        ),
        ("rollback", _rolled_back(swap, run["rolled_back_from"])),
        ("request to list", f"median {median}"),
        ("memory", f"{summary['peak_memory_total_mb']:,} MB at most at one time"),
        *restarts,
    ]


def _clicks(found: Mapping[str, Any]) -> str:
    if found["lift"] is None:
        return "nothing was shown"
    part = found["prior_part"]
    return (
        f"{found['lift']:+.1%} over showing all equally; without a prior it would have been "
        f"{found['lift_without_prior']:+.1%}: the prior's part is {100 * part['mean']:+.1f} points "
        f"[{100 * part['low']:+.1f}, {100 * part['high']:+.1f}]"
    )


def _rolled_back(swap: Mapping[str, Any], undone: str) -> str:
    if swap["rollback_all_workers"] is None:
        return "not shown: there was no former champion yet"
    forward = swap["forward_all_workers"]
    return (
        f"{undone} undone on all serving workers in {swap['rollback_all_workers']} ms, and brought "
        f"back in {'-' if forward is None else forward} ms"
    )
