"""The drill's numbers: one dictionary, and the same for people.

``lost``, ``doubled`` and ``mixed`` are sums over the promises (``evidence.DrillVerdict``).
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import psutil
from rich.console import Group, RenderableType
from rich.table import Table

from streamrec.core.measures.percentiles import percentiles
from streamrec.lab.drill.evidence import DrillVerdict
from streamrec.lab.drill.strikes import Kill
from streamrec.lab.measures.drill_check import NAMED


@dataclass(slots=True)
class KillFacts:
    """What the logs do not tell."""

    seed: int
    seconds: float
    kafka: str
    sent: int = 0
    bad_sent: int = 0
    died_by_themselves: int = 0
    redis_events_rolled_back: int = 0
    redis_bytes_cut: int = 0
    not_finished: str = ""  # what was left undone when the drill stopped waiting
    interrupted: bool = False
    promises: dict[str, str] = field(default_factory=dict)  # of the servers, by name


def report(kills: Sequence[Kill], verdict: DrillVerdict, facts: KillFacts) -> dict[str, Any]:
    """JSON-able; ``ok``: every promise was kept, and everything sent was dealt with."""
    names = sorted({kill.name for kill in kills})
    return {
        "ok": verdict.kept and not facts.not_finished and not facts.interrupted,
        "kills": len(kills),
        "lost": verdict.lost,
        "doubled": verdict.doubled,
        "mixed": len(verdict.mixed),
        "recovery_s": _recovery(kills),
        "by_worker": {
            name: {
                "kills": sum(kill.name == name for kill in kills),
                "recovery_s": _recovery([kill for kill in kills if kill.name == name]),
            }
            for name in names
        },
        "killed_again_before_back": sum(kill.again for kill in kills),
        "never_back": sum(kill.back_ms is None and not kill.again for kill in kills),
        "promises": {
            name: {
                "lost": broken.lost,
                "doubled": broken.doubled,
                "different": len(broken.different),
                "named": broken.different[:NAMED],
            }
            for name, broken in verdict.promises.items()
        },
        "checked": verdict.sizes,
        "run": asdict(facts),
        "machine": machine(),
    }


def machine() -> dict[str, Any]:
    memory_gib = round(psutil.virtual_memory().total / 2**30)
    load = round(os.getloadavg()[0], 1)
    return {
        "cores": os.cpu_count(),
        "memory_gib": memory_gib,
        "load_1min_at_end": load,
        "platform": platform.platform(terse=True),
        "python": platform.python_version(),
    }


def in_words(found: Mapping[str, Any]) -> RenderableType:
    """Two tables and a line."""
    return Group(_kills(found), "", _promises(found), "", *_lines(found))


def markdown(found: Mapping[str, Any]) -> str:
    """The same as Markdown, for ``docs/drills``."""
    rows = [
        "| killed | times | back after, median s | 95 % | longest |",
        "|---|---:|---:|---:|---:|",
        *("| " + " | ".join(row) + " |" for row in _kill_rows(found)),
        "",
        "| promise | checked over | lost | doubled | different |",
        "|---|---|---:|---:|---:|",
        *("| " + " | ".join(row) + " |" for row in _promise_rows(found)),
        "",
        *(f"- {line}" for line in _lines(found)),
    ]
    return "\n".join(rows) + "\n"


def _recovery(kills: Sequence[Kill]) -> dict[str, float | None]:
    times = [kill.recovery_s for kill in kills if kill.recovery_s is not None]
    return percentiles(times, 50, 95, 100)


def _kill_rows(found: Mapping[str, Any]) -> list[list[str]]:
    rows = [(name, part["kills"], part["recovery_s"]) for name, part in found["by_worker"].items()]
    rows.append(("all", found["kills"], found["recovery_s"]))
    return [
        [name, str(kills), *("-" if s is None else f"{s:.1f}" for s in times.values())]
        for name, kills, times in rows
    ]


def _promise_rows(found: Mapping[str, Any]) -> list[list[str]]:
    sizes, promises = found["checked"], found["promises"]
    over = {
        "user state and item statistics": "{events:,} events, {users:,} users, {rows:,} rows",
        "examples trained": "{examples:,} examples ({examples_sent_again:,} came again)",
        "requests answered": "{requests:,} requests",
        "replies said": "{in_words:,} lists asked about ({replies_said_again:,} said again)",
        "bad messages kept": "{bad_messages:,} ({dead_letters_sent_again:,} came again)",
    }
    rows = [
        [
            name,
            over[name].format(**sizes),
            *(str(part[key]) for key in ("lost", "doubled", "different")),
        ]
        for name, part in promises.items()
    ]
    answers = "{answers:,} lists of {generations_answering} generations".format(**sizes)
    mixed = f"{found['mixed']} mixed"
    return [*rows, ["one generation a list", answers, "", "", mixed]]


def _kills(found: Mapping[str, Any]) -> Table:
    table = Table(box=None)
    for column in ("killed", "times", "back after, median s", "95 %", "longest"):
        table.add_column(column, justify="left" if column == "killed" else "right")
    for row in _kill_rows(found):
        table.add_row(*row)
    return table


def _promises(found: Mapping[str, Any]) -> Table:
    table = Table(box=None)
    for column in ("promise", "checked over", "lost", "doubled", "different"):
        table.add_column(column)
    for row in _promise_rows(found):
        table.add_row(*row)
    return table


def _lines(found: Mapping[str, Any]) -> list[str]:
    run = found["run"]
    lines = [
        f"lost {found['lost']}, doubled {found['doubled']}, mixed {found['mixed']}",
        f"{found['killed_again_before_back']} were killed again before they were back (no time "
        f"counted), {found['never_back']} were not back at the end; workers that died by "
        f"themselves: {run['died_by_themselves']}",
        "user state is compared without the logged features of impressions still open",
        *(f"{name}: {promise}" for name, promise in run["promises"].items()),
    ]
    if run["redis_bytes_cut"]:
        lines.append(
            f"Redis lost {run['redis_bytes_cut']:,} bytes of its file; "
            f"{run['redis_events_rolled_back']:,} applied events were rolled back and folded again"
        )
    if run["not_finished"]:
        lines.append(f"NOT FINISHED: {run['not_finished']}")
    for name, part in found["promises"].items():
        lines += [f"BROKEN, {name}: {what}" for what in part["named"]]
    return lines
