"""The wild drill's numbers: one dictionary, and the same for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from streamrec.lab.drill.report import machine
from streamrec.lab.measures.wild_check import WildTally

PROMISES = ("lost", "doubled", "wrong_labels", "silent")
NAMED = 5
"""So many users of each producer are named."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that happened to the cluster: who said so, and what went on."""

    what: str
    told_by: Sequence[str]
    told_after_s: float | None = None
    problem: str = ""

    @property
    def silent(self) -> bool:
        return not self.told_by


@dataclass(frozen=True, slots=True)
class WildFacts:
    """What the logs do not tell."""

    seed: int
    seconds: float
    kafka: str
    requests: int
    unanswered: int
    died_by_themselves: int
    not_finished: str


def report(
    tallies: Mapping[str, WildTally],
    habits: Mapping[str, str],
    conditions: Sequence[Condition],
    facts: WildFacts,
) -> dict[str, Any]:
    """JSON-able; ``ok``: lost, doubled, wrong_labels and silent are all 0, and all was done."""
    sums = {name: sum(getattr(tally, name) for tally in tallies.values()) for name in PROMISES}
    sums["lost"] += facts.unanswered
    sums["silent"] += sum(condition.silent for condition in conditions)
    problems = [condition.problem for condition in conditions if condition.problem]
    return {
        "ok": not any(sums.values()) and not facts.not_finished and not problems,
        **sums,
        "producers": {
            name: {"habit": habits.get(name, ""), **asdict(tally), "named": tally.named[:NAMED]}
            for name, tally in tallies.items()
        },
        "conditions": [asdict(condition) for condition in conditions],
        "run": asdict(facts),
        "machine": machine(),
    }


def in_words(found: Mapping[str, Any]) -> RenderableType:
    """A table of producers and some lines."""
    table = Table(box=None)
    columns = ("producer", "meant", "counted", "examples", *PROMISES, "refused")
    for column in columns:
        table.add_column(column.replace("_", " "), justify="left" if column in _TEXT else "right")
    for name, part in found["producers"].items():
        refused = ", ".join(f"{n} {code}" for code, n in part["refused"].items()) or "-"
        numbers = (str(part[column]) for column in columns[1:-1])
        table.add_row(escape(name), *numbers, escape(refused))
    return Group(table, "", *map(escape, _lines(found)))


_TEXT = ("producer", "refused")


def _lines(found: Mapping[str, Any]) -> list[str]:
    run = found["run"]
    lines = [f"{name}: {p['habit']}" for name, p in found["producers"].items() if p["habit"]]
    for condition in found["conditions"]:
        told = ", ".join(condition["told_by"]) or "NOBODY"
        after = condition["told_after_s"]
        lines.append(
            f"{condition['what']}: told by {told}" + (f" after {after:.0f} s" if after else "")
        )
        if condition["problem"]:
            lines.append(f"BROKEN, {condition['what']}: {condition['problem']}")
    lines.append(f"{run['requests']} requests, {run['unanswered']} without an answer")
    if run["not_finished"]:
        lines.append(f"NOT FINISHED: {run['not_finished']}")
    for name, part in found["producers"].items():
        lines += [f"BROKEN, {name}: {what}" for what in part["named"]]
    return [*lines, ", ".join(f"{name.replace('_', ' ')} {found[name]}" for name in PROMISES)]
