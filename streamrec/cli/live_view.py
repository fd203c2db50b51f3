"""How generations do with their users, for people and programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from streamrec.cli.console import ago, table, words

if TYPE_CHECKING:
    from streamrec.core.release.live_report import LiveReport
    from streamrec.core.release.registry import RegistryState
    from streamrec.core.release.service_levels import Level

COLUMNS = (
    "generation",
    "now",
    "lists>",
    "shown>",
    "clicked>",
    "rate>",
    "explored>",
    "SNIPS>",
    "effective>",
    "p95 ms>",
    "empty>",
    "faults>",
)


def canary_line(state: RegistryState, report: LiveReport | None, now_ms: int) -> Text | None:
    """The canary in one line; None when there is none."""
    canary = state.canary
    if canary is None:
        return None
    age = ago(now_ms - canary.since_ms)
    parts = [f"canary {canary.generation} answers {canary.share:.0%} of the users since {age}"]
    trial = report.trial if report else None
    if trial is None or trial.canary != canary.generation:
        parts.append("nothing is known of its outcomes yet")
    else:
        parts.append(f"{trial.verdict}: {trial.words}")
    return words(", ".join(parts))


def picture(
    state: RegistryState,
    report: LiveReport | None,
    levels: Mapping[str, Level],
    now_ms: int,
) -> RenderableType:
    """A table of generations, and the canary's line under it."""
    parts: list[RenderableType] = []
    if report is None:
        parts.append(
            words(
                "no trainer reports outcomes: it does with STREAMREC_CANARY_SHARE or "
                "STREAMREC_SERVING_EXPLORE above 0"
            )
        )
    known = {one.generation: one for one in report.generations} if report else {}
    names = list(dict.fromkeys([*known, *levels]))
    if names:
        rows = [_row(name, known.get(name), levels.get(name), state) for name in reversed(names)]
        parts.append(table("", COLUMNS, rows))
    line = canary_line(state, report, now_ms)
    if line is not None:
        parts += [Text(), line]
    return Group(*parts)


def _row(name: str, one: Any, level: Level | None, state: RegistryState) -> list[object]:
    counts: list[object] = [None] * 7
    if one is not None:
        snips = None if one.snips is None else f"{one.snips:.3f} ± {one.snips_error:.3f}"
        effective = round(one.effective)
        counts = [one.lists, one.shown, one.clicked, one.rate, one.explored, snips, effective]
    served: list[object] = [None] * 3
    if level is not None:
        latency = None if level.latency_p95_ms is None else round(level.latency_p95_ms)
        served = [latency, level.empty, level.faults]
    return [name, _role(name, state), *counts, *served]


def _role(name: str, state: RegistryState) -> str:
    if name == state.champion:
        return "champion"
    return "canary" if state.canary and name == state.canary.generation else ""


def fields(
    state: RegistryState, report: LiveReport | None, levels: Mapping[str, Level]
) -> dict[str, Any]:
    """The same for programs."""
    return {
        "champion": state.champion,
        "canary": asdict(state.canary) if state.canary else None,
        "outcomes": report.to_record() if report else None,
        "levels": {name: asdict(level) for name, level in levels.items()},
    }
