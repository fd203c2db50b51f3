"""The soak drill's numbers: one dictionary, and the same for people.

Knows which series there are, what is noise in each, and which of them decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from streamrec.lab.drill.report import machine
from streamrec.lab.measures.soak_check import WARM_UP, WINDOW, GrowthBound, SoakSample, growth

MEMORY = GrowthBound(0.05, 8.0, "MB")
"""Of a process."""
BOUNDS = {
    "used by Redis": GrowthBound(0.05, 1.0, "MB"),
    "files of registry and trainer": GrowthBound(0.1, 8.0, "MB"),
    "users in Redis": GrowthBound(0.1, 10.0, ""),
    "latency, median": GrowthBound(0.5, 25.0, "ms"),
    "latency, 95 %": GrowthBound(0.5, 100.0, "ms"),
    "freshness": GrowthBound(0.5, 5.0, "s"),
    "events not applied yet": GrowthBound(0.5, 50.0, ""),
}
NOT_JUDGED = {
    "memory of embedded-kafka": "a broker for trials, not ours; its log grows with every message",
}
"""Series that are told and decide nothing, and why."""


@dataclass(slots=True)
class SoakFacts:
    """What the series do not tell."""

    minutes: float
    rate: float
    seed: int
    items: int
    seconds: float = 0.0
    sent: int = 0
    items_removed: int = 0
    people: int = 0
    lists: int = 0
    mixed: int = 0
    dead_letters: int = 0
    activated: int = 0
    died_by_themselves: int = 0
    interrupted: bool = False


def report(samples: Sequence[SoakSample], facts: SoakFacts) -> dict[str, Any]:
    """JSON-able; ``ok``: nothing grew, nobody died, and there was enough to judge."""
    names = sorted({name for sample in samples for name in sample.values})
    series = {
        name: growth(samples, name, BOUNDS.get(name, MEMORY), judged=name not in NOT_JUDGED)
        for name in names
    }
    grew = [name for name, one in series.items() if one.grew]
    missing = [name for name in BOUNDS if name not in series]
    unknown = missing + [name for name, one in series.items() if one.unknown]
    broken = facts.died_by_themselves or facts.mixed or facts.interrupted
    return {
        "ok": not grew and not unknown and not broken,
        "grew": grew,
        "unknown": unknown,
        "series": {name: asdict(one) | {"grew": one.grew} for name, one in series.items()},
        "warm_up_share": WARM_UP,
        "window_share": WINDOW,
        "run": asdict(facts),
        "machine": machine(),
        "samples": [{"at_s": round(at_s, 1), **_rounded(values)} for at_s, values in samples],
    }


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in values.items()}


def progress(sample: SoakSample, facts: SoakFacts) -> str:
    """One line while it runs."""
    minutes, seconds = divmod(int(facts.seconds), 60)
    memory = [
        f"{name.removeprefix('memory of ')} {value:.0f}"
        for name, value in sample.values.items()
        if name.startswith("memory of ")
    ]
    values = sample.values
    parts = [
        f"{minutes}:{seconds:02} of {facts.minutes:g} min",
        f"{facts.sent:,} sent, {facts.lists:,} lists",
        f"{facts.items_removed:,} items gone, {facts.people:,} people came",
        f"MB: {', '.join(memory)}",
    ]
    if "used by Redis" in values:
        parts.append(f"Redis {values['used by Redis']:.1f} MB")
    if "latency, 95 %" in values:
        parts.append(f"{values['latency, median']:.0f} ms, 95 % {values['latency, 95 %']:.0f} ms")
    if "freshness" in values:
        parts.append(f"fresh after {values['freshness']:.1f} s")
    return " · ".join(parts)


def in_words(found: Mapping[str, Any]) -> RenderableType:
    """A table and some lines."""
    table = Table(box=None)
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in {"", "verdict"} else "right")
    for row in _rows(found):
        table.add_row(*row)
    return Group(table, "", *_lines(found))


def markdown(found: Mapping[str, Any]) -> str:
    """The same as Markdown, for ``docs/drills``."""
    rows = [
        "| " + " | ".join(COLUMNS) + " |",
        "|---|---:|---:|---:|---:|---|",
        *("| " + " | ".join(row) + " |" for row in _rows(found)),
        "",
        *(f"- {line}" for line in _lines(found)),
    ]
    return "\n".join(rows) + "\n"


COLUMNS = ("", "after the warm-up", "at the end", "allowed", "an hour", "verdict")


def _rows(found: Mapping[str, Any]) -> list[list[str]]:
    return [
        [
            f"{name}, {one['unit']}" if one["unit"] else name,
            *(_shown(one[key]) for key in ("start", "end", "allowed")),
            _shown(one["per_hour"], sign="+"),
            _verdict(name, one),
        ]
        for name, one in found["series"].items()
    ]


def _verdict(name: str, one: Mapping[str, Any]) -> str:
    if name in NOT_JUDGED:
        return "not judged"
    if one["end"] is None:
        return "TOO FEW SAMPLES"
    return "GREW" if one["grew"] else "stands"


def _shown(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign},.1f}"


def _lines(found: Mapping[str, Any]) -> list[str]:
    run = found["run"]
    lines = [
        f"{run['sent']:,} messages in {run['seconds'] / 60:.1f} minutes, {run['lists']:,} lists, "
        f"{run['activated']} generations activated; {run['items_removed']:,} "
        f"items removed, as many new, {run['items']:,} there; {run['people']:,} people came",
        f"the start is the median of the first {found['window_share']:.0%} after a warm-up of "
        f"{found['warm_up_share']:.0%}, the end that of the last; the slope (an hour) decides "
        "nothing",
        f"workers that died by themselves: {run['died_by_themselves']}; lists of mixed "
        f"generations: {run['mixed']}; dead letters: {run['dead_letters']}",
        *(f"{name}: {why}" for name, why in NOT_JUDGED.items() if name in found["series"]),
    ]
    lines += [f"GREW: {name}" for name in found["grew"]]
    lines += [f"NOT ENOUGH MEASURED FOR A VERDICT: {name}" for name in found["unknown"]]
    if run["interrupted"]:
        lines.append("INTERRUPTED: judged over less time than was asked for")
    return lines
